"""Which definitions a module uses, read from made-up packages."""

from collections.abc import Collection, Mapping
from pathlib import Path

import pytest

from tests.vanishing.pipeline.packages import write_package
from vanishing.pipeline.source import Source
from vanishing.pipeline.syntax import EFFECTS

LIBRARY = {
    "library/__init__.py": "",
    "library/tools.py": """
from library import deep
from library.deep import far

SIZE = 1
LIMIT = 2
PAIR, (FIRST, *REST) = (1, (2, 3))
SIZE_HINT: int = SIZE

def compute(): return SIZE
def unused(): return deep.near()
def reach(): return far() + deep.far()

class Base:
    size = LIMIT
    def method(self): return compute()
""",
    "library/deep.py": "def far(): return 1\ndef near(): return 2\n",
    "library/effects.py": "TABLE = {}\nTABLE['x'] = 1\ndef unused(): return TABLE\n",
}
COMPUTE = {"library.tools.compute", "library.tools.SIZE"}
REACH = {"library.tools.reach", "library.deep.far"}
BASE = {"library.tools.Base", "library.tools.LIMIT", *COMPUTE}
TOOLS = {
    *{f"library.tools.{name}" for name in ("PAIR", "FIRST", "REST", "SIZE_HINT", "unused")},
    *{*COMPUTE, *REACH, *BASE, "library.deep.near"},
}
ALL_TOOLS = TOOLS


def used(folder: Path, module: str = "main", without: Collection[str] = ()) -> set[str]:
    """Return the functions, classes and assignments outside `module` that it uses."""
    definitions = Source([folder]).used_by(module, without)
    return {
        f"{place}.{name}"
        for (place, name), definition in definitions.items()
        if definition.statements and place != module
    }


def used_by_text(folder: Path, text: str, files: Mapping[str, str] | None = None) -> set[str]:
    """Return what a module `main` with this text uses of LIBRARY and of more files."""
    write_package(folder, {**LIBRARY, **(files or {}), "main.py": text})
    return used(folder)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("from library.tools import compute\ncompute()", COMPUTE),
        ("from library.tools import compute as f\nf()", COMPUTE),
        ("import library.tools\nlibrary.tools.compute()", COMPUTE),
        ("import library.tools as tools\ntools.compute()", COMPUTE),
        ("from library import tools\ntools.compute()", COMPUTE),
        ("from library import tools as t\nx = [t.compute() for _ in range(3)]", COMPUTE),
        ("import library.tools\nimport library.deep\nlibrary.deep.far()", {"library.deep.far"}),
        ("import library.tools\ndef f(): return library.deep.far()", {"library.deep.far"}),
        ("import library\ndef f(): return library.tools.compute()", COMPUTE),
        ("from library.tools import compute", COMPUTE),  # an import may be for others to import
        ("import library.tools", set()),
        ("from library.tools import *\ncompute()", ALL_TOOLS),
    ],
)
def test_every_form_of_import_is_followed(tmp_path: Path, text: str, expected: set[str]) -> None:
    assert used_by_text(tmp_path, text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "def f():\n  def g(): return compute()\n  return g",
        "f = lambda: compute()",
        "def f(x=compute()): ...",
        "def f(*, x=compute()): ...",
        "class A:\n  x = compute()",
        "class A:\n  class B:\n    def f(self): return compute()",
        "@compute\ndef f(): ...",
        "@compute\nclass A: ...",
        "class A(compute): ...",
        "class A(metaclass=compute): ...",
        "def f(x: compute): ...",
        "def f() -> 'compute': ...",
        "def f(x: 'list[compute]'): ...",
        "class A:\n  x: 'dict[str, compute]'",
        "x: list['compute'] = []",
        "ALIAS = dict[str, 'compute']",
        "x = [1]\nx[compute()] = 2",
        "x, y = compute(), 1",
        "x = 1\nx += compute()",
        "if compute(): x = 1",
        "for x in compute(): y = x",
        "with compute() as x: y = x",
        "while compute(): pass",
        "try:\n  x = compute()\nfinally: pass",
        "match compute():\n  case 1: x = 1",
        "async def f():\n  async for x in compute(): yield x",
        "assert compute()",
        "del compute.x",
        "print(f'{compute()!r:>{compute()}}')",
        "f = compute.__call__",
        "(y := compute())",
    ],
)
def test_every_place_in_the_text_counts(tmp_path: Path, text: str) -> None:
    assert used_by_text(tmp_path, f"from library.tools import compute\n{text}") == COMPUTE


@pytest.mark.parametrize(
    "text",
    [
        "from library.tools import compute\n    return compute()",
        "from library.tools import compute as f\n    return f()",
        "from library import tools\n    return tools.compute()",
        "import library.tools\n    return library.tools.compute()",
        "import library.tools as t\n    return t.compute()",
    ],
)
def test_an_import_inside_a_function_is_followed_like_one_at_the_top(
    tmp_path: Path, text: str
) -> None:
    assert used_by_text(tmp_path, f"def f():\n    {text}") == COMPUTE


