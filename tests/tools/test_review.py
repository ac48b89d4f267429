"""The review of a branch, on real Git histories: what a person reads, from the first line on."""

import json
import re
import subprocess
from pathlib import Path

import pytest
from matplotlib.image import imread

from tests.support.made_up_results import MACHINE, Files, digest
from tests.support.study import BASELINE
from tools import review
from tools.commits import Commit
from vanishing.errors import StudyError
from vanishing.pipeline.fingerprint import fingerprint_stage
from vanishing.pipeline.lock import text_digest
from vanishing.pipeline.source import Source

URL = "https://github.com/someone/study"
STUDY = Path("studies/one")
NOTHING = "**No verdict, no claim and no number changed"


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

    def review(
        self, study: Path | None = None, url: str | None = URL, out: Path | None = None
    ) -> str:
        """Review HEAD against the branch `main`."""
        base = Commit(self.git("merge-base", "main", "HEAD"))
        branch = review.Branch(base, Commit("HEAD"), url)
        return review.review(branch, review.choose_studies(branch, study), out)

    def first_line(self) -> str:
        """Commit what was changed, and return the first line of its review."""
        self.commit("a change")
        return self.review().splitlines()[0]


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


def visible(markdown: str) -> str:
    """Return what is not folded."""
    parts = markdown.split("<details>")
    return "".join([parts[0], *(part.partition("</details>")[2] for part in parts[1:])])


def test_a_branch_that_changes_no_study_is_reviewed_in_one_line(repository: Repository) -> None:
    (repository.folder / "README.md").write_text("prose")
    repository.files.stages["fingerprint"]["deps"][0]["md5"] = "b"  # as after an edited comment
    repository.commit("prose alone")
    (line,) = repository.review().splitlines()
    assert line.startswith("Nothing of the study differs from `")


def test_rounding_is_no_change(repository: Repository, files: Files) -> None:
    files.number("sigmoid", "train_loss", 0.1500005)
    files.number("sigmoid-batchnorm", "attenuation_final", 1.50001)
    files.number("relu", "test_accuracy", 0.9479)
    files.number("relu", "train_loss", 0.137)
    assert repository.first_line() == (
        "**No verdict and no claim changed; 2 numbers moved by rounding (largest 7e-6 of its"
        " value); 2 numbers moved as far as rounding grows in their networks (largest 0.09 of its"
        " value).**"
    )
    assert len(visible(repository.review()).split("\n\n")) == 2  # the line, and the link


def test_a_number_that_changed_is_named_before_those_that_only_moved(
    repository: Repository, files: Files
) -> None:
    files.number("sigmoid", "train_loss", 0.1500005)
    files.number("sigmoid", "test_accuracy", 0.91)
    files.number("sigmoid", "test_loss", 0.19)
    files.number("sigmoid", "attenuation_final", 1.25)
    assert repository.first_line() == (
        "**No verdict and no claim changed; test accuracy of `sigmoid` and 2 other numbers changed"
        " beyond rounding (one seed: chance is not excluded); 1 number moved by rounding (largest"
        " 3e-6 of its value).**"
    )
    assert cells(repository.review())[1:] == [
        ["`sigmoid`", "test accuracy", "0.95", "0.91", "-0.04", "🔴 worse"],
        ["`sigmoid`", "test loss", "0.2", "0.19", "-0.01", "🟢 better"],
        ["`sigmoid`", "attenuation final", "1.5", "1.25", "-0.25", ""],
    ]


def test_a_variant_that_is_added_is_named_with_its_verdict(
    repository: Repository, files: Files
) -> None:
    files.params["variants"]["tanh"] = BASELINE | {"activation": "tanh", "compare_to": "sigmoid"}
    files.add("tanh")
    assert repository.first_line() == (
        "**`tanh` is new (steady, learns); no verdict, no claim and no number changed.**"
    )
    assert "variants.tanh" not in repository.review()


def test_a_variant_that_is_removed_is_named(repository: Repository, files: Files) -> None:
    files.remove("relu")
    assert repository.first_line() == (
        "**`relu` is removed; no verdict, no claim and no number changed.**"
    )


def test_a_variant_with_a_new_name_is_compared_with_itself(
    repository: Repository, files: Files
) -> None:
    files.params["variants"]["rectified"] = files.params["variants"]["relu"]
    files.remove("relu")
    files.add("rectified")
    files.verdict("rectified", "overfit", "problem")
    files.params["variants"]["sigmoid-batchnorm"]["compare_to"] = "sigmoid"
    assert repository.first_line() == (
        "**`relu` is called `rectified` now; overfit of `rectified` is a problem now (was fine).**"
    )


