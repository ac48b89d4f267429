"""Review a branch for its pull request: `python -m tools.review [--study studies/NAME]`.

In: the merge base with `--base` and the last commit, from Git alone: no data, no training. Out, on
stdout and in the file that `--out` names: Markdown that fits into a comment on GitHub, with an
answer in three lines for each study that the branch changed, and beside that file a figure of the
curves that changed. With `--pull-request` the figures are pushed to the branch `review/NUMBER` of
`origin`, from where a comment can show them.
"""

import argparse
import os
import re
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tools.commits import Commit, GitError, changed_files, commit_files, git, results
from tools.recover import repository_root
from vanishing.comparing import page
from vanishing.comparing.comparison import Comparison, compare
from vanishing.comparing.words import name, names
from vanishing.errors import StudyError, did_you_mean, redact, run_command
from vanishing.files import write_text
from vanishing.paths import LOCK, PARAMS, REPORTS

LIMIT = 65_536  # characters in a comment on GitHub


@dataclass(frozen=True)
class Branch:
    """A branch: its merge base and its last commit, and where GitHub has them."""

    base: Commit
    head: Commit
    url: str | None

    @property
    def link(self) -> str:
        """A link to the whole comparison, or the command that prints it."""
        span = f"{self.base.sha[:9]}...{self.head.sha[:9]}"
        if self.url is None:
            return f"`git diff {span}`"
        return f"[{span}]({self.url}/compare/{self.base.sha}...{self.head.sha})"

    def show(self, study: Path, figure: Path) -> list[str]:
        """Show a figure of a study before and after: as an image, or how to get it."""
        path = study / figure
        if self.url is None:
            commits = self.base, self.head
            return [name(f"git show {commit.sha[:9]}:./{path.as_posix()}") for commit in commits]
        folder = git("rev-parse", "--show-prefix").strip()  # of the project in the Git repository
        return [
            image(side, f"{self.url}/blob/{commit.sha}/{folder}{path.as_posix()}?raw=true")
            for side, commit in (("before", self.base), ("after", self.head))
        ]


@dataclass(frozen=True)
class Figure:
    """The figure that was drawn for one study, and what it shows, in Markdown."""

    path: Path
    caption: str


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
    parser.add_argument("--pull-request", type=int, help="its number, to push figures for it")
    options = parser.parse_args(argv)
    chosen = options.study and options.study.resolve()
    out = options.out and options.out.resolve()
    os.chdir(repository_root())  # which may be a folder of a larger Git repository
    try:
        base = Commit(git("merge-base", options.base, "HEAD").strip())
        branch = Branch(base, Commit("HEAD"), repository_url())
    except GitError:
        raise StudyError(
            f"BASE={options.base}: no such commit here, or none in common with HEAD; name a branch"
            " that is fetched (git fetch origin main; git fetch --unshallow in a shallow clone), as"
            " in: make review BASE=origin/main"
        ) from None
    studies = choose_studies(branch, chosen)
    markdown = review(branch, studies, out, options.pull_request)
    if options.results:
        markdown = (
            f"The branch moved while its results were computed: they are in `{options.results}`.\n"
            f"\n{markdown}"
        )
    if out is not None:
        write_text(out, markdown)
    print(markdown, end="")
    if git("status", "--porcelain", "-unormal", "--", *map(str, _reviewed_paths(studies))):
        print("note: files that are not committed are not in this review", file=sys.stderr)


def choose_studies(branch: Branch, chosen: Path | None) -> list[Path]:
    """Return the folders of the studies to review, relative to the root of the repository.

    Args:
        branch: To review.
        chosen: The folder of the one study, an absolute path; None for all.

    Raises:
        StudyError: If neither commit has the chosen study.
    """
    studies = list(dict.fromkeys([*branch.base.studies(), *branch.head.studies()]))
    if chosen is None:
        return studies
    folder = Path(os.path.relpath(chosen, Path.cwd().resolve()))
    if folder not in studies:
        choices = [study.as_posix() for study in studies]
        raise StudyError(
            f"STUDY={folder}: no such study in this branch or its base"
            f"{did_you_mean(folder, choices)}; there are: {', '.join(choices)}"
        )
    return [folder]


def review(
    branch: Branch, studies: Sequence[Path], out: Path | None, pull_request: int | None = None
) -> str:
    """Compare the two commits of a branch.

    Args:
        branch: To review.
        studies: The folders of the studies to compare.
        out: The file that the review is for; figures are drawn beside it, and nowhere without it.
        pull_request: Its number, to push the figures for its comment.

    Returns:
        Markdown of LIMIT characters at the most.
    """
    files = changed_files(branch.base, branch.head)
    touched = [
        folder
        for folder in studies
        if any(
            path in (file, *file.parents) for file in files for path in _reviewed_paths([folder])
        )
    ]
    comparisons = compare_studies(branch, touched)
    if not comparisons:
        return f"Nothing of the study differs from `{branch.base.sha[:9]}`.\n"
    drawn = draw(comparisons, out) if out else {}
    addresses = {folder: figure.path.name for folder, figure in drawn.items()}
    if pull_request:
        addresses = push_figures(drawn, pull_request, branch.url)
    pages = {}
    for folder, comparison in comparisons.items():
        picture = ""
        if folder in drawn:
            picture = write_picture(drawn[folder], addresses.get(folder))
        pages[folder] = page.write(comparison, picture, partial(branch.show, folder))
    return fit(pages, branch.link)


