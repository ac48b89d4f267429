"""Constructs that would execute what is read, or reach further than they should, are not here."""

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.study import ROOT

CODE = sorted(
    path
    for folder in ("stages", "tools", "cluster", "benchmarks")
    for path in (ROOT / folder).rglob("*.py")
)
MODULES = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "marshal", "shelve", "yaml"}
CALLS = {"eval", "exec", "compile", "__import__"}
ATTRIBUTES = {
    *("os.system", "os.popen", "torch.load", "torch.hub", "np.load", "pd.read_pickle"),
    *("subprocess.getoutput", "subprocess.getstatusoutput"),
}
LOCKS = sorted(ROOT.glob("requirements*.lock"))


def forbidden(tree: ast.AST) -> Iterator[str]:
    """Yield what a module has that it should not."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [alias.name for alias in node.names]
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            yield from (f"line {node.lineno}: {n}" for n in names if n.split(".")[0] in MODULES)
        elif isinstance(node, ast.Attribute) and ast.unparse(node) in ATTRIBUTES:
            yield f"line {node.lineno}: {ast.unparse(node)}"
        elif isinstance(node, ast.Call):
            yield from _in_call(node)


def _in_call(node: ast.Call) -> Iterator[str]:
    name = ast.unparse(node.func)
    keywords = {each.arg: ast.unparse(each.value) for each in node.keywords}
    where = f"line {node.lineno}: {name}"
    if name in CALLS:
        yield where
    if keywords.get("shell", "False") != "False":
        yield f"{where} with a shell"
    if name.endswith((".extractall", ".unpack_archive")):
        yield f"{where}, which writes wherever the archive says"
    if name == "YAML" and keywords.get("typ") not in {None, "'safe'", "'rt'"}:
        yield f"{where} with typ={keywords['typ']}"


@pytest.mark.parametrize("path", CODE, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_nothing_executes_what_it_reads(path: Path) -> None:
    assert list(forbidden(ast.parse(path.read_text()))) == []


@pytest.mark.parametrize(
    "code",
    [
        "import pickle",
        "from joblib import load",
        "eval('1')",
        "torch.load('x')",
        "os.system('x')",
        "subprocess.run('x', shell=True)",
        "tar.extractall('x')",
        "YAML(typ='unsafe')",
    ],
)
def test_the_search_finds_what_it_is_for(code: str) -> None:
    assert len(list(forbidden(ast.parse(code)))) == 1


@pytest.mark.parametrize("path", LOCKS, ids=lambda path: path.name)
def test_every_requirement_has_a_hash(path: Path) -> None:
    entries = re.split(r"\n(?=[a-zA-Z0-9])", path.read_text())
    requirements = [entry for entry in entries if "==" in entry.splitlines()[0]]
    assert len(requirements) > 0
    assert [entry.splitlines()[0] for entry in requirements if "--hash=sha256:" not in entry] == []


def test_the_environment_is_installed_by_hash() -> None:
    installs = re.findall(r"pip (?:install|sync).*", (ROOT / "tools/setup.sh").read_text())
    assert len(installs) > 0
    assert [line for line in installs if "--require-hashes" not in line] == []


def test_mlflows_pages_are_for_this_machine_alone() -> None:
    recipe = subprocess.run(
        ["make", "-n", "-o", "setup", "ui"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    assert "--host 127.0.0.1" in recipe