@pytest.mark.parametrize(
    "text",
    [
        "from library import tools\nf(tools)",
        "import library.tools as t\nx = getattr(t, name)",
        "from library import tools\nx = [tools]",
        "import importlib\nimportlib.import_module('library.tools')",
        "from importlib import import_module\ndef f(): return import_module('library.tools').x",
        "__import__('library.tools')",
    ],
)
def test_all_of_a_module_counts_that_is_used_as_a_value(tmp_path: Path, text: str) -> None:
    assert used_by_text(tmp_path, text) == TOOLS


@pytest.mark.parametrize(
    "text",
    [
        "def f(name): return globals()[name]",
        "def f(name): return eval(name)",
        "import sys\ndef f(name): return getattr(sys.modules[__name__], name)",
    ],
)
def test_all_of_a_module_counts_that_looks_up_its_names_dynamically(
    tmp_path: Path, text: str
) -> None:
    text = f"from library.tools import compute\ndef g(): return compute()\n{text}"
    names = used_by_text(tmp_path, "from helper import f\nf('g')", {"helper.py": text})
    assert {"helper.g", *COMPUTE} <= names


def test_the_base_class_of_a_used_class_and_all_its_methods_count(tmp_path: Path) -> None:
    text = "from library.tools import Base\nclass A(Base): ...\nA().method()"
    assert used_by_text(tmp_path, text) == BASE


def test_names_are_followed_from_module_to_module(tmp_path: Path) -> None:
    assert used_by_text(tmp_path, "from library.tools import reach\nreach()") == REACH


@pytest.mark.parametrize(
    "text",
    [
        "try:\n  from fast import compute\nexcept Error:\n  from library.tools import compute",
        "import sys\nif sys.version_info > (3, 9):\n  from library.tools import compute",
    ],
)
def test_an_import_under_a_condition_binds_a_name_of_the_module(tmp_path: Path, text: str) -> None:
    names = used_by_text(
        tmp_path, "from helper import f\nf()", {"helper.py": f"{text}\nf = compute"}
    )
    assert names >= {"helper.f", *COMPUTE}


@pytest.mark.parametrize("condition", ["TYPE_CHECKING", "typing.TYPE_CHECKING"])
def test_an_import_for_type_checkers_alone_does_not_count(tmp_path: Path, condition: str) -> None:
    text = (
        f"import typing\nfrom typing import TYPE_CHECKING\nif {condition}:\n  import library.tools"
    )
    assert used_by_text(tmp_path, f"{text}\ndef f(x: 'library.tools.Base'): ...") == set()


@pytest.mark.parametrize("name", ["PAIR", "FIRST", "REST"])
def test_each_name_of_an_assignment_stands_for_all_of_it(tmp_path: Path, name: str) -> None:
    names = used_by_text(tmp_path, f"from library.tools import {name}")
    assert names == {f"library.tools.{name}" for name in ("PAIR", "FIRST", "REST")}


@pytest.mark.parametrize(
    "text",
    [
        "A = 1\nA = compute()",
        "A = 1\nA += compute()",
        "A = []\nA.append(compute())",
        "A = {}\nA['x'] = compute()",
        "from library.tools import compute as A\nA = A",
        "def A(): ...\ndef A(): return compute()",
        "class A: ...\nA.x = compute()",
        "A = 1\nif True: A = compute()",
        "import library.deep as A\nA.far = compute()",
    ],
)
def test_all_that_binds_or_changes_a_name_counts(tmp_path: Path, text: str) -> None:
    helper = f"from library.tools import compute\n{text}"
    names = used_by_text(tmp_path, "from helper import A\nprint(A)", {"helper.py": helper})
    assert names >= COMPUTE


@pytest.mark.parametrize(
    "text",
    [
        "import library.effects",
        "from library import effects",
        "from library.effects import unused as f",
        "def f():\n  from library import effects",
        "import helper",
    ],
)
def test_statements_that_bind_nothing_count_wherever_their_module_is_imported(
    tmp_path: Path, text: str
) -> None:
    names = used_by_text(tmp_path, text, {"helper.py": "import library.effects"})
    assert f"library.effects.{EFFECTS}" in names


@pytest.mark.parametrize(
    ("helper", "counts"),
    [
        ("@registry.add\ndef f(): ...", True),
        ("@registry.add\nclass A: ...", True),
        ("@cache\ndef f(): ...", False),
        ("@dataclass(frozen=True)\nclass A: ...", False),
        ("_ = registry.add(3)", True),
        ("registry.size = 3", True),
        ("(registry.size, x) = 3, 4", True),
        ("registry: object", False),
        ("from __future__ import annotations", True),
    ],
)
def test_a_decorator_or_a_target_that_may_change_something_else_is_an_effect(
    tmp_path: Path, helper: str, counts: bool
) -> None:
    names = used_by_text(tmp_path, "import helper", {"helper.py": helper})
    assert (f"helper.{EFFECTS}" in names) is counts


