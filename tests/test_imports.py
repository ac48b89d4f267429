"""The heavy packages that each command imports when it starts: no more than it needs."""

import subprocess
import sys

import pytest

from tests.support.study import ROOT

HEAVY = {"torch", "torchvision", "pandas", "matplotlib", "mlflow", "dvc"}
NEEDED: dict[str, set[str]] = {
    "vanishing": set(),
    "vanishing.cli": set(),
    "stages.__main__": set(),
    "stages.fingerprint": set(),
    "stages.validate": {"pandas"},  # by the module of the claims
    "stages.download": set(),  # torchvision in a process of its own
    "stages.train": {"torch"},
    "stages.extract": {"torch", "pandas"},
    "stages.initialise": {"torch", "pandas"},
    "stages.diagnose": {"pandas"},
    "stages.render": {"pandas", "matplotlib"},
    "stages.remedy": {"torch", "pandas"},
    "stages.report": {"pandas"},  # likewise
    "stages.track": set(),  # as long as there is nothing to mirror
    "vanishing.recorder": {"torch"},
    "vanishing.tracking.mirror": {"pandas", "mlflow"},
    "vanishing.tracking.live": {"mlflow"},
    "tools.check": set(),
    "tools.repro": set(),
    "tools.review": set(),  # as long as no curve changed
    "tools.summary": set(),
}


def test_every_stage_is_in_the_list() -> None:
    modules = {f"stages.{path.stem}" for path in (ROOT / "stages").glob("*.py")}
    assert modules - {"stages.__init__"} == {name for name in NEEDED if name.startswith("stages.")}


def test_light_modules_import_no_heavy_package() -> None:
    check_imports([name for name, needed in NEEDED.items() if not needed], set())


@pytest.mark.slow
@pytest.mark.parametrize("module", [name for name, needed in NEEDED.items() if needed])
def test_a_module_imports_what_it_needs_and_no_more(module: str) -> None:
    check_imports([module], NEEDED[module])


def check_imports(modules: list[str], needed: set[str]) -> None:
    """Import modules in a new Python where no other heavy package than those needed is there."""
    # A None in sys.modules is a package that is not installed.
    code = (
        "import sys\n"
        f"for name in {sorted(HEAVY - needed)}: sys.modules[name] = None\n"
        f"import {', '.join(modules)}\n"
        f"print(*(name for name in {sorted(needed)} if name not in sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "", "no longer needed: remove from NEEDED"