def test_a_verdict_that_changes_comes_first(repository: Repository, files: Files) -> None:
    files.verdict("relu", "vanishing_attenuation", "problem", "vanishing, learns")
    files.verdict("sigmoid", "overfit", "problem")
    files.verdict("relu", "overfit", "problem")
    assert repository.first_line() == (
        "**`relu` is vanishing, learns now (was steady, learns); overfit of `sigmoid`, `relu` is"
        " a problem now (was fine).**"
    )
    rows = cells(repository.review())
    assert ["`relu`", "vanishing attenuation", "fine", "problem"] in rows


def test_a_claim_that_changes_comes_first(repository: Repository, files: Files) -> None:
    files.claims[0] |= {"verdict": "supported", "effect": 0.987654321}
    assert repository.first_line() == "**“ReLU avoids it” is supported now (was refuted).**"
    row = ["ReLU avoids it.", "refuted", "supported", "0.4", "0.987654"]
    assert row in cells(repository.review())


def test_of_a_figure_with_other_colours_both_pictures_are_shown(
    repository: Repository, files: Files
) -> None:
    base = repository.git("rev-parse", "HEAD")
    files.stages["render"] = {"deps": [{"path": "data/fingerprints/render", "md5": "b"}]}
    for name in ("gradient-decay.png", "variants/relu.png"):
        files.figures[name] = b"2"
    assert repository.first_line() == f"{NOTHING}; 2 figures are drawn differently.**"
    head = repository.git("rev-parse", "HEAD")
    for name in ("gradient-decay", "variants/relu"):
        pictures = [f"{URL}/blob/{sha}/reports/figures/{name}.png" for sha in (base, head)]
        images = [f"![before]({pictures[0]}?raw=true)", f"![after]({pictures[1]}?raw=true)"]
        assert [name, *images] in cells(repository.review())
    assert "gradient-decay.png" in visible(repository.review())
    assert "relu.png" not in visible(repository.review())


def test_a_figure_of_other_data_is_not_shown(repository: Repository, files: Files) -> None:
    files.ran("train@relu-0", "data/fingerprints/train")
    files.verdict("relu", "overfit", "problem")
    for name in ("gradient-decay.png", "variants/relu.png", "health.png"):
        files.figures[name] = b"2"
    assert repository.first_line() == "**Overfit of `relu` is a problem now (was fine).**"
    assert "png" not in repository.review()


def test_a_threshold_is_named_as_the_cause(repository: Repository, files: Files) -> None:
    files.params["diagnose"]["overfit"]["ratio_above"] = 0.01
    for name in files.params["variants"]:
        files.verdict(name, "overfit", "problem")
    assert repository.first_line() == (
        "**Overfit of `sigmoid`, `relu`, `sigmoid-batchnorm` is a problem now (was fine).**"
    )
    markdown = repository.review()
    assert ["`diagnose.overfit.ratio_above`", "0.1", "0.01"] in cells(markdown)
    assert "<summary>Why: 1 parameter</summary>" in markdown


def test_a_threshold_without_consequences_changes_nothing(
    repository: Repository, files: Files
) -> None:
    files.params["diagnose"]["overfit"]["ratio_above"] = 0.09
    assert repository.first_line() == f"{NOTHING}.**"
    assert "overfit" not in visible(repository.review())


def test_after_a_merge_only_the_branchs_own_changes_are_reviewed(
    repository: Repository, files: Files
) -> None:
    files.number("sigmoid", "test_accuracy", 0.91)
    repository.commit("on the branch")
    repository.git("checkout", "-q", "main")
    repository.files = Files()
    repository.files.verdict("relu", "overfit", "problem")
    repository.files.params["train"]["epochs"] = 9
    repository.commit("meanwhile, on main")
    first = "**No verdict and no claim changed; test accuracy of `sigmoid` changed beyond rounding"

    repository.git("checkout", "-q", "branch")
    assert repository.review().startswith(first)
    assert "epochs" not in repository.review()  # compared with the merge base

    repository.git("merge", "-q", "-s", "ours", "--no-commit", "main")
    files.verdict("relu", "overfit", "problem")
    files.params["train"]["epochs"] = 9
    repository.files = files
    assert repository.first_line().startswith(first)
    assert "epochs" not in repository.review()


