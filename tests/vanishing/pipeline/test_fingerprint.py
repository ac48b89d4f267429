"""Fingerprints of code: what changes them and what does not."""

import hashlib
import re
import shutil
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path

import pytest

from tests.support.study import ROOT, link_code, tiny_params, write_params
from tests.vanishing.pipeline.packages import write_package
from vanishing.errors import StudyError
from vanishing.params.diagnose import Judged
from vanishing.params.load import load
from vanishing.paths import ARTICLE, FINGERPRINTS, stage_fingerprint, variant_fingerprint
from vanishing.pipeline.fingerprint import (
    BY_VARIANT,
    changed_definitions,
    differences,
    fingerprint_stage,
    fingerprints,
)
from vanishing.pipeline.source import Source

WORK = """
import numpy as np

RATE = 0.1

def scale(x, factor=2, *, offset=1):
    return [np.exp(x) * factor + offset, "text", RATE]

class Model:
    size: int = 3
    def run(self, x):
        if x is None:
            raise ValueError("no x")
        return scale(x, 3)

def main():
    return Model().run(1)
"""


def work_lines(folder: Path, text: str) -> dict[str, str]:
    """Return {definition: digest} of a stage `work` with this text."""
    write_package(folder, {"stages/work.py": text})
    fingerprint = fingerprint_stage("work", Source([folder]))
    return dict(line.split(" ") for line in fingerprint.splitlines())


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("RATE = 0.1", "RATE = 0.1  # per step"),
        ("RATE = 0.1", "# a remark\n\n\nRATE    =   0.1;"),
        ("RATE = 0.1", "RATE = (\n    0.1\n)"),
        ("RATE = 0.1", "RATE = 0.10_0"),
        ("RATE = 0.1", 'RATE = 0.1\n"""The rate."""'),
        ("\nimport", '"""A docstring."""\nimport'),
        ("class Model:", 'class Model:\n    """A model."""'),
        ("    def run(self, x):", '    def run(self, x):\n        """Run."""'),
        ("    size: int = 3", '    size: int = 3\n    """Of the model."""\n'),
        ('"text"', "'text'"),
        ('"text"', 'u"text"'),
        ('"text"', '"te" "xt"'),
        ('"text"', '"""text"""'),
        ("factor=2, *, offset=1", "\n    factor=2,\n    *,\n    offset=1,\n"),
        ("np.exp(x) * factor", "(np.exp(x)) * factor"),
        ("if x is None:\n            raise", "if x is None: raise"),
        ("def main():", "def unused():\n    return 3\n\ndef main():"),
        ("import numpy as np", "import numpy as np\nimport os"),
    ],
)
def test_comments_docstrings_formatting_and_positions_change_nothing(
    tmp_path: Path, before: str, after: str
) -> None:
    assert before in WORK
    lines = work_lines(tmp_path, WORK.replace(before, after, 1))
    added = {"stages.work.unused", "stages.work.os"}  # all of the stage's own module counts
    assert {k: v for k, v in lines.items() if k not in added} == work_lines(tmp_path, WORK)


