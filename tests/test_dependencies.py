"""dvc.yaml against the code: each stage's `deps` and `params` are what its module needs."""

import ast
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from stages import diagnose, download, extract, render, report, track, train, validate
from tests.support.study import ROOT, tiny_params, write_lock
from vanishing.params.load import load
from vanishing.params.base import Section
from vanishing.params.study import Study, Variant
from vanishing.tracking.store import Store

PIPELINE = YAML(typ="safe", pure=True).load(ROOT / "dvc.yaml")["stages"]
MAINS: dict[str, Callable[[], None]] = {
    "validate": lambda: validate.main([]),
    "download": lambda: download.main([]),
    "train": lambda: train.main(["relu"]),
    "extract": lambda: extract.main(["relu"]),
    "diagnose": lambda: diagnose.main([]),
    "render": lambda: render.main([]),
    "report": lambda: report.main([]),
    "track": lambda: track.main([]),
}


def definition(stage: str) -> dict[str, Any]:
    """Return a stage's definition, whether or not it is a `foreach`."""
    found: dict[str, Any] = PIPELINE[stage].get("do", PIPELINE[stage])
    return found


def imported(module: Path) -> set[Path]:
    """Return the project's modules that a module imports, and templates that it names."""
    found = set()
    for node in ast.walk(ast.parse(module.read_text())):
        names = []
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.Constant) and str(node.value).endswith(".j2"):
            found.add(ROOT / "vanishing/reporting" / str(node.value))
        found |= {ROOT / f"{name.replace('.', '/')}.py" for name in names}
    return {
        path
        for path in found
        if path.is_file() and {ROOT / "stages", ROOT / "vanishing"} & set(path.parents)
    }


def closure(module: Path) -> set[Path]:
    """Return `module` and all that it imports, directly or not."""
    reached: set[Path] = set()
    waiting = {module}
    while waiting:
        path = waiting.pop()
        reached.add(path)
        if path.suffix == ".py":
            waiting |= imported(path) - reached
    return reached


def test_each_stage_is_a_module_and_each_module_a_stage() -> None:
    modules = {path.stem for path in (ROOT / "stages").glob("*.py")} - {"__init__"}
    assert set(PIPELINE) == modules == set(MAINS)


@pytest.mark.parametrize("stage", PIPELINE)
def test_command_names_the_stages_module(stage: str) -> None:
    argument = " ${key}" if "foreach" in PIPELINE[stage] else ""
    assert definition(stage)["cmd"] == f"python -m stages.{stage}{argument}"


@pytest.mark.parametrize("stage", PIPELINE)
def test_deps_are_all_modules_that_the_stage_imports(stage: str) -> None:
    listed = {
        ROOT / dep for dep in definition(stage)["deps"] if dep.startswith(("stages/", "vanishing/"))
    }
    assert listed == closure(ROOT / "stages" / f"{stage}.py")


def test_packages_hold_nothing_that_a_stage_could_depend_on() -> None:
    for path in (ROOT / "stages").rglob("__init__.py"):
        assert len(ast.parse(path.read_text()).body) == 1, f"{path}: only a docstring belongs here"


class Reads:
    """Which leaves of params.yaml are read, by watching the validated objects."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.leaves: set[str] = set()
        self._prefixes: dict[int, str] = {}
        self._settings: Study | None = None
        load = section.load
        read, dump, equal = Section.__getattribute__, Section.model_dump, Section.__eq__

        def watched_load(model: type[Study], path: Path = PARAMS) -> Study:
            self._settings = load(model, path)  # kept, or another object could get its id
            self._place(self._settings, "")
            return self._settings

        def watched_read(section: Section, name: str) -> Any:
            if name in type(section).model_fields and id(section) in self._prefixes:
                self._note(section, name, read(section, name))
            return read(section, name)

        def watched_dump(section: Section, **options: Any) -> dict[str, Any]:
            self._note_all(section)
            return dump(section, **options)

        def watched_equal(section: Section, other: object) -> bool:
            for each in (section, other):
                if isinstance(each, Section):
                    self._note_all(each)
            return equal(section, other)

        monkeypatch.setattr(section, "load", watched_load)
        monkeypatch.setattr(Section, "__eq__", watched_equal)
        monkeypatch.setattr(Section, "__getattribute__", watched_read)
        monkeypatch.setattr(Section, "model_dump", watched_dump)

    def _place(self, section: Section, prefix: str) -> None:
        for name, value in vars(section).items():
            if isinstance(value, Section):
                self._place(value, f"{prefix}{name}.")
        if isinstance(section, Study):
            for variant in vars(section)["variants"].values():
                self._prefixes[id(variant)] = "variants.${key}."
        self._prefixes[id(section)] = prefix

    def _note(self, section: Section, name: str, value: Any) -> None:
        if isinstance(section, Variant):
            self.leaves.add("variants.${key}")
        elif not isinstance(value, Section):
            self.leaves.add(self._prefixes[id(section)] + name)

    def _note_all(self, section: Section) -> None:
        for name, value in vars(section).items():
            if isinstance(value, Section):
                self._note_all(value)
            elif id(section) in self._prefixes:
                self._note(section, name, value)


def thresholds() -> dict[str, dict[str, Any]]:
    """Return the section `diagnose` of params.yaml."""
    found: dict[str, dict[str, Any]] = tiny_params()["diagnose"]
    return found


@pytest.mark.parametrize("stage", PIPELINE)
def test_params_are_the_leaves_that_the_stage_reads(
    stage: str, study_folder: Path, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder in ("models", "data", "reports"):
        shutil.copytree(study_folder / folder, workspace / folder)
    write_lock(workspace)
    monkeypatch.setattr(Store, "__init__", lambda *_: None)  # which params it reads is all
    monkeypatch.setattr(Store, "ensure", lambda *_: False)  # that is wanted of track here
    monkeypatch.setattr(Store, "retire", lambda *_: None)
    reads = Reads(monkeypatch)
    MAINS[stage]()
    if stage == "validate":
        assert definition(stage)["params"] == [{"params.yaml": None}]  # all of it, whatever it is
        return
    leaves = {"data.checksums" if x.startswith("data.checksums.") else x for x in reads.leaves}
    rules = {f"diagnose.{r}.{leaf}" for r, limits in thresholds().items() for leaf in limits}
    if rules <= leaves:
        leaves = leaves - rules | {"diagnose"}
    if "foreach" in PIPELINE[stage]:
        leaves -= {"variants"}  # read to look the variant up, no more
    else:
        leaves = {"variants" if x == "variants.${key}" else x for x in leaves}
    assert sorted(leaves) == sorted(definition(stage)["params"])