def _reviewed_paths(studies: Sequence[Path]) -> list[Path]:
    return [folder / path for folder in studies for path in (PARAMS, LOCK, REPORTS)]


def compare_studies(branch: Branch, studies: Sequence[Path]) -> dict[Path, Comparison]:
    """Compare each study between the two commits of a branch.

    Returns:
        {folder: comparison}, of the studies in which something differs.
    """
    with tempfile.TemporaryDirectory() as folder:
        code = {commit: Path(folder, commit.sha) for commit in (branch.base, branch.head)}
        for commit, path in code.items():
            commit.unpack_code(path)
        comparisons = {
            study: compare(*(results(commit, study, path) for commit, path in code.items()))
            for study in studies
        }
    return {study: one for study, one in comparisons.items() if one.differs}


def draw(comparisons: Mapping[Path, Comparison], out: Path) -> dict[Path, Figure]:
    """Draw the curves that changed, a figure per study, beside the review."""
    from vanishing.comparing import curves  # noqa: PLC0415 - imports matplotlib and pandas

    drawn = {}
    for folder, comparison in comparisons.items():
        path = out.with_name(f"{out.stem}{'-' * bool(folder.name)}{folder.name}.png")
        selection = curves.draw(comparison, path)
        if selection is not None:
            shown = names(selection.names, most=len(selection.names))
            left_out = f" ({selection.left_out} more changed)" * bool(selection.left_out)
            drawn[folder] = Figure(path, f"Dashed: before. Solid: after. {shown}{left_out}")
    return drawn


def write_picture(figure: Figure, address: str | None) -> str:
    """Show a figure that was drawn; without an address, say how to get it."""
    if address is None:
        return (
            "The figure of what changed could not be pushed: `make review OUT=review.md` draws it."
        )
    return f"{image('curves before and after', address)}\n\n{figure.caption}"


def image(description: str, address: str) -> str:
    """Show an image in Markdown."""
    return f"![{description}]({address})"


def push_figures(
    drawn: Mapping[Path, Figure], pull_request: int, url: str | None
) -> dict[Path, str]:
    """Push figures to a branch of their own, as a commit without a history.

    Args:
        drawn: {folder of a study: its figure}.
        pull_request: Its number.
        url: The address of the repository on GitHub.

    Returns:
        {folder: the address at which GitHub shows the figure}; empty if there is none, or the
        branch cannot be pushed, which is then said on stderr.
    """
    if not drawn or url is None:
        return {}
    sha = commit_files([figure.path for figure in drawn.values()], "Figures of a review")
    branch = f"review/{pull_request}"
    try:
        git("push", "--quiet", "--force", "origin", f"{sha}:refs/heads/{branch}")
    except GitError as error:
        reason = redact(str(error))
        print(f"warning: {branch}: the figures cannot be pushed: {reason}", file=sys.stderr)
        return {}
    start = f"{url}/blob/{sha}"
    return {folder: f"{start}/{figure.path.name}?raw=true" for folder, figure in drawn.items()}


def fit(pages: Mapping[Path, page.Page], link: str) -> str:
    """Join the pages of all studies; leave out long sections, then studies, until they fit.

    Args:
        pages: {folder of the study: page}.
        link: Leads to the whole comparison.

    Returns:
        Markdown of LIMIT characters at the most.
    """
    texts = [[_heading(folder, pages) + one.answer, *one.sections] for folder, one in pages.items()]
    sections, studies = 0, 0  # left out
    while True:
        more = [f"{sections} longer parts"] * bool(sections)
        more += [f"{studies} more studies"] * bool(studies)
        notes = [f"… and {', '.join(more)}: {link}" if more else link]
        markdown = "\n\n".join([*(part for study in texts for part in study), *notes])
        if len(markdown) < LIMIT:
            return f"{markdown}\n"
        longest = max(texts, key=lambda study: max(map(len, study[1:]), default=0))
        if len(longest) > 1:
            longest.remove(max(longest[1:], key=len))
            sections += 1
        else:
            texts.pop()
            studies += 1


def _heading(folder: Path, pages: Mapping[Path, page.Page]) -> str:
    if list(pages) == [Path()]:
        return ""  # the answer comes first
    title = "The study in the root" if folder == Path() else name(folder.as_posix())
    return f"### {title}\n\n"


def repository_url() -> str | None:
    """Return the address of the repository on GitHub, from its runners' variables or `origin`."""
    if repository := os.environ.get("GITHUB_REPOSITORY"):
        return f"{os.environ.get('GITHUB_SERVER_URL', 'https://github.com')}/{repository}"
    try:
        origin = git("remote", "get-url", "origin").strip()
    except GitError:
        return None
    match = re.fullmatch(r"(?:https://|git@|ssh://git@)(github\.com)[:/](.+?)(?:\.git)?", origin)
    return f"https://{match[1]}/{match[2]}" if match else None


if __name__ == "__main__":
    sys.exit(run_command(main))
