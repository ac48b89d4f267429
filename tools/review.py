"""Review a branch for its pull request: `python -m tools.review [--study studies/NAME]`.

In: the merge base with `--base` and the last commit, from Git alone: no data, no training. Out, on
stdout and in the file that `--out` names: Markdown that fits into a comment on GitHub. For each
study that the branch changed it lists changes of params.yaml, the stages that ran again, metrics,
verdicts and figures.
"""

import argparse
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tools.commits import Commit, StudyFiles, changed_files, git
from tools.differences import Section, compare, text
from tools.recover import repository_root
from vanishing.errors import StudyError, did_you_mean, run_command
from vanishing.files import write_text
from vanishing.paths import LOCK, PARAMS, REPORTS

LIMIT = 65_536  # characters in a comment on GitHub


@dataclass
class StudyReview:
    """The changes of one study."""

    folder: Path
    sections: list[Section]

    def heading(self, link: str) -> str:
        """Write the heading; `link` leads to the whole comparison."""
        study = "the study" if self.folder == Path() else text(self.folder.as_posix())
        return f"## What this changes in {study}\n\n{link}\n"


def main(argv: list[str]) -> None:
    """Print the review.

    Raises:
        StudyError: If the base does not exist or shares no commit with the branch, or neither has
            the study.
    """
    parser = argparse.ArgumentParser(prog="python -m tools.review", description=__doc__)
    parser.add_argument("--base", default="origin/main", help="the branch to merge into")
    parser.add_argument("--out", type=Path, help="a file to write the review to as well")
    parser.add_argument("--study", type=Path, help="the folder of the one study to review")
    parser.add_argument("--results", help="the branch that has results which this one lacks")
    options = parser.parse_args(argv)
    chosen = options.study and options.study.resolve()
    out = options.out and options.out.resolve()
    os.chdir(repository_root())  # which may be a folder of a larger Git repository
    try:
        base = Commit(git("merge-base", options.base, "HEAD").strip())
        head = Commit("HEAD")
    except subprocess.CalledProcessError:
        raise StudyError(
            f"BASE={options.base}: no such commit here, or none in common with HEAD; name a branch"
            " that is fetched (git fetch origin main), as in: make review BASE=origin/main"
        ) from None
    studies = choose_studies(base, head, chosen)
    markdown = review(base, head, studies, repository_url())
    if options.results:
        markdown = (
            f"The branch moved while its results were computed: they are in `{options.results}`.\n"
            f"\n{markdown}"
        )
    if out is not None:
        write_text(out, markdown)
    print(markdown, end="")
    if git("status", "--porcelain", "--", *map(str, _reviewed_paths(studies))):
        print("note: files that are not committed are not in this review", file=sys.stderr)


def choose_studies(base: Commit, head: Commit, chosen: Path | None) -> list[Path]:
    """Return the folders of the studies to review, relative to the root of the repository.

    Args:
        base: The merge base.
        head: The branch's last commit.
        chosen: The folder of the one study, an absolute path; None for all.

    Raises:
        StudyError: If neither commit has the chosen study.
    """
    studies = list(dict.fromkeys([*base.studies(), *head.studies()]))
    if chosen is None:
        return studies
    folder = Path(os.path.relpath(chosen, Path.cwd().resolve()))
    if folder not in studies:
        names = [study.as_posix() for study in studies]
        raise StudyError(
            f"STUDY={folder}: no such study in this branch or its base"
            f"{did_you_mean(folder, names)}; there are: {', '.join(names)}"
        )
    return [folder]


def review(base: Commit, head: Commit, studies: Sequence[Path], url: str | None) -> str:
    """Compare two commits.

    Args:
        base: The merge base.
        head: The branch's last commit.
        studies: The folders of the studies to compare.
        url: The address of the repository on GitHub, for links; None if there is none.

    Returns:
        Markdown of LIMIT characters at the most.
    """
    files = changed_files(base, head)
    reviews = []
    for folder in studies:
        paths = _reviewed_paths([folder])
        if any(path in (file, *file.parents) for file in files for path in paths):
            before, after = (StudyFiles(commit, folder) for commit in (base, head))
            reviews.append(StudyReview(folder, compare(before, after, files, url)))
    reviews = [study_review for study_review in reviews if study_review.sections]
    if not reviews:
        return f"Nothing of the study differs from `{base.sha[:9]}`.\n"
    span = f"{base.sha[:9]}...{head.sha[:9]}"
    link = f"[{span}]({url}/compare/{base.sha}...{head.sha})" if url else f"`git diff {span}`"
    return shorten(reviews, link)


def _reviewed_paths(studies: Sequence[Path]) -> list[Path]:
    return [folder / path for folder in studies for path in (PARAMS, LOCK, REPORTS)]


def shorten(reviews: Sequence[StudyReview], link: str) -> str:
    """Join the reviews; leave out rows of the longest sections, then studies, until they fit."""
    headings = [study.heading(link) for study in reviews]
    texts = [[section.markdown(link) for section in study.sections] for study in reviews]
    count = len(reviews)
    while True:
        left_out = len(reviews) - count
        more = [f"… and {left_out} more studies: {link}\n"] if left_out else []
        parts = [part for i in range(count) for part in (headings[i], *texts[i])]
        markdown = "\n".join([*parts, *more])
        if len(markdown) <= LIMIT:
            return markdown
        lengths = {
            (i, j): len(texts[i][j])
            for i in range(count)
            for j, section in enumerate(reviews[i].sections)
            if section.rows
        }
        if lengths:
            i, j = max(lengths, key=lambda position: lengths[position])
            reviews[i].sections[j].shorten()
            texts[i][j] = reviews[i].sections[j].markdown(link)
        else:
            count -= 1


def repository_url() -> str | None:
    """Return the address of the repository on GitHub, from its runners' variables or `origin`."""
    if name := os.environ.get("GITHUB_REPOSITORY"):
        return f"{os.environ.get('GITHUB_SERVER_URL', 'https://github.com')}/{name}"
    try:
        origin = git("remote", "get-url", "origin").strip()
    except subprocess.CalledProcessError:
        return None
    match = re.fullmatch(r"(?:https://|git@|ssh://git@)(github\.com)[:/](.+?)(?:\.git)?", origin)
    return f"https://{match[1]}/{match[2]}" if match else None


if __name__ == "__main__":
    sys.exit(run_command(main))