def test_a_study_that_the_base_does_not_have_is_summed_up(repository: Repository) -> None:
    study = Files("../..")
    study.verdict("sigmoid", "at_chance", "problem", "vanishing, will not learn")
    study.write(repository.folder / STUDY)
    repository.commit("a study")
    heading, _, line, *_ = repository.review().splitlines()
    assert heading == "### `studies/one`"
    assert line == (
        "**A new study of 3 variants: 1 vanishing, will not learn · 2 steady, learns; of 2 claims"
        " 1 refuted · 1 supported.**"
    )
    repository.git("branch", "-f", "main")
    repository.git("rm", "-rq", str(STUDY))
    repository.commit("none")
    assert repository.review().splitlines()[2] == "**This study is removed.**"


def test_each_changed_study_has_a_heading_and_others_are_not_named(
    repository: Repository, files: Files
) -> None:
    repository.git("checkout", "-q", "main")
    study, unchanged = Files("../.."), Files("../..")
    study.write(repository.folder / STUDY)
    unchanged.write(repository.folder / "studies/unchanged")
    base = repository.commit("two more studies")
    repository.git("checkout", "-q", "-B", "branch")
    files.verdict("relu", "overfit", "problem")
    study.figures["variants/relu.png"] = b"2"
    study.write(repository.folder / STUDY)
    repository.commit("a change in each")
    markdown = repository.review()
    assert "unchanged" not in markdown
    root, one = markdown.split("\n\n### ")
    assert root.startswith("### The study in the root\n\n**Overfit of `relu` is a problem now")
    assert one.startswith(f"`studies/one`\n\n{NOTHING}; 1 figure is drawn differently.**")
    assert f"{URL}/blob/{base}/studies/one/reports/figures/variants/relu.png" in one

    assert repository.review(study=repository.folder / STUDY) == f"### {one}"


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
    assert printed.startswith("### `studies/one`\n")
    assert "in the root" not in printed


