"""The review of a branch, on real Git histories."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from tests.support.study import tiny_params, write_params
from tools import review
from vanishing.errors import StudyError

URL = "https://github.com/someone/study"


class Repository:
    """A Git repository with a study's files, to commit to."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.git("init", "-q", "-b", "main")
        self.params = tiny_params()
        self.stages: dict[str, Any] = {
            f"{stage}@{name}": {"deps": [{"path": f"stages/{stage}.py", "md5": "a"}], "params": {}}
            for name in self.params["variants"]
            for stage in ("train", "extract")
        }
        self.metrics: dict[str, Any] = {
            name: {"test_accuracy": 0.5, "train_loss": 1.5, "attenuation_init": 0.1}
            for name in self.params["variants"]
        }
        self.health: list[dict[str, Any]] = [
            {"variant": name, "rule": rule, "verdict": "fine"}
            for name in self.params["variants"]
            for rule in ("vanishing_gradient", "overfit")
        ]
        self.claims: list[dict[str, Any]] = [
            {"id": "relu-avoids", "claim": "ReLU avoids it.", "verdict": "refuted", "effect": 0.4}
        ]
        self.figures = {"health.png": b"1", "variants/relu.png": b"1", "variants/sigmoid.png": b"1"}
        self.commit("the study")

    def git(self, *arguments: str) -> str:
        """Run Git."""
        command = ["git", "-c", "user.name=a", "-c", "user.email=a@b", *arguments]
        done = subprocess.run(command, cwd=self.folder, check=True, capture_output=True, text=True)
        return done.stdout.strip()

    def commit(self, message: str) -> str:
        """Write everything and commit it; return the commit."""
        write_params(self.folder, self.params)
        YAML().dump({"stages": self.stages}, self.folder / "dvc.lock")
        contents = {"metrics": self.metrics, "health": self.health, "claims": self.claims}
        for name, content in contents.items():
            path = self.folder / "reports" / f"{name}.json"
            path.parent.mkdir(exist_ok=True)
            path.write_text(json.dumps(content))
        for name, picture in self.figures.items():
            path = self.folder / "reports/figures" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(picture)
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", message)
        return self.git("rev-parse", "HEAD")

    def review(self, base: str = "main", url: str | None = URL) -> str:
        """Review HEAD."""
        return review.review(
            review.Commit(self.git("merge-base", base, "HEAD")), review.Commit("HEAD"), url
        )


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Repository:
    """Give a repository on a branch of its own, as the working directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GITHUB_REPOSITORY", raising=False)
    found = Repository(tmp_path)
    found.git("checkout", "-q", "-b", "branch")
    return found


def test_nothing_changed_is_one_line(repository: Repository) -> None:
    (repository.folder / "README.md").write_text("prose")
    repository.commit("prose alone")
    (line,) = repository.review().splitlines()
    assert line.startswith("Nothing of the study differs from `")


def test_a_changed_variant_shows_itself_and_nothing_else(repository: Repository) -> None:
    base = repository.git("rev-parse", "HEAD")
    repository.params["variants"]["relu"]["width"] = 12
    repository.stages["train@relu"]["params"] = {"params.yaml": {"variants.relu": "new"}}
    repository.stages["extract@relu"]["deps"][0]["md5"] = "b"
    repository.metrics["relu"] |= {"test_accuracy": 0.75, "train_loss": 1.75, "attenuation_init": 1}
    repository.health[2]["verdict"] = "problem"
    repository.claims[0] |= {"verdict": "supported", "effect": 0.987654321}
    repository.figures["variants/relu.png"] = b"2"
    head = repository.commit("narrower")
    text = repository.review()
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in text.splitlines()
        if line.startswith("| ")
    ]
    for row in (
        ["variants.relu.width", "16", "12"],
        ["train@\u200brelu", "params.yaml"],
        ["extract@\u200brelu", "stages/extract.py"],
        ["relu", "test_accuracy", "0.5", "0.75", "+0.25", "↑ 🟢 better"],
        ["relu", "train_loss", "1.5", "1.75", "+0.25", "↑ 🔴 worse"],
        ["relu", "attenuation_init", "0.1", "1", "+0.9", "↑ ⚪ changed"],
        ["relu", "vanishing gradient", "fine", "problem"],
        ["ReLU avoids it.", "refuted", "supported", "0.4", "0.987654"],
    ):
        assert row in rows
    before, after = (f"{URL}/blob/{sha}/reports/figures/variants/relu.png" for sha in (base, head))
    assert ["variants/relu", f"![]({before}?raw=true)", f"![]({after}?raw=true)"] in rows
    assert "sigmoid" not in text
    assert f"{URL}/compare/{base}...{head}" in text


def test_new_and_removed_variants_are_named_as_such(repository: Repository) -> None:
    for of in (repository.params["variants"], repository.metrics):
        of["tanh"] = of["relu"]
        del of["sigmoid-batchnorm"]
    repository.stages["train@tanh"] = repository.stages.pop("train@sigmoid-batchnorm")
    repository.figures["variants/tanh.png"] = b"new"
    repository.commit("another")
    lines = [" ".join(line.split()) for line in repository.review().splitlines()]
    assert "| tanh | test_accuracy | - | 0.5 | | new |" in lines
    assert "| sigmoid-batchnorm | test_accuracy | 0.5 | - | | removed |" in lines
    assert "| train@\u200btanh | new |" in lines
    assert "| train@\u200bsigmoid-batchnorm | removed |" in lines
    (figure,) = [line for line in lines if line.startswith("| variants/tanh")]
    assert figure.startswith("| variants/tanh | - | ![]")


def test_it_compares_with_the_merge_base_not_with_what_came_after(repository: Repository) -> None:
    repository.params["variants"]["relu"]["depth"] = 4
    repository.commit("on the branch")
    repository.git("checkout", "-q", "main")
    repository.params["variants"]["relu"]["depth"] = 3
    repository.params["train"]["epochs"] = 9
    repository.commit("meanwhile, on main")
    repository.git("checkout", "-q", "branch")
    text = repository.review()
    assert "variants.relu.depth" in text
    assert "epochs" not in text


def test_a_long_review_is_shortened_with_a_link(repository: Repository) -> None:
    for i in range(3000):
        repository.metrics[f"v{i}"] = {"test_accuracy": 0.5, "train_loss": 1.0}
    repository.params["train"]["epochs"] = 3
    repository.commit("many")
    text = repository.review()
    assert len(text) <= review.LIMIT
    assert len(text) > review.LIMIT / 2
    assert "train.epochs" in text
    left_out = int(text.split("… and ")[1].split(" more")[0])
    assert left_out + text.count("| test_accuracy |") == 3000
    assert "more: [" in text
    assert f"({URL}/compare/" in text.split("more: ")[1]


def test_what_a_branch_brings_is_text_and_no_markup(repository: Repository) -> None:
    hostile = "<img src=x onerror=alert(1)> [a](http://b) @everyone | `x`\n## y"
    repository.params["variants"]["relu"]["activation"] = hostile
    repository.commit("hostile")
    (row,) = [line for line in repository.review().splitlines() if "variants.relu.activ" in line]
    assert "<img" not in row
    assert "[a](" not in row.replace("\\[a\\](", "")
    assert "@everyone" not in row
    assert len([c for c in row.replace("\\|", "") if c == "|"]) == 4


def test_without_a_repository_on_github_figures_are_named(repository: Repository) -> None:
    repository.figures["health.png"] = b"2"
    head = repository.commit("redrawn")
    text = repository.review(url=None)
    assert f"`git show {head[:9]}:reports/figures/health.png`" in text
    assert "http" not in text


@pytest.mark.parametrize(
    "origin", ["https://github.com/a/b.git", "git@github.com:a/b.git", "https://github.com/a/b"]
)
def test_the_repositorys_address_is_that_of_origin(repository: Repository, origin: str) -> None:
    assert review.repository() is None
    repository.git("remote", "add", "origin", origin)
    assert review.repository() == "https://github.com/a/b"


def test_a_base_that_is_not_there_is_named(repository: Repository) -> None:
    assert repository
    with pytest.raises(StudyError, match=r"BASE=origin/main: no such commit.*git fetch"):
        review.main([])


def test_the_command_prints_and_writes_the_same(
    repository: Repository, capsys: pytest.CaptureFixture[str]
) -> None:
    repository.params["train"]["epochs"] = 3
    repository.commit("longer")
    (repository.folder / "params.yaml").write_text("changed: meanwhile")
    out = repository.folder / "outside/review.md"
    review.main(["--base", "main", "--out", str(out)])
    printed = capsys.readouterr()
    assert out.read_text() == printed.out
    assert "| train.epochs |" in " ".join(printed.out.split()).replace("  ", " ")
    assert "not committed yet" in printed.err
