"""The names that a module binds and those that its statements refer to."""

import pytest

from vanishing.pipeline.syntax import EFFECTS, STAR, Module, Origin, Place, parse

PLACE = Place("package.module", is_package=False)


def parsed(text: str, place: Place = PLACE) -> Module:
    """Parse the text of a module."""
    return parse(text.encode(), "module.py", place)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("def f(): ...", {"f"}),
        ("async def f(): ...", {"f"}),
        ("class A: x = 1", {"A"}),
        ("x = 1", {"x"}),
        ("x: int", {"x"}),
        ("x += 1", {"x"}),
        ("x = y = 1", {"x", "y"}),
        ("(x, [y, *z]) = 1, [2]", {"x", "y", "z"}),
        ("x.y = 1", {"x", EFFECTS}),
        ("x[y] = 1", {"x", "y", EFFECTS}),
        ("print(x)", {EFFECTS}),
        ("if x: y = 1", {EFFECTS}),
        ('"a text"', set()),
        ("import a.b", {"a"}),
        ("import a.b as c", {"c"}),
        ("from a import b, c as d", {"b", "d"}),
        ("from a import *", {STAR}),
        ("try: import a\nexcept ImportError: a = None", {EFFECTS, "a"}),
        ("def f():\n    import a", {"f"}),
    ],
)
def test_the_names_that_a_statement_binds(text: str, names: set[str]) -> None:
    definitions = parsed(text).definitions
    assert {n for n, d in definitions.items() if d.statements or d.origins} == names


@pytest.mark.parametrize(
    ("text", "name", "origin"),
    [
        ("import a", "a", Origin("a", None)),
        ("import a.b", "a", Origin("a", None)),
        ("import a.b as c", "c", Origin("a.b", None)),
        ("from a.b import c as d", "d", Origin("a.b", "c")),
        ("from . import c", "c", Origin("package", "c")),
        ("from .b import c", "c", Origin("package.b", "c")),
    ],
)
def test_where_an_imported_name_comes_from(text: str, name: str, origin: Origin) -> None:
    assert parsed(text).definitions[name].origins == [origin]


def test_a_relative_import_in_a_package_is_relative_to_the_package_itself() -> None:
    module = parsed("from .b import c\nfrom .. import d", Place("outer.package", is_package=True))
    assert module.definitions["c"].origins == [Origin("outer.package.b", "c")]
    assert module.definitions["d"].origins == [Origin("outer", "d")]


def test_the_modules_that_are_loaded_with_it() -> None:
    text = "import a.b\nfrom c import d\nif a:\n    import e\ndef f():\n    import g"
    module = parsed(text)
    assert module.loads == {"a.b", "c", "c.d", "e"}
    assert module.definitions["f"].references.loads == {"g"}


def test_chains_of_attributes_are_kept_whole() -> None:
    references = parsed("x = a.b.c(d).e + f[g.h]").definitions["x"].references
    assert references.chains == {("x",), ("a", "b", "c"), ("d",), ("f",), ("g", "h")}


@pytest.mark.parametrize(
    ("text", "is_dynamic"),
    [
        ("x = globals()", True),
        ("x = eval('y')", True),
        ("x = sys.modules[__name__]", True),
        ("x = sys.path", False),
        ("x = a.globals", False),
    ],
)
def test_a_dynamic_lookup_of_names_is_noted(text: str, is_dynamic: bool) -> None:
    assert parsed(text).definitions["x"].references.is_dynamic is is_dynamic


def test_the_order_of_statements_is_kept_only_where_it_matters() -> None:
    assert parsed("x = 1\ny = 2\ndef f(): ...").definitions[EFFECTS].order == ()
    assert parsed("x = 1\ny = 2\nx = 3").definitions[EFFECTS].order == ("x", "y", "x")
    assert parsed("x = 1\nprint(x)\ny = 2").definitions[EFFECTS].order == ("x", EFFECTS, "y")
