"""The review of a branch, on real Git histories."""

import hashlib
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from tests.support.study import tiny_params, write_params
from tools import review
from tools.commits import Commit
from vanishing.errors import StudyError

URL = "https://github.com/someone/study"
STUDY = Path("studies/one")


class Files:
    """The files of a study that a review reads; `root` is the way to the repository's root."""

    def __init__(self, root: str = ".") -> None:
        self.params = tiny_params()
        variants = list(self.params["variants"])
        self.stages: dict[str, Any] = {
            f"{stage}@{name}-0": {
                "cmd": f"python -m stages {stage} {name} 0",
                "deps": [
                    {"path": f"data/fingerprints/{stage}", "md5": "a"},
                    {"path": f"data/fingerprints/variants/{name}", "md5": "a"},
                    {"path": "data/raw", "md5": "a"},
                ],
                "params": {},
            }
            for name in variants
            for stage in ("train", "extract")
        }
        self.stages["fingerprint"] = {"deps": [{"path": f"{root}/vanishing", "md5": "a"}]}
        template = f"{root}/vanishing/report.md.j2"
        self.stages["report"] = {"deps": [{"path": template, "md5": "a"}]}
        self.metrics: dict[str, Any] = {
            name: {"test_accuracy": 0.5, "train_loss": 1.5, "attenuation_init": 0.1}
            for name in variants
        }
        self.health: list[dict[str, Any]] = [
            {"variant": name, "rule": rule, "verdict": "fine"}
            for name in variants
            for rule in ("vanishing_gradient", "overfit")
        ]
        self.claims: list[dict[str, Any]] = [
            {"id": "relu-avoids", "claim": "ReLU avoids it.", "verdict": "refuted", "effect": 0.4}
        ]
        self.figures = {"health.png": b"1", "variants/relu.png": b"1", "variants/sigmoid.png": b"1"}

    def write(self, folder: Path) -> None:
        """Write the files into a study's folder."""
        folder.mkdir(parents=True, exist_ok=True)
        write_params(folder, self.params)
        YAML().dump({"stages": self.stages}, folder / "dvc.lock")
        contents = {"metrics": self.metrics, "health": self.health, "claims": self.claims}
        for name, content in contents.items():
            path = folder / "reports" / f"{name}.json"
            path.parent.mkdir(exist_ok=True)
            path.write_text(json.dumps(content))
        for name, picture in self.figures.items():
            path = folder / "reports/figures" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(picture)


class Repository:
    """A Git repository with a study in its root, and a branch to commit to."""

    def __init__(self, folder: Path, top: Path | None = None) -> None:
        self.folder = folder
        self.files = Files()
        (folder / ".dvc").mkdir(parents=True)
        self.git("init", "-q", "-b", "main", str(top or folder))
        self.commit("the study")
        self.git("checkout", "-q", "-b", "branch")

    def git(self, *arguments: str) -> str:
        """Run Git."""
        command = ["git", "-c", "user.name=a", "-c", "user.email=a@b", *arguments]
        done = subprocess.run(command, cwd=self.folder, check=True, capture_output=True, text=True)
        return done.stdout.strip()

    def commit(self, message: str) -> str:
        """Write the root's study and commit everything; return the commit."""
        self.files.write(self.folder)
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", message)
        return self.git("rev-parse", "HEAD")

    def review(self, study: Path | None = None, url: str | None = URL) -> str:
        """Review HEAD against the branch `main`."""
        base, head = Commit(self.git("merge-base", "main", "HEAD")), Commit("HEAD")
        return review.review(base, head, review.choose_studies(base, head, study), url)


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Repository:
    """Give a repository on a branch, as the working directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GITHUB_REPOSITORY", raising=False)
    return Repository(tmp_path)


@pytest.fixture
def files(repository: Repository) -> Files:
    """Give the files of the study in the repository's root, to change."""
    return repository.files