@pytest.mark.parametrize(
    ("before", "after", "name"),
    [
        ("import numpy as np", "import scipy as np", "np"),
        ("import numpy as np", "from scipy import numpy as np", "np"),
        ("RATE = 0.1", "RATE = 0.2", "RATE"),
        ("RATE = 0.1", "RATE = 1", "RATE"),
        ("RATE = 0.1", "RATE: float = 0.1", "RATE"),
        ("factor=2", "factor=3", "scale"),
        ("factor=2", "factor=2.0", "scale"),
        ("offset=1", "offset=True", "scale"),
        ("offset=1", "offset=None", "scale"),
        ("*, offset", "offset", "scale"),
        ("def scale", "async def scale", "scale"),
        ("def scale", "@cache\ndef scale", "scale"),
        ("* factor", "/ factor", "scale"),
        ("* factor + offset", "* (factor + offset)", "scale"),
        ("np.exp", "np.log", "scale"),
        ('"text"', '"Text"', "scale"),
        ('"text"', 'b"text"', "scale"),
        ('"text"', 'f"text"', "scale"),
        ("    return [", '    f"no docstring: {x}"\n    return [', "scale"),
        ("RATE]", "RATE,]; pass", "scale"),
        ("class Model:", "class Model(object):", "Model"),
        ("size: int = 3", "size: float = 3", "Model"),
        ("x is None", "x == None", "Model"),
        ("x is None", "not x is None", "Model"),
        ('"no x"', '"x is missing"', "Model"),
        ("scale(x, 3)", "scale(x, factor=3)", "Model"),
        ("run(1)", "run(-1)", "main"),
        ("run(1)", "run(*[1])", "main"),
    ],
)
def test_an_edit_of_a_definition_changes_its_line_alone(
    tmp_path: Path, before: str, after: str, name: str
) -> None:
    assert before in WORK
    original = work_lines(tmp_path, WORK)
    edited = work_lines(tmp_path, WORK.replace(before, after, 1))
    assert {key for key in original | edited if original.get(key) != edited.get(key)} == {
        f"stages.work.{name}"
    }


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("X = []\nY = X\nX = [1]", "X = []\nX = [1]\nY = X"),
        ("X = []\nX.append(1)\nY = list(X)", "X = []\nY = list(X)\nX.append(1)"),
    ],
)
def test_the_order_of_statements_counts_where_a_name_is_bound_or_changed_again(
    tmp_path: Path, before: str, after: str
) -> None:
    assert work_lines(tmp_path, before) != work_lines(tmp_path, after)


def test_another_origin_of_a_name_counts_even_if_both_are_in_use(tmp_path: Path) -> None:
    helper = "def f(): ...\ndef g(): ..."
    texts = [f"from helper import f, g\nfrom helper import {name} as h\nh()" for name in "fg"]
    write_package(tmp_path, {"helper.py": helper})
    first, second = (work_lines(tmp_path, text) for text in texts)
    assert {name for name in first if first[name] != second[name]} == {"stages.work.h"}


FORMS = '''
"""Every form of syntax."""
import a.b as c
from . import d as e
A, *B = [1, 2.5, 1e300, 3j, -0.0, True, None, ..., b"\\x00\\xff", "é\\u2028\\U0001fae8", 10**20]
B: list[int] = [x for y in A if y for x in y if not x] or {**A} and {*A, *B}
B @= lambda x, /, y=1, *z, w: (yield) if x else x[1:2, ::3, ...]
async def f(x: "int", /, *, y: str | None = None) -> dict[str, "A"]:
    """Docstring."""
    async with x as y, z: await y
    async for x in [z async for z in y]: yield x
    try: return f"{x!r:>{y}} {x=} {{}}" f'{y:%Y}' "z"
    except* ValueError as error: raise E from error
    finally: del x, y[0]
@decorator(1)
class C(A, metaclass=B):
    x: int
    def g(self):
        global q; nonlocal_ = 1
        while (n := q) < 1 <= 2 != 3: break
        else: pass
        match q:
            case {"a": [1, *_], **rest} | C(x=-1 | 2.0) if rest: assert q, "message"
            case None | (2 + 3j) as w: continue_ = ~q // 2 << 3 if not q else q is not None
for i in A: print(i, *A, sep="", **{})
'''


def test_the_form_is_the_same_on_every_python(tmp_path: Path) -> None:
    write_package(tmp_path, {"stages/work.py": FORMS})
    text = fingerprint_stage("work", Source([tmp_path]))
    assert hashlib.sha256(text.encode()).hexdigest() == (
        "a64ecb4acf73e5ac1fbc261b19d07e4afab98226aadb0f4b61ead65197de937e"
    )


