"""Twenty public models as people train them, made small: each with its optimizers and a step."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy
from torch.optim import SGD, AdamW, Optimizer
from torch.utils.checkpoint import checkpoint

CLASSES = 4


@dataclass
class Training:
    """A model in training.

    Attributes:
        models: {name: model}; '' names a single one.
        optimizers: As many as train them.
        step: Takes a step of each optimizer, and returns the loss.
    """

    models: dict[str, nn.Module]
    optimizers: list[Optimizer]
    step: Callable[[], Tensor] = field(repr=False)


def _train(
    model: nn.Module, loss: Callable[[], Tensor], optimizer: type[Optimizer] = AdamW
) -> Training:
    """Train one model on one loss."""
    chosen = optimizer([p for p in model.parameters() if p.requires_grad], lr=1e-3)  # type: ignore[call-arg]

    def step() -> Tensor:
        value = loss()
        value.backward()  # type: ignore[no-untyped-call]
        chosen.step()
        chosen.zero_grad()
        return value.detach()

    return Training({"": model}, [chosen], step)


def _classify(model: nn.Module, inputs: Tensor, optimizer: type[Optimizer] = AdamW) -> Training:
    """Train a classifier on a batch."""
    labels = torch.arange(len(inputs)) % CLASSES

    def loss() -> Tensor:
        output = model(inputs)
        return cross_entropy(getattr(output, "logits", output), labels)

    return _train(model, loss, optimizer)


def _torchvision(name: str, size: int = 32, **options: Any) -> Training:
    from torchvision import models  # noqa: PLC0415 - its import takes a second

    model = getattr(models, name)(num_classes=CLASSES, **options)
    return _classify(model, torch.randn(2, 3, size, size), SGD)


def vision_transformer() -> Training:
    """The vit_b_16 of torchvision, with fewer and narrower layers."""
    from torchvision import models  # noqa: PLC0415

    model = models.VisionTransformer(
        image_size=32,
        patch_size=16,
        num_layers=2,
        num_heads=2,
        hidden_dim=16,
        mlp_dim=32,
        num_classes=CLASSES,
    )
    return _classify(model, torch.randn(2, 3, 32, 32))


def _tokens(*shape: int) -> Tensor:
    return torch.randint(1, 50, shape)


def _transformers(kind: str, task: str, **settings: Any) -> nn.Module:
    """Make a model of transformers from its configuration."""
    import transformers  # noqa: PLC0415 - its import takes seconds

    config = getattr(transformers, f"{kind}Config")(**settings)
    config.num_labels = CLASSES
    model: nn.Module = getattr(transformers, f"{kind}{task}")(config)
    return model


def _language_model(kind: str, task: str, **settings: Any) -> Training:
    """Train a model that computes its own loss of tokens."""
    model, tokens = _transformers(kind, task, vocab_size=50, **settings), _tokens(2, 6)
    return _train(model, lambda: model(input_ids=tokens, labels=tokens).loss)


_SMALL = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
}


def bert() -> Training:
    """Train BERT to classify sequences."""
    model = _transformers("Bert", "ForSequenceClassification", vocab_size=50, **_SMALL)
    return _classify(model, _tokens(2, 6))


def vit() -> Training:
    """Train the ViT of transformers."""
    sizes = {"image_size": 32, "patch_size": 16}
    model = _transformers("ViT", "ForImageClassification", **sizes, **_SMALL)
    return _classify(model, torch.randn(2, 3, 32, 32))


class Recurrent(nn.Module):
    """A classifier by the last output of two recurrent layers."""

    def __init__(self, kind: type[nn.LSTM] | type[nn.GRU]) -> None:
        super().__init__()
        self.layers = kind(5, 8, num_layers=2, batch_first=True)
        self.head = nn.Linear(8, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits, (batch, classes), of (batch, time, features)."""
        output, _ = self.layers(x)
        logits: Tensor = self.head(output[:, -1])
        return logits


