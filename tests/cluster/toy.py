"""A small DVC repository for `python -m cluster`, and the commands that run in it."""

import subprocess
import sys
from pathlib import Path

from tests.support.dvc_repository import call, environment_in
from tests.support.study import ROOT

# `prepare` drops comments: an edit of a comment in its input changes no output.
DIAMOND = """
stages:
  prepare:
    cmd: >-
      mkdir -p prepared && grep -v '^#' input.txt > prepared/a.txt && echo b > prepared/b.txt
    deps: [input.txt]
    outs: [prepared]
  fan:
    matrix:
      name: [x, y]
    cmd: >-
      echo ${item.name} >> $RUNS; cat prepared/a.txt > ${item.name};
      echo ${item.name} >> ${item.name}
    deps: [prepared]
    outs: ["${item.name}"]
  join:
    cmd: cat x y > join && echo "{\\"lines\\":" $(wc -l < join) "}" > metrics.json
    deps: [x, y]
    outs: [join]
    metrics:
      - metrics.json:
          cache: false
"""

# `slow` waits for ten minutes, or for a signal, unless the file $RUNS.again exists.
SLOW = """
stages:
  quick:
    cmd: echo quick >> $RUNS; echo quick > quick
    deps: [input.txt]
    outs: [quick]
  slow:
    cmd: >-
      echo slow >> $RUNS; echo $PPID $$ > $RUNS.processes;
      trap : USR1; test -e $RUNS.again ||
      { sleep 600 & echo $! >> $RUNS.processes; wait; kill $!; }; echo slow > slow
    deps: [quick]
    outs: [slow]
"""

# One dvc.yaml for the root and for studies/one, which has a link to it.
STUDIES = """
stages:
  prepare:
    cmd: python -m toolbox.prepare ${root}
    deps: ["${root}/toolbox", "${root}/data.txt", "${root}/base/base.txt"]
    outs: [prepared.txt]
    meta:
      ray: {num_cpus: 0.5, keep: [notes, no-such-file]}
  fan:
    matrix:
      name: ${names}
    cmd: cat prepared.txt prepared.txt > ${item.name}
    deps: [prepared.txt]
    outs: ["${item.name}"]
  closing:
    cmd: wc -l < x > lines.txt
    deps: [x]
    outs:
      - lines.txt:
          cache: false
"""
_BASE = "stages: {make: {cmd: cat source > base.txt, deps: [source], outs: [base.txt]}}\n"
_PREPARE = """
import json
import os
import sys
from pathlib import Path

root = Path(sys.argv[1])
texts = [(root / name).read_text() for name in ("data.txt", "base/base.txt")]
Path("prepared.txt").write_text("".join(texts))
Path("notes").mkdir(exist_ok=True)
notes = {
    "variable": os.environ["NOTE"],
    "wait policy": os.environ["OMP_WAIT_POLICY"],
    "code is the copy's": Path(__file__).parents[1] == root.resolve(),
}
Path("notes/prepare.json").write_text(json.dumps(notes))
"""


def lay_out_diamond(folder: Path) -> None:
    """Create a repository with the pipeline DIAMOND."""
    _initialise(folder)
    (folder / "dvc.yaml").write_text(DIAMOND)
    (folder / "input.txt").write_text("# a comment\nhello\n")
    _commit(folder)


def lay_out_studies(folder: Path) -> None:
    """Create a repository with the pipeline STUDIES, data of `dvc add`, and a second pipeline."""
    _initialise(folder)
    contents = {
        "dvc.yaml": STUDIES,
        "params.yaml": "root: .\nnames: [x]\n",
        "studies/one/params.yaml": "root: ../..\nnames: [x, y]\n",
        "toolbox/__init__.py": "",
        "toolbox/prepare.py": _PREPARE,
        "base/dvc.yaml": _BASE,
        "base/source": "base\n",
        "data.txt": "data\n",
    }
    for name, text in contents.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    (folder / "studies/one/dvc.yaml").symlink_to("../../dvc.yaml")
    dvc(folder, "add", "data.txt")
    _commit(folder)


def _initialise(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    call(folder, "git", "init", "-q")
    (folder / ".dvc").mkdir()
    (folder / ".dvc/config").write_text("[core]\n    analytics = false\n")
    (folder / ".dvc/.gitignore").write_text("/config.local\n/tmp\n/cache\n")
    (folder / ".dvcignore").write_text("__pycache__\n")
    (folder / ".gitignore").write_text("__pycache__\n")


def _commit(folder: Path) -> None:
    call(folder, "git", "add", "-A")
    call(folder, "git", "commit", "-qm", "pipeline")


def dvc(folder: Path, *arguments: str, **variables: str) -> None:
    """Run DVC."""
    call(folder, sys.executable, "-m", "dvc", *arguments, variables=variables)


def begin(folder: Path, *arguments: str, **variables: str) -> subprocess.Popen[str]:
    """Start `python -m cluster`; stages append their names to the file `runs` beside `folder`."""
    toy_variables = {"PYTHONPATH": str(ROOT), "RUNS": str(folder.parent / "runs")}
    return subprocess.Popen(
        [sys.executable, "-m", "cluster", *arguments],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment_in(folder, **toy_variables, **variables),
    )


def run(folder: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run `python -m cluster` to its end."""
    with begin(folder, *arguments, **variables) as process:
        printed, errors = process.communicate()
    return subprocess.CompletedProcess(arguments, process.returncode, printed, errors)


def runs(folder: Path) -> list[str]:
    """Return the names of the stages that ran, sorted; only `fan`, `quick` and `slow` note them."""
    path = folder.parent / "runs"
    return sorted(path.read_text().split()) if path.exists() else []


def states(printed: str) -> dict[str, list[str]]:
    """Return {stage: its states, in order} of the progress that the driver printed."""
    stages: dict[str, list[str]] = {}
    all_states = {"queued", "running", "done", "cached", "unchanged", "failed"}
    for line in printed.splitlines():
        words = line.split()
        state = next((word for word in words if word in all_states), None)
        if words[1:2] == ["s"] and state:
            stages.setdefault(words[words.index(state) + 1], []).append(state)
    return stages


def same_results(folder: Path, expected: Path) -> bool:
    """Tell whether dvc.lock and the outputs of DIAMOND equal those in another folder."""
    names = ("dvc.lock", "join", "metrics.json", "prepared/b.txt")
    return all((folder / n).read_bytes() == (expected / n).read_bytes() for n in names)