@pytest.mark.parametrize("text", ["def f(:", "x = 'open", "\tx", "x = 1\n  y = 2", "\0"])
def test_a_module_that_is_not_python_is_one_line(tmp_path: Path, text: str) -> None:
    with pytest.raises(StudyError, match=r"stages/work\.py:\d+: .") as error:
        work_lines(tmp_path, text)
    assert "\n" not in str(error.value)


def test_differences_are_named_by_definition() -> None:
    before, after = "a.f 1\na.g 2\na.h 3\n", "a.f 1\na.g 3\nb.i 4\n"
    assert differences(before, after) == ["a.g", "a.h", "b.i"]
    assert differences(before, before) == []


def test_changed_definitions_are_named_by_module(tmp_path: Path) -> None:
    after = WORK.replace("RATE = 0.1", "RATE = 0.2").replace("import numpy", "import scipy")
    write_package(tmp_path / "old", {"stages/work.py": WORK, "stages/gone.py": "X = 1\n"})
    write_package(tmp_path / "new", {"stages/work.py": f"# a remark\n{after}\nprint(1)\n"})
    before, now = Source([tmp_path / "old"]), Source([tmp_path / "new"])
    changed = changed_definitions(before, now, ["stages.work", "stages.gone", "stages.new"])
    assert changed == {"stages.work": ["its statements", "RATE", "its imports"]}
    assert changed_definitions(before, before, ["stages.work"]) == {}


STAGES = {path.stem for path in (ROOT / "stages").glob("[a-z]*.py")} - {"fingerprint"}
OF_THE_STUDY = STAGES - set(BY_VARIANT)  # stages that do not work on one variant
VARIANTS = {f"variants/{variant}" for variant in tiny_params()["variants"]}


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a copy of the code with tiny parameters; an edit is to be taken back."""
    folder = tmp_path_factory.mktemp("repository")
    for name in ("stages", "vanishing"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, folder / name, ignore=ignored)
    write_params(folder, tiny_params())
    return folder


@pytest.fixture
def code(repository: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give the copy of the code as the working directory."""
    monkeypatch.chdir(repository)
    return repository


def changed_by(edits: Mapping[str, tuple[str, str]]) -> set[str]:
    """Return the fingerprints that edits change, and take the edits back.

    Args:
        edits: {path: (text to replace, its replacement)}; the end of a file where it is empty.

    Returns:
        The names of stages, and `variants/V` of variants.
    """
    before = fingerprints(load(Judged))
    originals = {Path(name): Path(name).read_bytes() for name in edits}
    for name, (old, new) in edits.items():
        text = Path(name).read_text("utf-8")
        assert old in text
        Path(name).write_text(text.replace(old, new, 1) if old else text + new, "utf-8")
    after = fingerprints(load(Judged))
    for path, content in originals.items():
        path.write_bytes(content)
    return {str(path.relative_to(FINGERPRINTS)) for path in after if before[path] != after[path]}


@pytest.mark.usefixtures("code")
def test_there_is_a_fingerprint_of_each_stage_but_one_and_of_each_variant() -> None:
    texts = fingerprints(load(Judged))
    assert {str(path.relative_to(FINGERPRINTS)) for path in texts} == STAGES | VARIANTS
    some = {stage_fingerprint("train"), variant_fingerprint("relu")}
    assert fingerprints(load(Judged), some) == {path: texts[path] for path in some}
    for text in texts.values():
        lines = text.splitlines()
        assert lines == sorted(lines)
        assert all(re.fullmatch(r"[\w.\[\]]+ [0-9a-f]{64}", line) for line in lines)


def test_a_new_definition_that_nothing_uses_changes_nothing(code: Path) -> None:
    new = '\n\nADDED = 1\n\n\ndef added() -> int:\n    """Return it."""\n    return ADDED\n'
    # After a statement that binds nothing the order of statements counts; this module has some.
    connection = code / "vanishing/tracking/connection.py"
    # These look names up that are not in the text, so that all of each counts.
    dynamic = {code / f"vanishing/recording/{name}.py" for name in ("interception", "sharding")}
    claims = code / ARTICLE  # all of which counts, as of any module that params.yaml names
    modules = [
        path.relative_to(code).as_posix()
        for path in (code / "vanishing").rglob("*.py")
        if path not in {connection, claims, *dynamic}
    ]
    assert len(modules) > 60
    assert changed_by(dict.fromkeys(modules, ("", new))) == set()