def adversarial_pair() -> Training:
    """A generator and a discriminator, each with its optimizer."""
    generator = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 6))
    discriminator = nn.Sequential(nn.Linear(6, 8), nn.LeakyReLU(0.2), nn.Linear(8, 1))
    optimizers: list[Optimizer] = [
        AdamW(generator.parameters(), lr=1e-3),
        AdamW(discriminator.parameters(), lr=1e-3),
    ]
    real, noise = torch.randn(4, 6), torch.randn(4, 4)

    def step() -> Tensor:
        fake = generator(noise)
        scores = torch.cat([discriminator(real), discriminator(fake.detach())])
        truth = torch.tensor([[1.0]] * 4 + [[0.0]] * 4)
        binary_cross_entropy_with_logits(scores, truth).backward()  # type: ignore[no-untyped-call]
        optimizers[1].step()
        loss = binary_cross_entropy_with_logits(discriminator(fake), truth[:4])
        loss.backward()  # type: ignore[no-untyped-call]
        optimizers[0].step()
        for optimizer in optimizers:
            optimizer.zero_grad()
        return loss.detach()

    return Training({"generator": generator, "discriminator": discriminator}, optimizers, step)


class Tied(nn.Module):
    """A language model whose head has the weights of its embedding."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(50, 8)
        self.body = nn.GRU(8, 8, batch_first=True)
        self.head = nn.Linear(8, 50, bias=False)
        self.head.weight = self.embedding.weight

    def forward(self, tokens: Tensor) -> Tensor:
        """Return logits, (batch, time, tokens), of (batch, time)."""
        logits: Tensor = self.head(self.body(self.embedding(tokens))[0])
        return logits


def tied_embeddings() -> Training:
    """A language model with tied embeddings."""
    model, tokens = Tied(), _tokens(2, 6)
    return _train(model, lambda: cross_entropy(model(tokens)[:, :-1].mT, tokens[:, 1:]))


class LowRank(nn.Module):
    """A frozen linear layer with a trained update of low rank."""

    def __init__(self, base: nn.Linear, rank: int) -> None:
        super().__init__()
        self.base = base.requires_grad_(False)
        self.down = nn.Linear(base.in_features, rank, bias=False)
        self.up = nn.Linear(rank, base.out_features, bias=False)
        nn.init.zeros_(self.up.weight)

    def forward(self, x: Tensor) -> Tensor:
        """Return the layer's output and its update."""
        y: Tensor = self.base(x) + self.up(self.down(x))
        return y


def frozen_base() -> Training:
    """LoRA: frozen layers with trained updates of low rank."""
    layers = [LowRank(nn.Linear(8, 8), 2) for _ in range(3)]
    model = nn.Sequential(*(nn.Sequential(layer, nn.Tanh()) for layer in layers))
    head = nn.Linear(8, CLASSES).requires_grad_(False)
    return _classify(nn.Sequential(model, head), torch.randn(4, 8))