def cells(markdown: str) -> list[list[str]]:
    """Return the cells of every row of every table."""
    lines = [line for line in markdown.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_a_branch_that_changes_no_study_is_reviewed_in_one_line(repository: Repository) -> None:
    (repository.folder / "README.md").write_text("prose")
    repository.files.stages["fingerprint"]["deps"][0]["md5"] = "b"  # as after an edited comment
    repository.commit("prose alone")
    (line,) = repository.review().splitlines()
    assert line.startswith("Nothing of the study differs from `")


def test_a_changed_variant_is_listed_and_no_other(repository: Repository, files: Files) -> None:
    base = repository.git("rev-parse", "HEAD")
    files.params["variants"]["relu"]["width"] = 12
    files.stages["train@relu-0"]["params"] = {"params.yaml": {"variants.relu": "new"}}
    files.stages["train@relu-0"]["cmd"] = "another"
    for dependency in files.stages["extract@relu-0"]["deps"]:
        dependency["md5"] = "b"
    files.stages["report"]["deps"][0]["md5"] = "b"
    files.metrics["relu"] |= {"test_accuracy": 0.75, "train_loss": 1.75, "attenuation_init": 1}
    files.health[2]["verdict"] = "problem"
    files.claims[0] |= {"verdict": "supported", "effect": 0.987654321}
    files.figures["variants/relu.png"] = b"2"
    head = repository.commit("narrower")
    markdown = repository.review()
    assert markdown.startswith("## What this changes in the study\n")
    rows = cells(markdown)
    for row in (
        ["variants.relu.width", "16", "12"],
        ["train@\u200brelu-0", "params.yaml, its command"],
        ["extract@\u200brelu-0", "code, data/raw"],
        ["report", "vanishing/report.md.j2"],
        ["relu", "test_accuracy", "0.5", "0.75", "+0.25", "↑ 🟢 better"],
        ["relu", "train_loss", "1.5", "1.75", "+0.25", "↑ 🔴 worse"],
        ["relu", "attenuation_init", "0.1", "1", "+0.9", "↑ ⚪ changed"],
        ["relu", "vanishing gradient", "fine", "problem"],
        ["ReLU avoids it.", "refuted", "supported", "0.4", "0.987654"],
    ):
        assert row in rows
    before, after = (f"{URL}/blob/{sha}/reports/figures/variants/relu.png" for sha in (base, head))
    assert ["variants/relu", f"![]({before}?raw=true)", f"![]({after}?raw=true)"] in rows
    assert "sigmoid" not in markdown
    assert f"{URL}/compare/{base}...{head}" in markdown


def test_new_and_removed_variants_are_named_as_such(repository: Repository, files: Files) -> None:
    for variants in (files.params["variants"], files.metrics):
        variants["tanh"] = variants["relu"]
        del variants["sigmoid-batchnorm"]
    files.stages["train@tanh-0"] = files.stages.pop("train@sigmoid-batchnorm-0")
    files.figures["variants/tanh.png"] = b"new"
    repository.commit("another")
    rows = cells(repository.review())
    assert ["tanh", "test_accuracy", "-", "0.5", "", "new"] in rows
    assert ["sigmoid-batchnorm", "test_accuracy", "0.5", "-", "", "removed"] in rows
    assert ["train@\u200btanh-0", "new"] in rows
    assert ["train@\u200bsigmoid-batchnorm-0", "removed"] in rows
    (figure,) = [row for row in rows if row[0] == "variants/tanh"]
    assert figure[1] == "-"
    assert figure[2].startswith("![]")


def test_each_changed_study_has_a_heading(repository: Repository, files: Files) -> None:
    repository.git("checkout", "-q", "main")
    study, unchanged = Files("../.."), Files("../..")
    study.write(repository.folder / STUDY)
    unchanged.write(repository.folder / "studies/unchanged")
    base = repository.commit("two more studies")
    repository.git("checkout", "-q", "-B", "branch")
    files.params["train"]["epochs"] = 3
    study.params["train"]["epochs"] = 4
    study.figures["health.png"] = b"2"
    study.stages["report"]["deps"][0]["md5"] = "b"
    study.write(repository.folder / STUDY)
    repository.commit("longer")
    root, one = repository.review().split("\n## ")
    assert root.startswith("## What this changes in the study\n")
    assert ["train.epochs", "2", "3"] in cells(root)
    assert one.startswith("What this changes in studies/one\n")
    assert ["train.epochs", "2", "4"] in cells(one)
    assert ["report", "vanishing/report.md.j2"] in cells(one)
    assert f"{URL}/blob/{base}/studies/one/reports/figures/health.png" in one
    assert "health.png" not in root

    assert repository.review(study=repository.folder / STUDY) == f"## {one}"


def test_a_study_is_named_from_its_own_folder_as_well(
    repository: Repository,
    files: Files,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    files.params["train"]["epochs"] = 3
    study = Files("../..")
    study.write(repository.folder / STUDY)
    repository.commit("one study changed, and one new")
    monkeypatch.chdir(repository.folder / STUDY)
    review.main(["--base", "main", "--study", "."])
    printed = capsys.readouterr().out
    assert printed.startswith("## What this changes in studies/one\n")
    assert "in the study" not in printed


def test_the_project_may_be_a_folder_of_a_larger_repository(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "teams/gradients"
    repository = Repository(folder, tmp_path)
    repository.files.params["train"]["epochs"] = 3
    repository.files.figures["health.png"] = b"2"
    (tmp_path / "params.yaml").write_text("of: another project")
    head = repository.commit("longer")
    monkeypatch.chdir(folder)
    monkeypatch.setenv("GITHUB_REPOSITORY", "someone/all")
    review.main(["--base", "main"])
    printed = capsys.readouterr().out
    assert ["train.epochs", "2", "3"] in cells(printed)
    assert "of: " not in printed
    path = "teams/gradients/reports/figures/health.png"
    assert f"(https://github.com/someone/all/blob/{head}/{path}?raw=true)" in printed


def test_new_and_removed_studies_are_compared_with_nothing(repository: Repository) -> None:
    Files().write(repository.folder / STUDY)
    repository.commit("a study")
    markdown = repository.review()
    assert "## What this changes in studies/one\n" in markdown
    assert ["train.epochs", "-", "2"] in cells(markdown)
    assert ["train@\u200brelu-0", "new"] in cells(markdown)
    repository.git("branch", "-f", "main")
    repository.git("rm", "-rq", str(STUDY))
    repository.commit("none")
    assert ["train.epochs", "2", "-"] in cells(repository.review())


@pytest.mark.usefixtures("repository")
def test_an_unknown_study_is_refused() -> None:
    with pytest.raises(StudyError, match=r"STUDY=studies/two: no such study .*; there are: \."):
        review.main(["--base", "main", "--study", "studies/two"])


def test_it_compares_with_the_merge_base(repository: Repository, files: Files) -> None:
    files.params["variants"]["relu"]["depth"] = 4
    repository.commit("on the branch")
    repository.git("checkout", "-q", "main")
    files.params["variants"]["relu"]["depth"] = 3
    files.params["train"]["epochs"] = 9
    repository.commit("meanwhile, on main")
    repository.git("checkout", "-q", "branch")
    markdown = repository.review()
    assert "variants.relu.depth" in markdown
    assert "epochs" not in markdown


def test_a_long_review_is_shortened_with_a_link(repository: Repository, files: Files) -> None:
    for i in range(3000):
        files.metrics[f"v{i}"] = {"test_accuracy": 0.5, "train_loss": 1.0}
    files.params["train"]["epochs"] = 3
    repository.commit("many")
    markdown = repository.review()
    assert len(markdown) <= review.LIMIT
    assert len(markdown) > review.LIMIT / 2
    assert "train.epochs" in markdown
    left_out = int(markdown.split("… and ")[1].split(" more")[0])
    assert left_out + markdown.count("| test_accuracy |") == 3000
    assert "more: [" in markdown
    assert f"({URL}/compare/" in markdown.split("more: ")[1]


def test_of_very_many_studies_the_first_are_shown(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(6):
        Files().write(repository.folder / f"studies/{number}")
    repository.commit("many studies")
    monkeypatch.setattr(review, "LIMIT", 6000)
    markdown = repository.review()
    assert len(markdown) <= 6000
    assert "in studies/0\n" in markdown
    shown = markdown.count("## What this changes in studies/")
    assert f"… and {6 - shown} more studies: [" in markdown


def test_names_and_values_of_a_branch_are_text_and_no_markup(
    repository: Repository, files: Files
) -> None:
    hostile = "<img src=x onerror=alert(1)> [a](http://b) @everyone | `x`\n## y"
    files.params["variants"]["relu"]["activation"] = hostile
    repository.commit("hostile")
    (row,) = [line for line in repository.review().splitlines() if "variants.relu.activ" in line]
    assert "<img" not in row
    assert "[a](" not in row.replace("\\[a\\](", "")
    assert "@everyone" not in row
    assert len([c for c in row.replace("\\|", "") if c == "|"]) == 4


def test_without_a_repository_on_github_figures_are_named(
    repository: Repository, files: Files
) -> None:
    files.figures["health.png"] = b"2"
    head = repository.commit("redrawn")
    markdown = repository.review(url=None)
    assert f"`git show {head[:9]}:./reports/figures/health.png`" in markdown
    assert "http" not in markdown


@pytest.mark.parametrize(
    "origin", ["https://github.com/a/b.git", "git@github.com:a/b.git", "https://github.com/a/b"]
)
def test_the_repositorys_address_is_that_of_origin(repository: Repository, origin: str) -> None:
    assert review.repository_url() is None
    repository.git("remote", "add", "origin", origin)
    assert review.repository_url() == "https://github.com/a/b"


@pytest.mark.usefixtures("repository")
def test_an_unknown_base_is_named() -> None:
    with pytest.raises(StudyError, match=r"BASE=origin/main: no such commit.*git fetch"):
        review.main([])


def test_the_command_prints_and_writes_the_same(
    repository: Repository, files: Files, capsys: pytest.CaptureFixture[str]
) -> None:
    files.params["train"]["epochs"] = 3
    repository.commit("longer")
    (repository.folder / "params.yaml").write_text("changed: meanwhile")
    out = repository.folder / "outside/review.md"
    review.main(["--base", "main", "--out", str(out)])
    printed = capsys.readouterr()
    assert out.read_text() == printed.out
    assert ["train.epochs", "2", "3"] in cells(printed.out)
    assert "not committed" in printed.err


@pytest.mark.parametrize("name", ["dvc.lock", "reports/metrics.json"])
def test_a_file_with_marks_of_a_conflict_is_named(repository: Repository, name: str) -> None:
    repository.commit("longer")
    path = repository.folder / name
    path.write_text("<<<<<<< HEAD\n" + path.read_text())
    repository.git("commit", "-qam", "merged in haste")
    with pytest.raises(StudyError, match=rf"{name} in \w+: .*; commit a whole file") as error:
        repository.review()
    assert len(str(error.value).splitlines()) == 1


def test_results_of_two_states_are_named_first(repository: Repository, files: Files) -> None:
    def record(metrics: str, statistics: str) -> None:
        files.stages["diagnose"] = {
            "deps": [{"path": "data/statistics", "md5": "a"}],
            "outs": [{"path": "reports/metrics.json", "md5": metrics}],
        }
        outs = [{"path": "data/statistics/relu/seed-0", "md5": statistics}]
        files.stages["extract@relu-0"]["outs"] = outs

    content = json.dumps(files.metrics)
    current = hashlib.md5(content.encode(), usedforsecurity=False).hexdigest()
    record(current, "a")
    repository.commit("of one state")
    repository.git("branch", "-f", "main")
    files.params["train"]["epochs"] = 3
    repository.commit("longer")
    assert "Stale" not in repository.review()
    record("b", "b")
    repository.commit("only one variant was reproduced")
    _, stale, *_ = repository.review().split("### ")
    assert stale.startswith("Stale: not of one state")
    assert cells(stale)[1:] == [
        ["reports/metrics.json", "is not the file that dvc.lock records"],
        ["diagnose", "did not run with the new results of extract@\u200brelu-0"],
    ]