def test_the_packages_of_a_module_are_loaded_with_it(tmp_path: Path) -> None:
    names = used_by_text(
        tmp_path,
        "from a.b.c import f\nf()",
        {
            "a/__init__.py": "print('a')",
            "a/b/__init__.py": "print('b')\nfrom a.b.d import g",
            "a/b/c.py": "from library.tools import compute\ndef f(): return 1",
            "a/b/d.py": "print('d')\ndef g(): ...",
        },
    )
    assert names == {"a.", "a.b.", "a.b.d.", "a.b.c.f"}


def test_relative_imports_are_followed_in_packages_and_in_their_modules(tmp_path: Path) -> None:
    names = used_by_text(
        tmp_path,
        "from a.b import f\nf()",
        {
            "a/__init__.py": "",
            "a/near.py": "def n(): return 1",
            "a/b/__init__.py": "from . import c\nfrom .. import near\n"
            "def f(): return c.g() + near.n()",
            "a/b/c.py": "from .d import h\nfrom ..near import n\ndef g(): return h() + n()",
            "a/b/d.py": "def h(): ...",
        },
    )
    assert names == {"a.b.f", "a.b.c.g", "a.b.d.h", "a.near.n"}


def test_names_that_a_package_exports_again_are_followed_to_their_origin(tmp_path: Path) -> None:
    names = used_by_text(
        tmp_path,
        "from a import f, helper\nimport a\nf()\nhelper.far()\na.size",
        {
            "a/__init__.py": "from library import deep as helper\n"
            "from library.tools import LIMIT as size\nfrom library.tools import compute as f",
        },
    )
    assert names == {*COMPUTE, "library.deep.far", "library.tools.LIMIT"}


def test_names_that_a_stub_lists_are_followed_to_their_origin(tmp_path: Path) -> None:
    write_package(
        tmp_path,
        {
            **LIBRARY,
            "a/__init__.py": "__getattr__ = load(1)",
            "a/__init__.pyi": "from .b import g as g\nfrom library.tools import compute as compute",
            "a/b.py": "def g(): return 1",
            "main.py": "import a\nfrom a import compute\na.g()",
        },
    )
    assert used(tmp_path) == {*COMPUTE, "a.b.g", "a.__getattr__"}


def test_a_name_that_a_modules_own_getattr_computes_stands_for_it(tmp_path: Path) -> None:
    helper = "from library.tools import compute\ndef __getattr__(name): return compute()"
    names = used_by_text(tmp_path, "import helper\nhelper.anything", {"helper.py": helper})
    assert names == {"helper.__getattr__", *COMPUTE}


def test_circles_of_imports_end(tmp_path: Path) -> None:
    names = used_by_text(
        tmp_path,
        "from a import f, ghost\nfrom c import *\nf()",
        {
            "a.py": "from b import ghost\ndef f(): return g()\nfrom b import g",
            "b.py": "from a import ghost, f\ndef g(): return f()",
            "c.py": "from d import *",
            "d.py": "from c import *\nX = missing",
        },
    )
    assert names == {"a.f", "b.g", "d.X"}


def test_folders_without_an_init_are_packages_too(tmp_path: Path) -> None:
    more = {"space/inner.py": "def f(): ...\ndef g(): ..."}
    assert used_by_text(tmp_path, "import space.inner\nspace.inner.f()", more) == {"space.inner.f"}
    assert used_by_text(tmp_path, "from space import inner\ninner.g()", more) == {"space.inner.g"}


def test_what_is_left_out_is_left_out_with_all_that_only_it_uses(tmp_path: Path) -> None:
    text = "from library import tools, effects\nfrom library.deep import near\n"
    write_package(tmp_path, {**LIBRARY, "main.py": f"{text}tools.reach()\nnear()"})
    assert used(tmp_path, without=["library.tools", "library.effects"]) == {"library.deep.near"}
    assert used(tmp_path, without=["library.tools.reach"]) == {
        "library.deep.near",
        f"library.effects.{EFFECTS}",
        "library.effects.TABLE",
    }


def test_the_first_folder_that_has_a_module_is_read(tmp_path: Path) -> None:
    for name, text in (("first", "def f(): return g()\ndef g(): ..."), ("second", "f = 1")):
        write_package(tmp_path / name, {"helper.py": text, "main.py": "from helper import f\nf()"})
    definitions = Source([tmp_path / "first", tmp_path / "second"]).used_by("main")
    assert ("helper", "g") in definitions


def test_one_entry_of_a_registry_is_followed_without_the_others(tmp_path: Path) -> None:
    registry = "def f(): ...\ndef g(): return f()\ndef h(): ...\nR = {'g': g, 'h': [h, max]}"
    write_package(tmp_path, {"registry.py": registry})
    source = Source([tmp_path])
    assert set(source.used_by_entry(("registry", "R"), "g")) == {
        ("registry", "R[g]"),
        ("registry", "g"),
        ("registry", "f"),
    }
    assert set(source.used_by_entry(("registry", "R"), "h")) == {
        ("registry", "R[h]"),
        ("registry", "h"),
    }
