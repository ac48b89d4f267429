"""The package: what its wheel holds, and what works with the core dependencies alone."""

import os
import shutil
import subprocess
import sys
import zipfile
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tests.support.documentation import code_blocks
from tests.support.study import ROOT

# Imported with an extra alone: `data`, `pipeline`, `tracking`, `lightning`, `huggingface`.
OPTIONAL = (
    *("vanishing.integrations.lightning", "vanishing.integrations.huggingface"),
    *("vanishing.datasets.download", "vanishing.datasets.sources"),
    *("vanishing.pipeline", "vanishing.tracking"),
    "vanishing.gate.plugin",  # pytest imports it
)
BUILD = "import hatchling.build as b, sys; print(getattr(b, sys.argv[1])(sys.argv[2]))"


def build(kind: str, folder: Path) -> zipfile.Path:
    """Build a wheel of the project in `folder`, by what pip and uv call; return its content."""
    command = [sys.executable, "-c", BUILD, f"build_{kind}", str(folder)]
    name = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return zipfile.Path(folder / name.split()[-1])


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.Path:
    """Give the wheel's content."""
    return build("wheel", tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def environment(wheel: zipfile.Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give an environment with the wheel and, of this environment, the core dependencies alone."""
    folder = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder / "venv"], check=True)
    python = folder / "venv/bin/python"
    uv = Path(sys.executable).with_name("uv")
    options = ["--quiet", "--offline", "--no-cache", "--no-deps", "--python", str(python)]
    subprocess.run([uv, "pip", "install", *options, str(wheel.root.filename)], check=True)
    (folder / "core").mkdir()
    link(core_distributions(wheel), folder / "core")
    (site_packages,) = (folder / "venv/lib").glob("python3.*/site-packages")
    (site_packages / "core.pth").write_text(f"{folder / 'core'}\n")
    return folder


def core_distributions(wheel: zipfile.Path) -> set[str]:
    """Return the distributions that the wheel requires without extras, directly or not."""
    (folder,) = (path for path in wheel.iterdir() if path.name.endswith(".dist-info"))
    project = metadata.PathDistribution(folder)
    reached: set[tuple[str, str]] = set()  # of distribution and extra
    waiting = applicable(project.requires, "")
    while waiting:
        requirement = waiting.pop()
        for extra in ("", *requirement.extras):
            if (requirement.name, extra) not in reached:
                reached.add((requirement.name, extra))
                waiting += applicable(metadata.requires(requirement.name), extra)
    return {name for name, _ in reached}


def applicable(requirements: list[str] | None, extra: str) -> list[Requirement]:
    """Return the requirements that hold on this machine with an extra, or with '' without any."""
    parsed = [Requirement(text) for text in requirements or []]
    return [
        entry for entry in parsed if not entry.marker or entry.marker.evaluate({"extra": extra})
    ]


def link(distributions: set[str], folder: Path) -> None:
    """Link all that the distributions have in this environment's site-packages into `folder`."""
    for name in distributions:
        distribution = metadata.distribution(name)
        for entry in {file.parts[0] for file in distribution.files or []} - {"..", "__pycache__"}:
            if not (folder / entry).exists():
                (folder / entry).symlink_to(Path(str(distribution.locate_file(entry))))


def run(environment: Path, *command: str) -> str:
    """Run a program of the environment, in a folder of its own; return what it prints."""
    program, *arguments = command
    done = subprocess.run(
        [environment / "venv/bin" / program, *arguments],
        cwd=environment,
        env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_wheel_holds_the_library_alone_with_its_data(wheel: zipfile.Path) -> None:
    names = {path.name for path in wheel.iterdir()}
    assert {name for name in names if not name.endswith(".dist-info")} == {"vanishing"}
    assets = [f"explorer/assets/{name}" for name in ("page.html.j2", "page.css", "main.js")]
    for file in ("__init__.pyi", "py.typed", "reporting/report.md.j2", *assets):
        assert (wheel / "vanishing" / file).is_file(), file


def test_an_editable_install_finds_every_package_of_the_repository(tmp_path: Path) -> None:
    (pth,) = (path for path in build("editable", tmp_path).iterdir() if path.name.endswith(".pth"))
    assert [Path(line) for line in pth.read_text().splitlines()] == [ROOT]


def test_the_command_says_its_version(environment: Path) -> None:
    (folder,) = (environment / "venv/lib").glob("python3.*/site-packages/*.dist-info")
    version = folder.name.removesuffix(".dist-info").rpartition("-")[2]
    assert run(environment, "vanishing", "--version") == f"vanishing {version}\n"


@pytest.mark.slow
def test_every_module_is_imported_and_a_network_recorded_without_extras(environment: Path) -> None:
    modules = [
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for path in sorted((ROOT / "vanishing").rglob("*.py"))
    ]
    core = [name for name in modules if not name.startswith(OPTIONAL)]
    script = environment / "script.py"
    example = code_blocks(ROOT / "docs/library.md", "python")[0]
    script.write_text("\n".join([f"import {name}" for name in core] + [example]))
    assert "attenuation: 0." in run(environment, "python", "script.py")


def test_the_environment_lacks_what_only_extras_bring(environment: Path) -> None:
    assert shutil.which("python", path=str(environment / "venv/bin"))
    code = "import importlib.util, sys; print(*map(importlib.util.find_spec, sys.argv[1:]))"
    extras = (
        *("dvc", "mlflow", "ray", "torchvision", "lightning", "transformers", "accelerate"),
        *("stages", "tools", "cluster"),
    )
    found = run(environment, "python", "-c", code, *extras)
    assert set(found.split()) == {"None"}