class UNet(nn.Module):
    """Down and up again, with a skip connection at each size."""

    def __init__(self) -> None:
        super().__init__()
        self.down = nn.ModuleList([nn.Conv2d(1, 4, 3, padding=1), nn.Conv2d(4, 8, 3, padding=1)])
        self.middle = nn.Conv2d(8, 8, 3, padding=1)
        self.up = nn.ModuleList(
            [nn.ConvTranspose2d(16, 4, 2, stride=2), nn.ConvTranspose2d(8, CLASSES, 2, stride=2)]
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return logits of each pixel, (batch, classes, height, width)."""
        skips = []
        for layer in self.down:
            x = nn.functional.max_pool2d(torch.relu(layer(x)), 2)
            skips.append(x)
        x = torch.relu(self.middle(x))
        for layer, skip in zip(self.up, reversed(skips), strict=True):
            x = layer(torch.cat([x, skip], dim=1))
        return x


def u_net() -> Training:
    """A U-Net that classifies pixels."""
    model, images = UNet(), torch.randn(2, 1, 8, 8)
    labels = torch.randint(CLASSES, (2, 8, 8))
    return _train(model, lambda: cross_entropy(model(images), labels))


class Equilibrium(nn.Module):
    """One block applied until it hardly changes anything, as a deep equilibrium model does."""

    def __init__(self) -> None:
        super().__init__()
        self.inject = nn.Linear(6, 8)
        self.block = nn.Linear(8, 8)
        self.head = nn.Linear(8, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits."""
        injected = self.inject(x)
        z = torch.zeros_like(injected)
        with torch.no_grad():
            for _ in range(8):
                z = torch.tanh(self.block(z) + injected)
        for _ in range(2):  # through which the gradient goes
            z = torch.tanh(self.block(z) + injected)
        logits: Tensor = self.head(z)
        return logits


class Checkpointed(nn.Module):
    """Blocks whose activations are computed anew in the backward pass."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(
            [nn.Sequential(nn.Linear(6, 6), nn.GELU(), nn.Linear(6, 6)) for _ in range(3)]
        )
        self.head = nn.Linear(6, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits."""
        for block in self.blocks:
            x = x + checkpoint(block, x, use_reentrant=False)
        logits: Tensor = self.head(x)
        return logits


class Translator(nn.Module):
    """PyTorch's own encoder and decoder."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(50, 8)
        self.body = nn.Transformer(8, 2, 2, 2, 16, dropout=0.0, batch_first=True)
        self.head = nn.Linear(8, 50)

    def forward(self, tokens: Tensor) -> Tensor:
        """Return logits, (batch, time, tokens), of (batch, time)."""
        embedded = self.embedding(tokens)
        mask = nn.Transformer.generate_square_subsequent_mask(tokens.shape[1])
        logits: Tensor = self.head(self.body(embedded, embedded, tgt_mask=mask))
        return logits


def translator() -> Training:
    """PyTorch's nn.Transformer on sequences."""
    model, tokens = Translator(), _tokens(2, 6)
    return _train(model, lambda: cross_entropy(model(tokens)[:, :-1].mT, tokens[:, 1:]))


PUBLIC_MODELS: dict[str, Callable[[], Training]] = {
    "resnet18": lambda: _torchvision("resnet18"),
    "densenet121": lambda: _torchvision("densenet121"),
    "mobilenet_v3_small": lambda: _torchvision("mobilenet_v3_small"),
    "vgg11": lambda: _torchvision("vgg11"),
    "googlenet": lambda: _torchvision("googlenet", 64, aux_logits=False, init_weights=False),
    "vit_b_16": vision_transformer,
    "Llama": lambda: _language_model("Llama", "ForCausalLM", **_SMALL),
    "BERT": bert,
    "GPT-2": lambda: _language_model(
        "GPT2", "LMHeadModel", n_embd=16, n_layer=2, n_head=2, n_positions=16
    ),
    "T5": lambda: _language_model(
        "T5",
        "ForConditionalGeneration",
        d_model=16,
        d_ff=32,
        d_kv=8,
        num_layers=2,
        num_heads=2,
        decoder_start_token_id=0,
    ),
    "ViT": vit,
    "LSTM": lambda: _classify(Recurrent(nn.LSTM), torch.randn(4, 6, 5)),
    "GRU": lambda: _classify(Recurrent(nn.GRU), torch.randn(4, 6, 5)),
    "GAN": adversarial_pair,
    "tied embeddings": tied_embeddings,
    "LoRA": frozen_base,
    "U-Net": u_net,
    "equilibrium": lambda: _classify(Equilibrium(), torch.randn(4, 6)),
    "checkpointed": lambda: _classify(Checkpointed(), torch.randn(4, 6)),
    "nn.Transformer": translator,
}
