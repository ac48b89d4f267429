"""Gradients through time against a loop over cells that is written out."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from vanishing.recording.recurrent import gradients_through_time, record_call

TIME, BATCH, FEATURES, UNITS = 7, 3, 4, 5
MODULES = {
    "tanh": (nn.RNN, nn.RNNCell, {}),
    "relu": (nn.RNN, nn.RNNCell, {"nonlinearity": "relu"}),
    "LSTM": (nn.LSTM, nn.LSTMCell, {}),
    "GRU": (nn.GRU, nn.GRUCell, {}),
}


def make(name: str, **options: Any) -> nn.RNNBase:
    """Make a module in float64, with the same weights every time."""
    torch.manual_seed(0)
    kind, _, settings = MODULES[name]
    module: nn.RNNBase = kind(FEATURES, UNITS, **settings, **options).double()
    return module


def draw(*shape: int, seed: int = 1) -> Tensor:
    """Draw a tensor."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def through_time(module: nn.RNNBase, x: Tensor, state: Any = None) -> dict[str, Tensor]:
    """Call a module, and take a loss of all that it returns back through it."""
    output, last = module(x, state)
    tensors = [output, *(last if isinstance(last, tuple) else (last,))]
    gradients = [3 * tensor.detach() ** 2 for tensor in tensors]  # of the sum of all cubes
    call = record_call(module, (x, state), {})
    assert call is not None
    with torch.no_grad():
        for weight in module.parameters():
            weight.zero_()  # as an optimizer may, before the gradients are asked for
    return gradients_through_time(module, call, gradients)


@pytest.mark.parametrize("name", MODULES)
@pytest.mark.parametrize("with_state", [False, True])
def test_each_state_has_the_gradient_of_a_loop_over_cells(name: str, with_state: bool) -> None:
    module = make(name)
    x = draw(TIME, BATCH, FEATURES)
    is_lstm = name == "LSTM"
    first = [draw(1, BATCH, UNITS, seed=s) for s in (2, 3)][: 1 + is_lstm]
    state = (tuple(first) if is_lstm else first[0]) if with_state else None
    gradients = through_time(module, x, state)

    module = make(name)
    _, cell_kind, settings = MODULES[name]
    cell = cell_kind(FEATURES, UNITS, **settings).double()
    cell.load_state_dict(
        {key.removesuffix("_l0"): value for key, value in module.state_dict().items()}
    )
    current = [part[0] for part in first] if with_state else [torch.zeros_like(p[0]) for p in first]
    states = []
    for inputs in x:
        following = cell(inputs, tuple(current) if is_lstm else current[0])
        current = list(following) if is_lstm else [following]
        for part in current:
            part.retain_grad()
        states.append(current)
    hidden = torch.stack([parts[0] for parts in states])
    loss = (hidden**3).sum() + sum((part**3).sum() for part in current)
    assert isinstance(loss, Tensor)
    loss.backward()  # type: ignore[no-untyped-call]
    expected = {"hidden_gradient_l0": torch.stack([parts[0].grad for parts in states])}  # type: ignore[misc]
    if is_lstm:
        expected["cell_gradient_l0"] = torch.stack([parts[1].grad for parts in states])  # type: ignore[misc]
    assert gradients.keys() == expected.keys()
    for key, values in expected.items():
        torch.testing.assert_close(gradients[key], values, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", MODULES)
def test_layers_and_directions_are_those_of_the_module(name: str) -> None:
    module = make(name, num_layers=2, bidirectional=True, batch_first=True)
    x = draw(BATCH, TIME, FEATURES)
    gradients = through_time(module, x)
    module = make(name, num_layers=2, bidirectional=True, batch_first=True)
    suffixes = ["_l0", "_l0_reverse", "_l1", "_l1_reverse"]
    kinds = ["hidden", "cell"][: 1 + (name == "LSTM")]
    assert list(gradients) == [f"{kind}_gradient{s}" for s in suffixes for kind in kinds]
    # In the top layer the last state of a direction has the gradients of output and last state.
    output, last = module(x)
    h_n = last[0] if isinstance(last, tuple) else last
    expected = 3 * output[:, -1, :UNITS] ** 2 + 3 * h_n[2] ** 2
    torch.testing.assert_close(gradients["hidden_gradient_l1"][-1], expected)
    expected = 3 * output[:, 0, UNITS:] ** 2 + 3 * h_n[3] ** 2
    torch.testing.assert_close(gradients["hidden_gradient_l1_reverse"][0], expected)


def test_a_sequence_without_a_batch_is_one_of_a_batch_of_one() -> None:
    x = draw(TIME, FEATURES)
    alone = through_time(make("LSTM", bias=False), x)
    batched = through_time(make("LSTM", bias=False), x.unsqueeze(1))
    for key, values in batched.items():
        torch.testing.assert_close(alone[key], values)


def test_only_the_last_output_counts_where_the_loss_is_of_it_alone() -> None:
    module = make("tanh")
    x = draw(TIME, BATCH, FEATURES)
    call = record_call(module, (x,), {})
    assert call is not None
    gradient = torch.zeros(TIME, BATCH, UNITS, dtype=torch.float64)
    gradient[-1] = 1
    gradients = gradients_through_time(module, call, [gradient, None])
    rms = gradients["hidden_gradient_l0"].square().mean((1, 2)).sqrt()
    assert rms[-1] == 1
    assert (rms[1:] > rms[:-1]).all()  # it vanishes towards the beginning


@pytest.mark.parametrize("options", [{"num_layers": 2, "dropout": 0.5}, {"proj_size": 2}])
def test_a_call_that_cannot_be_repeated_is_left_out(options: Any) -> None:
    assert record_call(make("LSTM", **options), (draw(TIME, BATCH, FEATURES),), {}) is None
    packed = nn.utils.rnn.pack_sequence([draw(3, FEATURES), draw(2, FEATURES)])
    assert record_call(make("LSTM"), (packed,), {}) is None


def test_the_first_state_may_be_a_named_argument() -> None:
    state = draw(1, BATCH, UNITS)
    call = record_call(make("GRU"), (draw(TIME, BATCH, FEATURES),), {"hx": state})
    assert call is not None
    assert call.state is state