@pytest.mark.usefixtures("code")
@pytest.mark.parametrize(
    ("path", "old", "new", "expected"),
    [
        ("activations.py", "return (z > 0)", "return (z >= 0)", {"variants/relu", *OF_THE_STUDY}),
        (
            "activations.py",
            "ACTIVATIONS = {",
            'ACTIVATIONS = {"new": Activation("ELU", _relu, _relu, (0, 1)),',
            OF_THE_STUDY,
        ),
        (
            "initialisers.py",
            "INITIALISERS = {",
            'INITIALISERS = {"new": Initialiser("uniform", lambda _in, _out, _std: 1),',
            OF_THE_STUDY,
        ),
        ("initialisers.py", "1 / (3 * fan_in)),", "1 / (4 * fan_in)),", VARIANTS | OF_THE_STUDY),
        ("pipeline/guard.py", "return [name for path", "return [path for path", set()),
        ("pipeline/lifetime.py", "_INTERVAL_S = 0.5", "_INTERVAL_S = 1", set()),
        ("pipeline/source.py", "return", "return 1 or", set()),
        ("environment.py", '"passive"', '"active"', set()),
        ("cli.py", "VARIANT", "NAME", set()),
        ("__init__.pyi", "# Errors", "from .seeds import generator as generator\n", set()),
        ("tracking/store.py", "class MLflowStore:", "class MLflowStore(object):", {"track"}),
        ("tracking/journal.py", "class Journal:", "class Journal(object):", set()),
        ("training/loop.py", "_EVALUATION_BATCH = 500", "_EVALUATION_BATCH = 1", {"train"}),
        ("theory/meanfield.py", "maxsize=4096", "maxsize=4097", {"initialise"}),
        ("../stages/__main__.py", "end_with_dvc()\n", "pass\n", set()),
        ("../stages/fingerprint.py", "def main", "def other(): ...\n\n\ndef main", set()),
        ("../stages/report.py", "def main", "def other(): ...\n\n\ndef main", {"report"}),
    ],
)
def test_an_edit_changes_the_fingerprints_of_the_stages_that_use_it(
    path: str, old: str, new: str, expected: set[str]
) -> None:
    assert changed_by({f"vanishing/{path}": (old, new)}) == expected


NETS = """
from torch import nn

from vanishing.networks import mlp
from parts.layers import layer

def build(width):
    return nn.Sequential(layer(width), mlp.Linear(width, 10))

def digits():
    return layer(None)
"""
LAYERS = "def layer(inputs): return inputs\ndef unused(): ...\n"


@pytest.fixture
def own_code(workspace: Path) -> None:
    """Lay out a study with code of its own, as the working directory."""
    link_code(workspace)
    write_package(workspace, {"parts/nets.py": NETS, "parts/layers.py": LAYERS})


def own_network(code: str, network: str = "parts.nets:build") -> Judged:
    """Return parameters with a variant that names its own network."""
    content = tiny_params()
    content["code"] = code
    content["variants"]["own"] = {"network": network, "compare_to": "relu"}
    return Judged.model_validate(content)


@pytest.mark.usefixtures("own_code")
def test_an_own_network_is_in_the_fingerprints_of_the_variants_that_name_it() -> None:
    texts = fingerprints(own_network("parts"))
    naming = [path for path, text in texts.items() if "parts." in text]
    assert naming == [variant_fingerprint("own")]
    names = {line.split()[0] for line in texts[variant_fingerprint("own")].splitlines()}
    assert {"parts.nets.build", "parts.layers.layer", "vanishing.networks.linear.Linear"} <= names
    assert "parts.layers.unused" not in names
    others = {path: text for path, text in texts.items() if path != variant_fingerprint("own")}
    assert others == fingerprints(load(Judged))


