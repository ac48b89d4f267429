"""Which stages run after which edit: real DVC in temporary Git repositories."""

import gzip
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from dvc.exceptions import DvcException
from dvc.repo import Repo

from tests.support import mlflow_server
from tests.support.dvc_repository import (
    CLOSING,
    PYTHON,
    call,
    clone,
    edit_code,
    edit_text,
    make,
    ran,
    repro,
)
from tests.support.study import BASELINE, DIGITS, tiny_params, write_params
from tools import stale
from vanishing.files import sha256
from vanishing.paths import ARTICLE, EFFECTS, IDENTITIES, TEMPLATE

VARIANTS = list(tiny_params()["variants"])
TRAINED = [f"train@{name}-0" for name in VARIANTS]
EXTRACTED = [f"extract@{name}-0" for name in VARIANTS]
INITIALISED = [f"initialise@{name}" for name in VARIANTS]
MEASURED = [*TRAINED, *EXTRACTED, *INITIALISED]
OF_RELU = ["train@relu-0", "extract@relu-0", "initialise@relu"]
REPORTED = CLOSING[1:]
PRINTED = (EFFECTS, ARTICLE)  # code of which the report prints the text

Content = dict[str, Any]


@pytest.mark.slow
def test_results_are_small_and_data_stay_out_of_git(finished: Path, tmp_path: Path) -> None:
    tracked = call(finished, "git", "ls-files").split()
    assert {"dvc.lock", "reports/README.md", "reports/metrics.json"} < set(tracked)
    assert not [name for name in tracked if name.startswith(("data/", "models/"))]
    assert repro(finished) == []
    assert call(finished, "git", "status", "--porcelain") == ""

    assert "relu.test_accuracy" in call(finished, *PYTHON, "dvc", "metrics", "show", "--md")
    call(finished, *PYTHON, "dvc", "plots", "show", "--out", str(tmp_path / "plots"))
    html = (tmp_path / "plots/index.html").read_text()
    for title in ("training loss", "test accuracy", "gradient decay"):
        assert title in html
    assert '"field": "variant"' in html
    assert '"variant": "relu"' in html


