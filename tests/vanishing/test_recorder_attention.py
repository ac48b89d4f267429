"""Attention by head, as a watch records it, beside the same attention written out."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import SGD
from torch.utils.checkpoint import checkpoint

import vanishing
from tests.support.public_models import PUBLIC_MODELS
from vanishing import read_run

HEADS, WIDTH = 2, 3  # of a head
TENSORS = ("query", "key", "value", "output")


class SelfAttention(nn.Module):
    """Attention as people write it, with `scaled_dot_product_attention`."""

    def __init__(self, **options: Any) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.inputs = nn.Linear(HEADS * WIDTH, 3 * HEADS * WIDTH)
        self.outputs = nn.Linear(HEADS * WIDTH, HEADS * WIDTH)
        self.options = options

    def projections(self, x: Tensor) -> tuple[Tensor, ...]:
        """Return q, k and v, (batch, heads, time, width)."""
        parts = self.inputs(x).unflatten(-1, (3, HEADS, WIDTH)).movedim(-3, 0)
        return tuple(part.transpose(1, 2) for part in parts)

    def forward(self, x: Tensor) -> Tensor:
        """Return (batch, time, features)."""
        query, key, value = self.projections(x)
        attended = functional.scaled_dot_product_attention(query, key, value, **self.options)
        y: Tensor = self.outputs(attended.transpose(1, 2).flatten(2))
        return y


class Fused(nn.Module):
    """The same by `nn.MultiheadAttention`, which returns its weights or not."""

    def __init__(self, need_weights: bool, dropout: float = 0.0) -> None:
        super().__init__()
        twin = SelfAttention()
        self.attention = nn.MultiheadAttention(HEADS * WIDTH, HEADS, dropout, batch_first=True)
        with torch.no_grad():
            self.attention.in_proj_weight.copy_(twin.inputs.weight)
            self.attention.in_proj_bias.copy_(twin.inputs.bias)
        self.attention.out_proj.load_state_dict(twin.outputs.state_dict())
        self.need_weights = need_weights

    def forward(self, x: Tensor) -> Tensor:
        """Return (batch, time, features)."""
        y: Tensor = self.attention(x, x, x, need_weights=self.need_weights)[0]
        return y


def batch(step: int = 0) -> Tensor:
    return torch.randn(4, 5, HEADS * WIDTH, generator=torch.Generator().manual_seed(step))


def train(
    model: nn.Module,
    folder: Path | None,
    forward: Callable[[nn.Module, Tensor], Tensor] = lambda model, x: model(x),
    steps: int = 1,
    **options: Any,
) -> list[Tensor]:
    """Train for some steps, watched where there is a folder; return losses and weights."""
    torch.manual_seed(1)
    optimizer = SGD(model.parameters(), 0.1)
    watch = vanishing.watch(model, optimizer, folder=folder, **options) if folder else None
    losses = []
    for step in range(steps):
        loss = forward(model, batch(step)).square().mean()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.detach())
    if watch:
        watch.close()
    return [*losses, *model.state_dict().values()]


def heads(folder: Path, tensor: str, statistic: str, step: int = 1) -> list[float]:
    """Return the values of a statistic, in the order of layers and heads."""
    rows = read_run(folder, "heads")
    is_it = (rows["tensor"] == tensor) & (rows["statistic"] == statistic) & (rows["step"] == step)
    values: list[float] = (
        rows[is_it].sort_values(["layer_index", "layer", "head"])["value"].tolist()
    )
    return values


def check_against_attention_written_out(folder: Path, **options: Any) -> None:
    """Compare all numbers of the first step with those of autograd."""
    twin = SelfAttention().double()
    query, key, value = twin.projections(batch().double())
    scores = query @ key.mT * options.get("scale", WIDTH**-0.5)
    allowed = torch.ones(5, 5, dtype=torch.bool)
    if options.get("is_causal"):
        allowed = allowed.tril()
    p = scores.masked_fill(~allowed, -torch.inf).softmax(-1)
    output = p @ value
    loss = twin.outputs(output.transpose(1, 2).flatten(2)).square().mean()
    values = (query, key, value, output)
    gradients = torch.autograd.grad(loss, values)
    for name, tensor, gradient in zip(TENSORS, values, gradients, strict=True):
        for suffix, numbers in (("", tensor), ("_gradient", gradient)):
            rms = numbers.square().mean((0, 2, 3)).sqrt().tolist()
            assert heads(folder, name + suffix, "rms") == pytest.approx(rms, rel=1e-5)
    entropy = torch.special.entr(p).sum(-1)
    actual = heads(folder, "attention", "entropy")
    assert actual == pytest.approx(entropy.mean((0, 2)).tolist(), rel=1e-5)
    most = allowed.sum(-1).double().log()
    relative = (entropy / most)[..., most > 0].mean((0, 2))
    actual = heads(folder, "attention", "normalised_entropy")
    assert actual == pytest.approx(relative.tolist(), rel=1e-5)


@pytest.mark.parametrize("options", [{}, {"is_causal": True}, {"scale": 2.0}])
def test_it_is_that_of_attention_written_out(options: dict[str, Any], tmp_path: Path) -> None:
    model = nn.ModuleDict({"first": nn.Linear(1, 1), "attention": SelfAttention(**options)})
    train(model, tmp_path, lambda model, x: model["attention"](x))  # type: ignore[index]
    rows = read_run(tmp_path, "heads")
    assert set(rows["layer"]) == {"attention"}
    assert set(rows["layer_index"]) == {1}  # of its first layer
    check_against_attention_written_out(tmp_path, **options)


@pytest.mark.parametrize("need_weights", [False, True])
def test_the_fused_module_is_seen_too(need_weights: bool, tmp_path: Path) -> None:
    train(Fused(need_weights), tmp_path)
    assert set(read_run(tmp_path, "heads")["layer"]) == {"attention"}
    check_against_attention_written_out(tmp_path)


class CrossAttention(nn.Module):
    """Queries from one sequence, keys and values from another one that is padded."""

    def __init__(self, **options: Any) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.attention = nn.MultiheadAttention(6, 2, batch_first=True, **options)
        self.padding = torch.tensor([[False, False, False, True]] * 4)

    def forward(self, x: Tensor, need_weights: bool) -> Tensor:
        """Return (batch, time, features)."""
        other = x[:, :4] + 1
        y: Tensor = self.attention(
            x, other, other, key_padding_mask=self.padding, need_weights=need_weights
        )[0]
        return y


@pytest.mark.parametrize("options", [{}, {"kdim": 6, "vdim": 6}])
def test_both_ways_through_the_fused_module_agree(options: dict[str, Any], tmp_path: Path) -> None:
    for need_weights in (True, False):
        model = CrossAttention(**options)
        # One module for both, since kdim makes weights of their own.
        train(model, tmp_path / str(need_weights), lambda m, x, w=need_weights: m(x, w))  # type: ignore[misc]
    by_hand, dot_product = (read_run(tmp_path / name, "heads") for name in ("True", "False"))
    keys = ["layer", "head", "tensor", "statistic"]
    joined = by_hand.merge(dot_product, on=keys, how="outer")
    assert len(joined) == len(by_hand) == 2 * 10
    assert joined["value_x"].tolist() == pytest.approx(joined["value_y"].tolist(), rel=1e-4)


def make_encoder() -> nn.Module:
    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(6, 2, 8, dropout=0.1, batch_first=True)
    return nn.TransformerEncoder(layer, 2)


MODELS: dict[str, Callable[[], nn.Module]] = {
    "scaled_dot_product_attention": lambda: SelfAttention(dropout_p=0.2),
    "weights returned": lambda: Fused(True, 0.2),
    "no weights returned": lambda: Fused(False, 0.2),
    "encoder": make_encoder,
}


@pytest.mark.parametrize("name", MODELS)
def test_training_goes_on_byte_for_byte_as_without_a_watch(name: str, tmp_path: Path) -> None:
    functions = {key: getattr(functional, key) for key in dir(functional)}
    alone = train(MODELS[name](), None, steps=6)
    watched = train(MODELS[name](), tmp_path, steps=6)
    assert all(map(torch.equal, alone, watched))
    assert {key: getattr(functional, key) for key in dir(functional)} == functions
    rows = read_run(tmp_path, "heads")
    assert set(rows["step"]) == set(range(1, 7))
    assert rows["value"].notna().all()


def test_layers_of_an_encoder_are_told_apart_and_an_evaluation_does_not_count(
    tmp_path: Path,
) -> None:
    def forward(model: nn.Module, x: Tensor) -> Tensor:
        with torch.no_grad():
            model.eval()(100 * x)  # where nobody looks, it takes its fast path
        y: Tensor = model.train()(x)
        return y

    train(make_encoder(), tmp_path / "interrupted", forward)
    train(make_encoder(), tmp_path / "plain")
    interrupted, plain = (read_run(tmp_path / n, "heads") for n in ("interrupted", "plain"))
    assert set(plain["layer"]) == {"layers.0.self_attn", "layers.1.self_attn"}
    assert len(plain) == len(interrupted) == 2 * 2 * 10
    queries = plain["tensor"] == "query"  # before the first dropout
    first = plain["layer"] == "layers.0.self_attn"
    assert interrupted["value"][queries & first].tolist() == pytest.approx(
        plain["value"][queries & first].tolist()
    )


@pytest.mark.parametrize("reentrant", [False, True])
def test_a_checkpointed_attention_is_counted_once(reentrant: bool, tmp_path: Path) -> None:
    def forward(model: nn.Module, x: Tensor) -> Tensor:
        y: Tensor = checkpoint(model, x.requires_grad_(), use_reentrant=reentrant)
        return y

    train(SelfAttention(), tmp_path, forward)
    assert len(read_run(tmp_path, "heads")) == HEADS * 10
    check_against_attention_written_out(tmp_path)


def test_micro_batches_are_one_batch_and_a_second_call_has_rows_of_its_own(tmp_path: Path) -> None:
    def forward(model: nn.Module, x: Tensor) -> Tensor:
        (model(x[:2]).square().sum() / x.numel()).backward()
        rest: Tensor = model(x[2:]) / 2**0.5  # its mean counts as half of the batch
        return rest

    train(SelfAttention(), tmp_path / "parts", forward)
    check_against_attention_written_out(tmp_path / "parts")
    train(SelfAttention(), tmp_path / "twice", lambda model, x: model(model(x)))
    assert set(read_run(tmp_path / "twice", "heads")["layer"]) == {"", "#2"}


def test_after_an_exception_torch_has_its_functions_and_calls_have_their_modules(
    tmp_path: Path,
) -> None:
    original = functional.scaled_dot_product_attention

    class Failing(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.attention, self.fails = SelfAttention(), True

        def forward(self, x: Tensor) -> Tensor:
            if self.fails:
                raise RuntimeError
            y: Tensor = self.attention(x)
            return y

    model = Failing()

    def forward(model: Any, x: Tensor) -> Tensor:
        model.fails = True
        with pytest.raises(RuntimeError):
            model(x)
        model.fails = False
        y: Tensor = model(x)
        assert functional.scaled_dot_product_attention is original
        return y

    train(model, tmp_path, forward, steps=2)
    assert set(read_run(tmp_path, "heads")["layer"]) == {"attention"}
    assert functional.scaled_dot_product_attention is original


def test_grouped_queries_share_keys(tmp_path: Path) -> None:
    class Grouped(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.query, self.other = nn.Linear(6, 12), nn.Linear(6, 6)

        def forward(self, x: Tensor) -> Tensor:
            query = self.query(x).unflatten(-1, (4, 3)).transpose(1, 2)
            other = self.other(x).unflatten(-1, (2, 3)).transpose(1, 2)
            return functional.scaled_dot_product_attention(query, other, other, enable_gqa=True)

    train(Grouped(), tmp_path)
    rows = read_run(tmp_path, "heads")
    assert len(heads(tmp_path, "query", "rms")) == len(heads(tmp_path, "attention", "entropy")) == 4
    assert len(heads(tmp_path, "key", "rms")) == 2
    assert rows["value"].notna().all()


def test_a_compiled_model_is_compiled_once_and_can_be_probed(tmp_path: Path) -> None:
    import torch._dynamo  # noqa: PLC0415 - a second

    torch._dynamo.reset()
    model = SelfAttention()
    compiled: Any = torch.compile(model, fullgraph=True, backend="aot_eager")
    optimizer = SGD(model.parameters(), 0.1)
    with (
        torch._dynamo.config.patch(error_on_recompile=True),
        vanishing.watch(model, optimizer, folder=tmp_path, every=4) as watch,
    ):
        for step in range(14):
            if step == 11:
                watch.probe(batch(), lambda model, x: model(x).square().mean())
            compiled(batch()).square().mean().backward()
            optimizer.step()
            optimizer.zero_grad()
    rows = read_run(tmp_path, "heads")
    assert set(rows["step"]) == {12}
    assert len(rows) == HEADS * 10


# A projection that only a module of attention has; its name depends on the library's version.
PROJECTIONS = {
    "vit_b_16": {"out_proj"},
    "Llama": {"q_proj"},
    "BERT": {"query"},
    "GPT-2": {"c_attn"},
    "ViT": {"query", "q_proj"},
    "T5": {"q"},
    "nn.Transformer": {"out_proj"},
}


@pytest.mark.slow
@pytest.mark.parametrize("name", PROJECTIONS)
def test_public_models_show_their_heads(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    torch.manual_seed(0)
    training = PUBLIC_MODELS[name]()
    with vanishing.watch(training.models[""], training.optimizers, folder=tmp_path):
        training.step()
    rows = read_run(tmp_path, "heads")
    modules = [module.rpartition(".") for module, _ in training.models[""].named_modules()]
    layers = {parent for parent, _, leaf in modules if leaf in PROJECTIONS[name]}
    assert layers
    assert set(rows["layer"]) == layers
    assert len(rows) == rows["layer"].nunique() * 2 * 10
    assert rows["value"].notna().all()
    relative = rows[rows["statistic"] == "normalised_entropy"]["value"]
    assert relative.between(0, 1 + 1e-6).all()
