"""The optimizers that params.yaml can name, with their settings; the defaults are PyTorch's."""

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, NonNegativeFloat, PositiveFloat, Tag

from vanishing.params.base import Section

Rate = Annotated[PositiveFloat, Field(le=1e30)]  # larger ones overflow float32 at once
_Share = Annotated[NonNegativeFloat, Field(lt=1)]
_Betas = Annotated[tuple[_Share, _Share], Field(strict=False)]  # YAML has no tuples


class _Optimizer(Section):
    def __str__(self) -> str:
        """Write the name and the settings that are not the defaults, as `adam, epsilon 0.1`."""
        name, *settings = self.model_dump(exclude_defaults=True).items()
        return ", ".join([name[1], *(f"{key} {_write(value)}" for key, value in settings)])


class Sgd(_Optimizer):
    """v ← μ·v + g, W ← W - η·v (Sutskever et al. 2013, as PyTorch has it)."""

    name: Literal["sgd"]
    learning_rate: Rate  # η
    momentum: _Share = 0.0  # μ
    nesterov: bool = False
    weight_decay: NonNegativeFloat = 0.0


class Adam(_Optimizer):
    """W ← W - η·m̂ / (√v̂ + ε), with running means m of g and v of g² (Kingma & Ba 2015)."""

    name: Literal["adam"]
    learning_rate: Rate  # η
    betas: _Betas = (0.9, 0.999)  # how much of m and of v is kept at each step
    epsilon: PositiveFloat = 1e-8
    weight_decay: NonNegativeFloat = 0.0  # added to g


class AdamW(_Optimizer):
    """Adam with weight decay apart from the gradient (Loshchilov & Hutter 2019)."""

    name: Literal["adamw"]
    learning_rate: Rate
    betas: _Betas = (0.9, 0.999)
    epsilon: PositiveFloat = 1e-8
    weight_decay: NonNegativeFloat = 0.01


class RmsProp(_Optimizer):
    """W ← W - η·g / (√v + ε), with v the running mean of g² (Tieleman & Hinton 2012)."""

    name: Literal["rmsprop"]
    learning_rate: Rate
    alpha: _Share = 0.99  # how much of v is kept at each step
    epsilon: PositiveFloat = 1e-8
    momentum: _Share = 0.0
    weight_decay: NonNegativeFloat = 0.0


class Adagrad(_Optimizer):
    """W ← W - η·g / (√Σg² + ε), the sum over all steps so far (Duchi et al. 2011)."""

    name: Literal["adagrad"]
    learning_rate: Rate
    epsilon: PositiveFloat = 1e-10
    weight_decay: NonNegativeFloat = 0.0


def _write(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _tag(content: Any) -> str | None:
    """Tell which section an optimizer of params.yaml is."""
    name = content.get("name") if isinstance(content, dict) else getattr(content, "name", None)
    return None if name is None else f"[{name}]"  # in brackets, as pydantic's "[key]"


Optimizer = Annotated[
    Annotated[Sgd, Tag("[sgd]")]
    | Annotated[Adam, Tag("[adam]")]
    | Annotated[AdamW, Tag("[adamw]")]
    | Annotated[RmsProp, Tag("[rmsprop]")]
    | Annotated[Adagrad, Tag("[adagrad]")],
    Discriminator(
        _tag,
        custom_error_type="optimizer",
        custom_error_message=(
            "Input should have a name: one of sgd, adam, adamw, rmsprop and adagrad"
        ),
    ),
]

_CLASSES = {
    "sgd": "SGD",
    "adam": "Adam",
    "adamw": "AdamW",
    "rmsprop": "RMSprop",
    "adagrad": "Adagrad",
}
_WORDS = {"learning_rate": "lr", "epsilon": "eps"}  # {ours: PyTorch's}


def in_torch(optimizer: Optimizer) -> tuple[str, dict[str, Any]]:
    """Return the class of torch.optim that an optimizer is, and its settings in PyTorch's words."""
    values = optimizer.model_dump(exclude={"name"})
    return _CLASSES[optimizer.name], {_WORDS.get(key, key): v for key, v in values.items()}