def test_the_project_may_be_a_folder_of_a_larger_repository(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "teams/gradients"
    repository = Repository(folder, tmp_path)
    repository.files.params["train"]["epochs"] = 3
    repository.files.figures["gradient-decay.png"] = b"2"
    (tmp_path / "params.yaml").write_text("of: another project")
    head = repository.commit("longer")
    monkeypatch.chdir(folder)
    monkeypatch.setenv("GITHUB_REPOSITORY", "someone/all")
    review.main(["--base", "main"])
    printed = capsys.readouterr().out
    assert ["`train.epochs`", "2", "3"] in cells(printed)
    assert "of: " not in printed
    path = "teams/gradients/reports/figures/gradient-decay.png"
    assert f"(https://github.com/someone/all/blob/{head}/{path}?raw=true)" in printed


CODE = {
    "stages/train.py": "from vanishing.loop import train\n",
    "vanishing/loop.py": '"""A loop."""\nRATE = 1\ndef train():\n    return RATE\n',
    "vanishing/other.py": "UNUSED = 1\n",
}


def write_code(repository: Repository, code: dict[str, str]) -> None:
    """Write the code of a stage, and let dvc.lock record that all training ran with it."""
    for name, text in code.items():
        (repository.folder / name).parent.mkdir(exist_ok=True)
        (repository.folder / name).write_text(text)
    fingerprint = fingerprint_stage("train", Source([repository.folder]))
    for name in repository.files.params["variants"]:
        digest_of_code = text_digest(fingerprint)
        repository.files.ran(f"train@{name}-0", "data/fingerprints/train", digest_of_code)


def test_causes_are_named_once_and_folded(repository: Repository, files: Files) -> None:
    repository.git("checkout", "-q", "main")
    write_code(repository, CODE)
    repository.commit("code")
    repository.git("checkout", "-q", "-B", "branch")
    loop = CODE["vanishing/loop.py"].replace("A loop", "Another").replace("RATE = 1", "RATE = 2")
    other = {"vanishing/loop.py": f"# faster\n{loop}", "vanishing/other.py": "UNUSED = 2\n"}
    write_code(repository, CODE | other)
    for name in files.params["variants"]:
        files.ran(f"extract@{name}-0", "data/training")
        files.params["variants"][name]["width"] = 17
    files.params["train"]["epochs"] = 3
    assert repository.first_line() == f"{NOTHING}.**"
    markdown = repository.review()
    assert (
        "<summary>Why: 2 parameters and 1 module; train × 3, extract × 3 ran again</summary>"
    ) in markdown
    rows = cells(markdown)
    assert ["`train.epochs`", "2", "3"] in rows
    variants = "`sigmoid`, `relu`, `sigmoid-batchnorm`"
    assert [f"`variants.*.width` of {variants}", "16", "17"] in rows
    assert ["`vanishing.loop`", "`RATE`"] in rows
    assert ["`train`", "3 of 3", "code"] in rows
    assert ["`extract`", "3 of 3", "results of other stages"] in rows
    assert "other`" not in markdown
    assert cells(visible(markdown)) == []


def test_code_that_was_edited_after_its_results_is_said_first(
    repository: Repository, files: Files
) -> None:
    write_code(repository, CODE)
    repository.commit("code")
    repository.git("branch", "-f", "main")
    path = repository.folder / "vanishing/loop.py"
    path.write_text(f"# a remark\n{path.read_text()}")
    files.params["train"]["epochs"] = 3
    assert repository.first_line() == f"{NOTHING}.**"
    path.write_text(path.read_text().replace("RATE = 1", "RATE = 2"))
    assert repository.first_line() == (
        "**These results are not of one state: dvc.lock is of other code than the stages train"
        " have.**"
    )


def test_the_claims_of_a_study_are_code_of_the_stages_that_import_them(
    repository: Repository, files: Files
) -> None:
    claims = repository.folder / "claims.py"
    claims.write_text("LIMIT = 1\n")
    files.params["claims"] = "claims.py"
    stage = repository.folder / "stages/diagnose.py"
    stage.parent.mkdir()
    stage.write_text("STEP = 1\n")
    code = Source([repository.folder])
    fingerprint = fingerprint_stage("diagnose", code, ["claims"])
    dependency = {"path": "data/fingerprints/diagnose", "md5": text_digest(fingerprint)}
    files.stages["diagnose"] = {"deps": [dependency]}
    repository.commit("code")
    repository.git("branch", "-f", "main")
    files.params["train"]["epochs"] = 3
    assert repository.first_line() == f"{NOTHING}.**"
    claims.write_text("LIMIT = 2\n")
    assert repository.first_line() == (
        "**These results are not of one state: dvc.lock is of other code than the stages diagnose"
        " have.**"
    )


def test_code_that_is_no_python_stops_no_review(repository: Repository, files: Files) -> None:
    write_code(repository, CODE)
    repository.commit("code")
    repository.git("branch", "-f", "main")
    (repository.folder / "vanishing/loop.py").write_text("<<<<<<< HEAD\n")
    files.ran("train@relu-0", "data/fingerprints/train")
    assert repository.first_line() == (
        "**These results are not of one state: its code is not Python that can be read.**"
    )


def test_another_machine_and_other_libraries_are_said(repository: Repository, files: Files) -> None:
    (repository.folder / "requirements.lock").write_text(files.requirements)
    repository.commit("the lock")
    repository.git("branch", "-f", "main")
    for row in files.runs[:2]:
        row["machine"] = MACHINE | {"instructions": "AVX512", "threads": 4}
    newer = files.requirements.replace("torch==2.14.1", "torch==2.15.0")
    (repository.folder / "requirements.lock").write_text(newer)
    repository.commit("on another machine")
    first, _, second, *_ = repository.review().splitlines()
    assert first == f"{NOTHING}.**"
    assert second == (
        "2 training runs on another machine: instructions AVX512 (was AVX2), threads 4 (was 2);"
        " requirements.lock: torch 2.15.0 (was 2.14.1)."
    )


def test_several_seeds_tell_a_change_from_chance(repository: Repository) -> None:
    repository.git("checkout", "-q", "main")
    repository.files = Files(seeds=(0, 1, 2))
    files = repository.files
    for name in ("sigmoid", "sigmoid-batchnorm"):
        files.number(name, "test_accuracy", 0.90, 0.92, 0.94)
    repository.commit("three seeds")
    repository.git("checkout", "-q", "-B", "branch")
    files.number("sigmoid", "test_accuracy", 0.92, 0.91, 0.95)
    files.number("sigmoid-batchnorm", "test_accuracy", 0.91, 0.931, 0.951)
    assert repository.first_line() == (
        "**No verdict and no claim changed; test accuracy of `sigmoid-batchnorm` changed beyond"
        " what seeds explain; 1 number moved within what seeds explain (largest 0.007 of its"
        " value).**"
    )
    assert [row[0] for row in cells(repository.review())[1:]] == [
        *("`sigmoid-batchnorm`",),
    ]


@pytest.mark.parametrize("name", ["dvc.lock", "reports/metrics.json"])
def test_a_file_with_marks_of_a_conflict_is_named(repository: Repository, name: str) -> None:
    repository.commit("longer")
    path = repository.folder / name
    path.write_text("<<<<<<< HEAD\n" + path.read_text())
    repository.git("commit", "-qam", "merged in haste")
    with pytest.raises(
        StudyError, match=rf"^{name} in \w+, \.: .*; it should be a whole file"
    ) as e:
        repository.review()
    assert len(str(e.value).splitlines()) == 1


def test_results_of_two_states_are_named_first(repository: Repository, files: Files) -> None:
    def record(metrics: str, statistics: str) -> None:
        files.stages["diagnose"] = {
            "deps": [{"path": "data/statistics", "md5": "a"}],
            "outs": [{"path": "reports/metrics.json", "md5": metrics}],
            "params": {"params.yaml": {"train.epochs": files.params["train"]["epochs"]}},
        }
        files.ran("extract@relu-0", "nothing", statistics)

    current = digest(json.dumps(files.metrics).encode())
    record(current, "a")
    repository.commit("of one state")
    repository.git("branch", "-f", "main")
    files.claims[0]["verdict"] = "supported"
    assert repository.first_line().startswith("**“ReLU avoids it” is supported now")

    files.params["train"]["epochs"] = 3
    repository.commit("longer")
    first, _, second, *_ = repository.review().splitlines()
    assert first == (
        "**These results are not of one state: dvc.lock is of other parameters than params.yaml:"
        " train.epochs.**"
    )
    assert second.startswith("“ReLU avoids it” is supported now")

    record("b", "b")
    assert repository.first_line() == (
        "**These results are not of one state: reports/metrics.json is not the file that dvc.lock"
        " records (and 1 more reason).**"
    )
    assert "diagnose did not run with the new data/statistics/relu/seed-0" in repository.review()


@pytest.mark.usefixtures("repository")
def test_an_unknown_study_is_refused() -> None:
    with pytest.raises(StudyError, match=r"STUDY=studies/two: no such study .*; there are: \."):
        review.main(["--base", "main", "--study", "studies/two"])


@pytest.mark.usefixtures("repository")
def test_an_unknown_base_is_named() -> None:
    with pytest.raises(StudyError, match=r"BASE=origin/main: no such commit.*git fetch"):
        review.main([])


def test_a_review_of_very_much_fits_into_a_comment(
    repository: Repository, files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(100):
        files.metrics[f"v{number}"] = dict(files.metrics["relu"])
        files.params["diagnose"][f"limit{number}"] = "x" * 500
    repository.commit("many")
    repository.git("branch", "-f", "main")
    for number in range(100):
        files.metrics[f"v{number}"] |= {
            "test_accuracy": 0.1,
            "verdict": "vanishing, will not learn",
        }
        files.params["diagnose"][f"limit{number}"] = "y" * 500
    first = (
        "**`v0`, `v1`, `v2` and 97 more are vanishing, will not learn now (was steady, learns).**"
    )
    assert repository.first_line() == first
    markdown = repository.review()
    assert len(visible(markdown).splitlines()) < 30
    assert "92 more numbers that changed" in markdown
    assert "… and 52 more" in markdown
    assert len(markdown) < 25_000

    monkeypatch.setattr(review, "LIMIT", 5000)
    markdown = repository.review()
    assert 2000 < len(markdown) <= 5000
    assert markdown.startswith(first)
    assert "… and 2 longer parts: [" in markdown


def test_of_very_many_studies_the_first_are_shown(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(6):
        Files().write(repository.folder / f"studies/{number}")
    repository.commit("many studies")
    monkeypatch.setattr(review, "LIMIT", 700)
    markdown = repository.review()
    assert len(markdown) <= 700
    assert markdown.startswith("### `studies/0`\n\n**A new study of 3 variants")
    shown = markdown.count("### ")
    assert 0 < shown < 6
    assert f"{6 - shown} more studies: [" in markdown


def test_names_and_values_of_a_branch_are_text_and_no_markup(
    repository: Repository, files: Files
) -> None:
    hostile = "<img src=x onerror=alert(1)> [a](http://b) @everyone | `x`\n## y"
    files.params["train"]["device"] = hostile
    files.stages[f"{hostile}@relu-0"] = files.stages["train@relu-0"]
    files.remove("relu")
    files.params["variants"][hostile] = dict(BASELINE)
    files.add(hostile)
    files.verdict(hostile, "overfit", hostile)
    files.claims[0] |= {"claim": hostile, "verdict": hostile}
    repository.commit("hostile")
    markdown = repository.review()
    plain = re.sub(r"`[^`\n]*`", "", markdown)  # what is not in the font of code
    assert plain.count("onerror") > 2
    assert "<img" not in plain
    assert "[a](" not in plain.replace("\\[a\\](", "")
    assert "@everyone" not in plain
    assert "\n## y" not in markdown


@pytest.mark.parametrize(
    "origin", ["https://github.com/a/b.git", "git@github.com:a/b.git", "https://github.com/a/b"]
)
def test_the_repositorys_address_is_that_of_origin(repository: Repository, origin: str) -> None:
    assert review.repository_url() is None
    repository.git("remote", "add", "origin", origin)
    assert review.repository_url() == "https://github.com/a/b"


def test_without_a_repository_on_github_figures_are_named(
    repository: Repository, files: Files
) -> None:
    files.figures["gradient-decay.png"] = b"2"
    head = repository.commit("redrawn")
    markdown = repository.review(url=None)
    assert f"`git show {head[:9]}:./reports/figures/gradient-decay.png`" in markdown
    assert "http" not in markdown


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
    assert ["`train.epochs`", "2", "3"] in cells(printed.out)
    assert "not committed" in printed.err
    assert not out.with_suffix(".png").exists()  # no curve changed


@pytest.fixture
def redrawn(repository: Repository, files: Files) -> str:
    """Commit a loss that changed; give the commit."""
    (repository.folder / ".gitignore").write_text(".study\n")
    files.number("relu", "train_loss", 0.5)
    files.losses["relu"][-1] = 0.5
    return repository.commit("another loss")


@pytest.fixture
def origin(
    repository: Repository,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> Path:
    """Give a bare repository that stands for GitHub, and is pushed to."""
    folder = tmp_path_factory.mktemp("github") / "origin.git"
    repository.git("init", "-q", "--bare", str(folder))
    repository.git("remote", "add", "origin", str(folder))
    monkeypatch.setenv("GITHUB_REPOSITORY", "someone/study")
    return folder


def write_review(folder: Path, *options: str) -> str:
    """Review with `--out`; return what was written."""
    out = folder / ".study/review.md"
    review.main(["--base", "main", "--out", str(out), *options])
    return out.read_text()


@pytest.mark.usefixtures("redrawn")
def test_what_changed_is_drawn_beside_the_review(repository: Repository) -> None:
    markdown = write_review(repository.folder)
    assert (
        "![curves before and after](review.png)\n\nDashed: before. Solid: after. `relu`\n"
        in markdown
    )
    assert imread(repository.folder / ".study/review.png").shape[0] > 500


def test_the_figure_is_pushed_to_a_branch_of_the_pull_requests(
    repository: Repository, redrawn: str, origin: Path
) -> None:
    for _ in range(2):  # the second time the branch is replaced
        markdown = write_review(repository.folder, "--pull-request", "7")
    pushed = ["git", "--git-dir", str(origin)]
    sha = subprocess.check_output([*pushed, "rev-parse", "review/7"], text=True).strip()
    assert f"![curves before and after]({URL}/blob/{sha}/review.png?raw=true)" in markdown
    log = subprocess.check_output([*pushed, "log", "--name-only", "--format=%s", sha], text=True)
    assert log.split("\n\n") == ["Figures of a review", "review.png\n"]
    picture = subprocess.check_output([*pushed, "show", f"{sha}:review.png"])
    assert picture == (repository.folder / ".study/review.png").read_bytes()
    assert repository.git("rev-parse", "HEAD") == redrawn
    assert repository.git("status", "--porcelain") == ""


@pytest.mark.usefixtures("redrawn")
def test_a_token_without_rights_costs_the_figure_and_not_the_review(
    repository: Repository, origin: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (origin / "hooks").mkdir(exist_ok=True)
    (origin / "hooks/pre-receive").write_text("#!/bin/sh\necho no rights\nexit 1\n")
    (origin / "hooks/pre-receive").chmod(0o755)
    markdown = write_review(repository.folder, "--pull-request", "7")
    assert markdown.startswith("**No verdict and no claim changed; 1 number changed")
    assert "![" not in markdown
    assert "`make review OUT=review.md` draws it" in markdown
    assert "review/7: the figures cannot be pushed" in capsys.readouterr().err
