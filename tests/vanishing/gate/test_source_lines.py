"""Where a module is made, found in the source of this file."""

from collections import OrderedDict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch
from torch import nn

from vanishing.gate.source_lines import place_of

if TYPE_CHECKING:
    from collections.abc import Callable


def line_with(marker: str) -> int:
    """Return the line of this file that ends with a marker."""
    lines = Path(__file__).read_text(encoding="utf-8").splitlines()
    return next(n for n, line in enumerate(lines, 1) if line.endswith(f"# {marker}"))


class Block(nn.Module):  # block class
    """Has a layer, and a parameter of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 4)  # linear
        self.scale: nn.Parameter = nn.Parameter(torch.ones(4))  # scale


class Wide(Block):
    """Inherits the layer."""


class Net(nn.Module):  # net class
    """Makes modules in all ways."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(4, 4), nn.Linear(4, 4)  # pair
        self.body = nn.Sequential(
            nn.Linear(4, 4),
            nn.Sequential(
                nn.ReLU(),
                nn.Linear(4, 4),  # nested
            ),
        )
        self.blocks = nn.ModuleList([Block(), Wide()])
        self.repeated = nn.Sequential(*(nn.Linear(4, 4) for _ in range(2)))  # repeated
        for number in range(2):
            self.add_module(f"layer{number}", nn.Linear(4, 4))  # numbered
        setattr(self, "set", nn.Linear(4, 4))  # set  # noqa: B010


@pytest.mark.parametrize(
    ("name", "marker"),
    [
        ("second.weight", "pair"),
        ("body.1.1", "nested"),
        ("body.1.1.bias", "nested"),
        ("blocks.0.linear.weight", "linear"),
        ("blocks.1.linear", "linear"),
        ("blocks.0.scale", "scale"),
        ("repeated.1", "repeated"),
        ("layer1.weight", "numbered"),
        ("", "net class"),
    ],
)
def test_the_line_is_that_of_the_innermost_assignment(name: str, marker: str) -> None:
    place = place_of(Net(), name, Net)
    assert place
    assert Path(place.file) == Path(__file__)
    assert place.line == line_with(marker)


def test_a_name_that_is_in_no_assignment_gives_the_class() -> None:
    model = Net()
    model.late = nn.Linear(4, 4)
    place = place_of(model, "late.weight", lambda: model)
    assert place
    assert place.line == line_with("net class")


def make_sequential(width: int) -> nn.Module:  # function
    """Make a network of torch's classes alone."""
    modules: OrderedDict[str, nn.Module] = OrderedDict(
        stem=nn.Linear(4, width),  # keyword
    )
    for number in range(2):
        modules[f"hidden{number}"] = nn.Linear(width, width)  # item
    modules["head"] = nn.Linear(width, 2)  # head
    return nn.Sequential(modules)


@pytest.mark.parametrize(
    ("name", "marker"),
    [
        ("stem", "keyword"),
        ("hidden1.weight", "item"),
        ("head", "head"),
        ("elsewhere", "function"),
        ("", "function"),
    ],
)
def test_of_torch_s_classes_the_function_is_searched(name: str, marker: str) -> None:
    place = place_of(make_sequential(4), name, partial(make_sequential, 4))
    assert place
    assert place.line == line_with(marker)


def test_a_lambda_has_its_line() -> None:
    make_model: Callable[[], nn.Module] = lambda: nn.Sequential(nn.Linear(2, 2))  # noqa: E731  # lambda
    place = place_of(make_model(), "0", make_model)
    assert place
    assert place.line == line_with("lambda")


def test_without_source_there_is_no_place() -> None:
    names: dict[str, type[nn.Module]] = {}
    exec("from torch import nn\nclass Hidden(nn.Module): pass", names)  # noqa: S102
    assert place_of(names["Hidden"](), "", names["Hidden"]) is None