@pytest.mark.slow
def test_text_and_the_code_around_stages_change_no_result(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(repository)
    identities = IDENTITIES.read_bytes()
    folders = ("cluster", "stages", "tools", "vanishing")
    modules = [path for folder in folders for path in Path(folder).rglob("*.py")]
    for path in PRINTED:
        modules.remove(path)
    assert len({path.parent for path in modules}) > 12  # every room
    for path in modules:
        edit_text(path)
    assert stale.stale_stages({}) == {}
    excluded = [f"--exclude={path}" for path in PRINTED]
    formatting = ["ruff", "format", "-q", "--line-length", "60", *excluded]
    subprocess.run([*formatting, *folders], check=True)
    assert stale.stale_stages({}) == {}
    around = [*Path("cluster").glob("*.py"), *Path("tools").glob("*.py")]
    around += [Path(f"stages/{name}.py") for name in ("__main__", "fingerprint")]
    around += [Path(f"vanishing/pipeline/{n}.py") for n in ("guard", "lifetime", "fingerprint")]
    for path in around:
        edit_code(path)
    assert stale.stale_stages({}) == {}

    printed = make(repository, "repro")
    assert ran(printed) == ["fingerprint"]
    assert "MLflow: nothing new" in printed
    assert IDENTITIES.read_bytes() == identities
    assert call(repository, "git", "diff", "--name-only", "dvc.lock", "reports") == "dvc.lock\n"
    assert "up to date" in call(repository, *PYTHON, "tools.stale")
    call(repository, "git", "checkout", "-q", *folders)
    assert repro(repository) == []  # the fingerprints are restored
    assert call(repository, "git", "status", "--porcelain") == ""


EDITED_CODE = {
    "vanishing/tracking/store.py": ["track"],
    "vanishing/judging/health.py": CLOSING,
    "vanishing/reporting/panels.py": REPORTED,
    "vanishing/reporting/markdown.py": ["report", "track"],
    "vanishing/training/loop.py": [*TRAINED, *EXTRACTED, *CLOSING],
    "vanishing/stats/exact.py": [*EXTRACTED, *INITIALISED, *CLOSING],
    "vanishing/recording/snapshots.py": [*EXTRACTED, *CLOSING],
    "vanishing/theory/meanfield.py": [*INITIALISED, *CLOSING],
    "vanishing/networks/mlp.py": ["validate", *MEASURED, *CLOSING],
    "vanishing/datasets/download.py": ["validate", "download", *MEASURED, *CLOSING],
}


@pytest.mark.slow
def test_an_edit_of_code_makes_the_stages_stale_that_use_it(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(repository)
    stages = {}
    for name in EDITED_CODE:
        text = Path(name).read_text()
        edit_code(Path(name))
        stages[name] = list(stale.stale_stages({}))
        Path(name).write_text(text)
    assert stages == EDITED_CODE
    assert stale.stale_stages({}) == {}

    for path in (TEMPLATE, *PRINTED):
        text = path.read_text()
        path.write_text(f"{text}\n")
        assert list(stale.stale_stages(stale.dvc_status())) == ["report", "track"]
        path.write_text(text)


@pytest.mark.slow
def test_an_entry_of_a_registry_concerns_the_variants_that_name_it(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(repository)
    activations = Path("vanishing/activations.py")
    text = activations.read_text()
    activations.write_text(text.replace('"ReLU"', '"ReLU6"'))
    assert changed_by_code() == OF_RELU
    entry = 'ACTIVATIONS = {\n    "unused": None,\n'
    activations.write_text(text.replace("ACTIVATIONS = {\n", entry))
    initialisers = Path("vanishing/initialisers.py")
    entry = 'INITIALISERS = {\n    "unused": None,\n'
    initialisers.write_text(initialisers.read_text().replace("INITIALISERS = {\n", entry))
    assert changed_by_code() == []
    assert "unused" in activations.read_text()
    assert "unused" in initialisers.read_text()
    stages = repro(repository, *MEASURED)
    assert {"fingerprint", "validate"} <= set(stages)
    assert not set(MEASURED) & set(stages)


def changed_by_code() -> list[str]:
    """Return the stages of variants in the working directory whose own code changed."""
    reasons = stale.stale_stages({})
    return [stage for stage in MEASURED if reasons.get(stage, "").endswith(" changed")]


@pytest.mark.slow
def test_edits_that_change_no_number_stop_where_they_began(repository: Path) -> None:
    loop = repository / "vanishing/training/loop.py"
    edit_code(loop)
    assert repro(repository, "extract@relu-0") == ["fingerprint", "train@relu-0"]
    call(repository, "git", "checkout", "-q", str(loop))

    for name in ("judging/health", "tracking/store"):
        edit_code(repository / f"vanishing/{name}.py")
    assert repro(repository) == ["fingerprint", "diagnose", "track"]
    assert "reports" not in call(repository, "git", "diff", "--name-only")

    call(repository, "git", "checkout", "-q", "vanishing")
    # DVC may run stages with outputs that it does not cache: the JSON files, the identities.
    assert not set(repro(repository)) - {"diagnose", "track"}
    assert call(repository, "git", "status", "--porcelain") == ""


def set_width(content: Content) -> None:
    """Change the network of one variant."""
    content["variants"]["relu"]["width"] = 12


def set_momentum(content: Content) -> None:
    """Change how all networks are trained."""
    content["train"]["optimizer"]["momentum"] = 0.5


def set_sweep(content: Content) -> None:
    """Change what is measured of fresh initialisations, and nothing else."""
    content["extract"]["sweep_seeds"] = 1


def set_threshold(content: Content) -> None:
    """Change a health rule."""
    content["diagnose"]["vanishing_attenuation"]["below"] = 0.5


def set_expectation(content: Content) -> None:
    """Expect something of a variant."""
    content["expect"] = {"relu": {"exploding_tensor": False}}


def add_variant(content: Content) -> None:
    """Add a variant."""
    content["variants"]["tanh"] = BASELINE | {"activation": "tanh", "compare_to": "sigmoid"}


def remove_variant(content: Content) -> None:
    """Remove a variant."""
    del content["variants"]["relu"]


def add_seed(content: Content) -> None:
    """Add a seed."""
    content["train"]["seeds"] = [0, 1]


def replace_seed(content: Content) -> None:
    """Replace the seed."""
    content["train"]["seeds"] = [1]


EDITED_PARAMS: dict[Callable[[Content], None], list[str]] = {
    set_width: ["validate", *OF_RELU, *CLOSING],
    set_momentum: ["validate", *TRAINED, *EXTRACTED, *CLOSING],
    set_sweep: ["validate", *INITIALISED, *CLOSING],
    set_threshold: ["validate", *CLOSING],
    set_expectation: ["validate"],
    add_variant: ["validate", "train@tanh-0", "extract@tanh-0", "initialise@tanh", *CLOSING],
    remove_variant: ["validate", *CLOSING],
    add_seed: [
        "validate",
        *(f"{stage}@{name}-1" for stage in ("train", "extract") for name in VARIANTS),
        *CLOSING,
    ],
    replace_seed: [
        "validate",
        *(f"{stage}@{name}-1" for stage in ("train", "extract") for name in VARIANTS),
        *CLOSING,
    ],
}


@pytest.mark.slow
def test_an_edit_of_params_makes_the_stages_stale_that_read_it(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(repository)
    stages = {}
    for change in EDITED_PARAMS:
        content = tiny_params()
        change(content)
        write_params(repository, content)
        stages[change] = list(stale.stale_stages(stale.dvc_status()))
    assert stages == EDITED_PARAMS


@pytest.mark.slow
def test_a_dry_run_names_stages_and_runs_none(repository: Path) -> None:
    content = tiny_params()
    set_width(content)
    write_params(repository, content)
    lock = (repository / "dvc.lock").read_bytes()
    stages = repro(repository, "--dry", "--allow-missing")
    # DVC does not know what `train` would write, and so not whether `extract` would run.
    reading = ["fingerprint", "validate", "train@relu-0", "initialise@relu", *CLOSING]
    assert sorted(stages) == sorted(reading)
    assert (repository / "dvc.lock").read_bytes() == lock


@pytest.mark.slow
def test_names_of_variants_and_seeds_reach_no_shell(repository: Path) -> None:
    for variants, seeds, problem in [
        ("relu; touch done $(touch done) $(shell touch done)", "", "no variant 'relu;'"),
        ("", "0; touch done", "no seed '0;'"),
        ("relu rely", "", "no variant 'rely' (did you mean relu?)"),
    ]:
        printed = make(repository, "repro", status=2, VARIANTS=variants, SEEDS=seeds)
        assert problem in printed
    assert not list(repository.rglob("done"))


@pytest.mark.slow
def test_changed_raw_data_go_through_every_stage(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = repository / "data/raw/MNIST/raw/t10k-images-idx3-ubyte"
    before = path.read_bytes()
    path.unlink()
    path.write_bytes(b"damaged")
    assert repro(repository) == []  # they are restored from the cache
    assert path.read_bytes() == before

    source = shutil.copytree(DIGITS, tmp_path / "source")
    packed = source / f"{path.name}.gz"
    content = bytearray(gzip.decompress(packed.read_bytes()))
    content[-1] ^= 0xFF
    packed.unlink()
    (source / path.name).write_bytes(content)
    params = tiny_params()
    params["data"]["checksums"][path.name] = sha256(source / path.name)
    write_params(repository, params)
    assert repro(repository, "download", VANISHING_DATA_SOURCE=str(source)) == ["download"]
    monkeypatch.chdir(repository)
    stages = list(stale.stale_stages(stale.dvc_status()))
    assert stages == ["validate", *MEASURED, *CLOSING]


@pytest.mark.slow
def test_a_clone_without_data_is_up_to_date_and_names_what_an_edit_makes_stale(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = clone(finished, tmp_path / "clone")
    assert repro(copy, "--dry", "--allow-missing") == []
    monkeypatch.chdir(copy)
    assert stale.stale_stages(stale.dvc_status()) == {}
    content = tiny_params()
    set_width(content)
    write_params(copy, content)
    printed = make(copy, "stale", status=2)
    stages = [line.split()[2] for line in printed.splitlines() if " is stale: " in line]
    assert stages == ["validate", *OF_RELU, *CLOSING]
    assert "variants.relu modified" in printed
    assert "run: make repro, and commit dvc.lock and reports/" in printed


@pytest.mark.slow
def test_two_states_are_never_shown_as_one(repository: Path) -> None:
    content = tiny_params()
    content["train"]["optimizer"]["learning_rate"] = 0.5
    write_params(repository, content)
    printed = make(repository, "repro", VARIANTS="relu")
    verdicts = {line.split()[0]: line for line in printed.splitlines() if "%" in line}
    assert "stale: " in verdicts["relu"]
    assert "`make repro` judges the rows again" in printed
    assert "health.json: is stale: " in make(repository, "check", status=2)
    assert "error: " in make(repository, "track", status=2)
    runs = mlflow_server.runs(f"sqlite:///{repository}/mlflow.db")
    assert {run.info.status for run in runs} == {"FINISHED"}
    before = call(repository, "git", "show", "HEAD:reports/metrics.json")
    assert (repository / "reports/metrics.json").read_text() == before

    write_params(repository, tiny_params())
    assert "stale" not in make(repository, "repro", VARIANTS="relu")
    assert call(repository, "git", "status", "--porcelain") == ""
    (repository / "reports/health.json").write_text("[]")
    assert "health.json: is stale: " in make(repository, "check", status=2)


@pytest.mark.slow
def test_a_copy_of_weights_survives(repository: Path) -> None:
    shutil.copytree(repository / "models/relu", repository / "models/relu-before")
    content = tiny_params()
    del content["variants"]["relu"]
    write_params(repository, content)
    make(repository, "repro")
    assert (repository / "models/relu-before/seed-0/epoch-002.safetensors").exists()
    assert not (repository / "models/relu").exists()
    assert not (repository / "data/training/relu").exists()
    shutil.copytree(
        repository / "data/training/sigmoid", repository / "data/training/sigmoid-before"
    )
    printed = make(repository, "repro", status=2)
    assert "error: data/training/sigmoid-before/seed-0: of no variant and seed" in printed


@pytest.mark.slow
def test_publish_pushes_the_lock_and_the_reports_and_nothing_else(
    repository: Path, tmp_path: Path
) -> None:
    call(tmp_path, "git", "init", "-q", "--bare", "origin.git")
    call(repository, "git", "remote", "add", "origin", str(tmp_path / "origin.git"))
    (repository / "reports/README.md").write_text("rewritten")
    of_study = ["studies/one/dvc.lock", "studies/one/reports/README.md"]
    for name in (*of_study, "studies/one/params.yaml"):
        (repository / name).parent.mkdir(parents=True, exist_ok=True)
        (repository / name).write_text("new")
    (repository / "params.yaml").write_text((repository / "params.yaml").read_text() + "# mine")
    for _ in range(2):  # the second time there is nothing to commit
        make(repository, "publish", BRANCH="topic")
    log = call(tmp_path / "origin.git", "git", "log", "--format=%s", "--name-only", "topic", "-1")
    title, names = log.split("\n\n")
    assert title == "Reproduce the study"
    assert names.split() == ["reports/README.md", *of_study]
    assert call(tmp_path / "origin.git", "git", "rev-list", "--count", "topic").strip() == "2"


@pytest.mark.slow
def test_a_misspelt_key_stops_the_pipeline_before_any_work(repository: Path) -> None:
    content = tiny_params()
    content["train"]["epoch"] = 3
    write_params(repository, content)
    shutil.rmtree(repository / "models/relu")
    wrong = (
        "error: params.yaml: train.epoch: unknown key (did you mean epochs?); allowed: epochs,"
        " batch_size, optimizer, clip_norm, precision, snapshots, evaluation_size, trace_every,"
        " device, seeds"
    )
    printed = call(repository, *PYTHON, "stages", "train", "relu", "0", status=1)
    assert printed.splitlines() == [wrong]
    assert make(repository, "repro", status=2).splitlines()[0] == wrong
    assert not (repository / "models/relu").exists()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["a;touch done", "$(touch done)", "a|touch done", "../done", "-h"])
def test_a_variants_name_reaches_no_shell_even_under_plain_dvc(
    repository: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    before = sorted((repository / "models").rglob("*"))
    content = tiny_params()
    content["variants"][name] = BASELINE | {"compare_to": "sigmoid"}
    write_params(repository, content)
    monkeypatch.chdir(repository)
    with pytest.raises(DvcException), Repo() as repo:
        repo.reproduce()
    assert "done" not in {path.name for path in repository.rglob("*")}
    assert sorted((repository / "models").rglob("*")) == before
