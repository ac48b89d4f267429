"""No code executes what it reads or reaches further than it should; installs are by hash."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.study import ROOT

CODE = sorted(
    path
    for folder in ("vanishing", "stages", "tools", "cluster", "benchmarks")
    for path in (ROOT / folder).rglob("*.py")
)
MODULES = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "marshal", "shelve", "yaml"}
CALLS = {"eval", "exec", "compile", "__import__"}
ATTRIBUTES = {
    *("os.system", "os.popen", "torch.load", "torch.hub", "np.load", "pd.read_pickle"),
    *("subprocess.getoutput", "subprocess.getstatusoutput"),
}
LOCKS = sorted(ROOT.glob("requirements*.lock"))
# The one installation that is not by hash: this project itself, which fetches nothing.
PROJECT = (
    "pip install --no-config --offline --no-deps --no-build-isolation --reinstall --editable ."
)


def forbidden(tree: ast.AST) -> Iterator[str]:
    """Yield the constructs of a module that are forbidden."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            modules = [alias.name for alias in node.names]
            modules += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            yield from (
                f"line {node.lineno}: {module}"
                for module in modules
                if module.split(".")[0] in MODULES
            )
        elif isinstance(node, ast.Attribute) and ast.unparse(node) in ATTRIBUTES:
            yield f"line {node.lineno}: {ast.unparse(node)}"
        elif isinstance(node, ast.Call):
            yield from _in_call(node)


def _in_call(node: ast.Call) -> Iterator[str]:
    name = ast.unparse(node.func)
    keywords = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
    call = f"line {node.lineno}: {name}"
    if name in CALLS:
        yield call
    if keywords.get("shell", "False") != "False":
        yield f"{call} with a shell"
    if name.endswith((".extractall", ".unpack_archive")):
        yield f"{call}, which writes wherever the archive says"
    if name == "YAML" and keywords.get("typ") not in {None, "'safe'", "'rt'"}:
        yield f"{call} with typ={keywords['typ']}"


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
def test_each_forbidden_construct_is_noticed(code: str) -> None:
    assert len(list(forbidden(ast.parse(code)))) == 1


@pytest.mark.parametrize("path", LOCKS, ids=lambda path: path.name)
def test_every_requirement_has_a_hash(path: Path) -> None:
    entries = re.split(r"\n(?=[a-zA-Z0-9])", path.read_text())
    requirements = [entry for entry in entries if "==" in entry.splitlines()[0]]
    assert len(requirements) > 0
    assert [entry.splitlines()[0] for entry in requirements if "--hash=sha256:" not in entry] == []


@pytest.mark.parametrize("file", ["tools/setup.sh", "Makefile"])
def test_every_installation_is_by_hash_or_of_this_project_alone(file: str) -> None:
    script = (ROOT / file).read_text().replace("\\\n", " ")  # continued lines as one
    commands = re.findall(r"pip[a-z\d]* (?:--\S+ )*(?:install|sync)\b.*", script)
    assert len(commands) > 0
    for command in commands:
        words = command.replace('--python "$venv/bin/python"', "").split("||")[0].split()
        assert "--require-hashes" in words or words == PROJECT.split(), command


def test_an_environment_begins_without_packages_that_no_lock_names() -> None:
    environments = re.findall(r"\bvenv .*", (ROOT / "tools/setup.sh").read_text())
    assert [command for command in environments if "--seed" in command] == []
