"""What each stage costs to import, and what it can do without."""

import subprocess
import sys

import pytest

from tests.support.study import ROOT

HEAVY = {"torch", "torchvision", "pandas", "matplotlib", "mlflow", "dvc"}
NEEDED = {
    "stages.download": set(),  # torchvision only if it is asked
    "stages.train": {"torch"},
    "stages.extract": {"torch", "pandas"},
    "stages.diagnose": {"pandas"},
    "stages.render": {"pandas", "matplotlib"},
    "stages.report": {"pandas"},
    "stages.track": set(),  # as long as there is nothing to mirror
    "vanishing.tracking.mirror": {"pandas", "mlflow"},
    "vanishing.tracking.live": {"mlflow"},
    "stages.validate": set(),
    "tools.check": set(),
}


def test_every_stage_is_named_here() -> None:
    modules = {f"stages.{path.stem}" for path in (ROOT / "stages").glob("*.py")}
    assert modules - {"stages.__init__"} == {name for name in NEEDED if name in modules}


@pytest.mark.parametrize("module", NEEDED)
def test_a_stage_imports_what_it_needs_and_no_more(module: str) -> None:
    # A None in sys.modules is a package that is not installed.
    code = (
        "import sys\n"
        f"for name in {sorted(HEAVY - NEEDED[module])}: sys.modules[name] = None\n"
        f"import {module}\n"
        f"print(*(name for name in {sorted(NEEDED[module])} if name not in sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "", "needed no more: take it off the list"