@pytest.mark.usefixtures("own_code")
def test_a_function_that_returns_the_examples_is_in_the_fingerprint_of_download_alone() -> None:
    content = tiny_params()
    content["code"] = "parts"
    content["data"] = {"dataset": "parts.nets:digits", "train_examples": 10, "test_examples": 10}
    texts, before = fingerprints(Judged.model_validate(content)), fingerprints(load(Judged))
    download = stage_fingerprint("download")
    assert {path for path in texts if texts[path] != before[path]} == {download}
    added = set(texts[download].splitlines()) - set(before[download].splitlines())
    assert {"parts.nets.digits", "parts.layers.layer"} <= {line.split()[0] for line in added}


def test_of_an_installed_package_the_version_counts(workspace: Path) -> None:
    link_code(workspace)
    text = fingerprints(own_network("vanishing", "torchvision.models:resnet18"))
    version = metadata.version("torchvision")
    assert text[variant_fingerprint("own")] == f"torchvision {version}\n"


@pytest.mark.usefixtures("own_code")
def test_own_code_outside_of_what_dvc_watches_is_refused_in_one_line() -> None:
    message = (
        r"^params\.yaml: code: should be parts/layers\.py or a folder that holds it, since"
        r" variants\.own\.network uses it; given parts/nets\.py$"
    )
    with pytest.raises(StudyError, match=message):
        fingerprints(own_network("parts/nets.py"))


def test_an_own_network_whose_module_is_missing_is_one_line(workspace: Path) -> None:
    link_code(workspace)
    message = r"^params\.yaml: variants\.own\.network: parts\.nets:build: there is no module parts"
    with pytest.raises(StudyError, match=message):
        fingerprints(own_network("parts"))


def test_a_study_in_a_folder_has_the_fingerprints_of_the_root(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    link_code(workspace)
    expected = fingerprints(load(Judged))
    folder = workspace / "studies/small"
    write_package(folder, {"parts/nets.py": NETS, "parts/layers.py": LAYERS})
    monkeypatch.chdir(folder)
    texts = fingerprints(own_network("parts").model_copy(update={"root": "../.."}))
    own = variant_fingerprint("own")
    assert "parts.layers.layer " in texts[own]
    assert {path: text for path, text in texts.items() if path != own} == expected


CLAIMS = "from vanishing.judging.claims import Claim\nCLAIMS = ()\ndef rate(t, name): ...\n"


def judged_by(claims: str) -> Judged:
    """Return parameters with other claims."""
    return Judged.model_validate(tiny_params() | {"claims": claims})


@pytest.mark.usefixtures("own_code")
def test_a_module_of_claims_is_in_the_fingerprints_of_what_judges_and_of_nothing_that_trains() -> (
    None
):
    before = fingerprints(load(Judged))
    assert "vanishing.judging.article.CLAIMS" in before[stage_fingerprint("diagnose")]
    write_package(Path(), {"claims.py": CLAIMS})
    texts = fingerprints(judged_by("claims.py"))
    stages = {stage_fingerprint(stage) for stage in ("diagnose", "validate")}
    assert {path for path in texts if texts[path] != before[path]} == stages
    for path in stages:
        assert "claims.rate" in texts[path]
        assert "vanishing.judging.article.CLAIMS" not in texts[path]
    write_package(Path(), {"claims.py": CLAIMS.replace("...", "return t")})
    edited = fingerprints(judged_by("claims.py"))
    assert {path for path in texts if texts[path] != edited[path]} == stages


@pytest.mark.usefixtures("own_code")
def test_missing_claims_are_one_line() -> None:
    with pytest.raises(StudyError, match=r"^params\.yaml: claims: there is no file claims\.py$"):
        fingerprints(judged_by("claims.py"))
