"""What a branch changes in the study, for its pull request: `python -m tools.review`.

In: the merge base with `--base` and the last commit, from Git alone: no data, no training. Out, on
stdout and in the file that `--out` names: Markdown that fits into a comment on GitHub, with what
changed in params.yaml, the stages that ran again, metrics, verdicts and figures.
"""

import argparse
import html
import json
import math
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from tabulate import tabulate

from vanishing.errors import StudyError, run_command
from vanishing.files import write_text
from vanishing.judging import verdicts

LIMIT = 65_536  # characters in a comment on GitHub
FIGURES = "reports/figures"

# Which way is better; what is not here is only said to have changed.
BETTER = {
    "test_accuracy": "up",
    "train_accuracy": "up",
    "test_loss": "down",
    "train_loss": "down",
    "generalization_gap": "down",
}


@dataclass
class Section:
    """A heading and a table; rows may be left out from the end to save room."""

    title: str
    headers: tuple[str, ...]
    rows: list[tuple[str, ...]]
    left_out: int = 0

    def markdown(self, more: str) -> str:
        """Write the section; `more` says where the rest is to be found."""
        table = tabulate(self.rows, self.headers, tablefmt="pipe", disable_numparse=True)
        rest = f"\n\n… and {self.left_out} more: {more}" if self.left_out else ""
        return f"### {self.title}\n\n{table}{rest}\n"


class Commit:
    """Files of the study as they are in one commit."""

    def __init__(self, name: str) -> None:
        self.sha = git("rev-parse", "--verify", "--quiet", f"{name}^{{commit}}").strip()

    def text(self, path: str) -> str:
        """Return a file's content, or nothing where the commit has no such file."""
        try:
            return git("show", f"{self.sha}:{path}")
        except subprocess.CalledProcessError:
            return ""

    def yaml(self, path: str) -> dict[str, Any]:
        """Return a YAML file's content."""
        return YAML(typ="safe", pure=True).load(self.text(path)) or {}

    def json(self, path: str, empty: Any) -> Any:
        """Return a JSON file's content, or `empty`."""
        text = self.text(path)
        return json.loads(text) if text else empty


def main(argv: list[str]) -> None:
    """Print the review.

    Raises:
        StudyError: If there is no such base, or nothing in common with it.
    """
    parser = argparse.ArgumentParser(prog="python -m tools.review", description=__doc__)
    parser.add_argument("--base", default="origin/main", help="the branch to merge into")
    parser.add_argument("--out", type=Path, help="a file to write the review to as well")
    given = parser.parse_args(argv)
    try:
        base = Commit(git("merge-base", given.base, "HEAD").strip())
        head = Commit("HEAD")
    except subprocess.CalledProcessError:
        raise StudyError(
            f"BASE={given.base}: no such commit here, or none in common with HEAD; name a branch"
            " that is fetched (git fetch origin main), as in: make review BASE=origin/main"
        ) from None
    text = review(base, head, repository())
    if given.out is not None:
        write_text(given.out, text)
    print(text, end="")
    if git("status", "--porcelain", "--", "params.yaml", "dvc.lock", "reports"):
        print("note: what is not committed yet is not in this review", file=sys.stderr)


def review(base: Commit, head: Commit, url: str | None) -> str:
    """Compare two commits.

    Args:
        base: The merge base.
        head: The branch's last commit.
        url: Of the repository on GitHub, for links; None where there is none.

    Returns:
        Markdown of LIMIT characters at the most.
    """
    sections = [
        Section("Parameters", ("key", "before", "after"), parameters(base, head)),
        Section("Stages that ran again", ("stage", "why"), list(reran(base, head))),
        Section(
            "Metrics",
            ("variant", "metric", "before", "after", "difference", ""),
            list(metrics(base, head)),
        ),
        Section("Health", ("variant", "rule", "before", "after"), list(health(base, head))),
        Section(
            "Claims",
            ("claim", "before", "after", "effect before", "effect after"),
            list(claims(base, head)),
        ),
        Section("Figures", ("figure", "before", "after"), list(figures(base, head, url))),
    ]
    shown = [section for section in sections if section.rows]
    if not shown:
        return f"Nothing of the study differs from `{base.sha[:9]}`.\n"
    return fitted(shown, base, head, url)


def fitted(sections: list[Section], base: Commit, head: Commit, url: str | None) -> str:
    """Join the sections, leaving rows of the longest ones out until they fit."""
    span = f"{base.sha[:9]}...{head.sha[:9]}"
    link = f"[{span}]({url}/compare/{base.sha}...{head.sha})" if url else f"`git diff {span}`"
    while True:
        parts = [f"## What this changes in the study\n\n{link}\n"]
        text = "\n".join([*parts, *(section.markdown(link) for section in sections)])
        if len(text) <= LIMIT:
            return text
        longest = max(sections, key=lambda section: len(section.markdown(link)))
        surplus = math.ceil(len(longest.rows) / 10)
        del longest.rows[-surplus:]
        longest.left_out += surplus


def parameters(base: Commit, head: Commit) -> list[tuple[str, ...]]:
    """Compare params.yaml, leaf by leaf."""
    before, after = (dict(leaves(commit.yaml("params.yaml"))) for commit in (base, head))
    keys = [key for key in before | after if before.get(key) != after.get(key)]
    return [(text(key), shown(before, key), shown(after, key)) for key in keys]


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield each leaf of nested mappings with its path."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from leaves(inner, f"{path}.{key}" if path else str(key))
    else:
        yield path, value


def shown(content: dict[str, Any], key: str) -> str:
    """Write a value, or a dash where there is none."""
    return text(content[key]) if key in content else "-"


def reran(base: Commit, head: Commit) -> Iterator[tuple[str, ...]]:
    """Compare dvc.lock, and name what changed of each stage."""
    before, after = (commit.yaml("dvc.lock").get("stages", {}) for commit in (base, head))
    for stage in before | after:
        old, new = before.get(stage), after.get(stage)
        if old == new:
            continue
        if old is None or new is None:
            yield text(stage), "removed" if new is None else "new"
            continue
        hashes = [
            {each["path"]: each.get("md5") for each in entry.get("deps", [])}
            for entry in (old, new)
        ]
        paths = [p for p in hashes[0] | hashes[1] if hashes[0].get(p) != hashes[1].get(p)]
        causes = paths + ["params.yaml"] * (old.get("params") != new.get("params"))
        yield text(stage), text(", ".join(causes) or "its outputs differ")


def metrics(base: Commit, head: Commit) -> Iterator[tuple[str, ...]]:
    """Compare metrics.json, with the difference's direction in a sign and a word."""
    path = "reports/metrics.json"
    before, after = base.json(path, {}), head.json(path, {})
    for variant in before | after:
        if variant not in before or variant not in after:
            word = "removed" if variant not in after else "new"
            accuracy = (after if variant in after else before)[variant].get("test_accuracy")
            cells = ("-", text(accuracy)) if word == "new" else (text(accuracy), "-")
            yield text(variant), "test_accuracy", *cells, "", word
            continue
        old, new = before[variant], after[variant]
        for metric in old | new:
            if old.get(metric) != new.get(metric):
                values = old.get(metric), new.get(metric)
                yield (text(variant), text(metric), *map(text, values), *change(metric, *values))


def change(metric: str, before: Any, after: Any) -> tuple[str, str]:
    """Return the difference, and which way it goes with a coloured sign and a word."""
    if not all(isinstance(value, int | float) for value in (before, after)):
        return "", "⚪ changed"
    way, arrow = ("up", "↑") if after > before else ("down", "↓")
    wanted = BETTER.get(metric)
    judged = "⚪ changed" if wanted is None else "🟢 better" if wanted == way else "🔴 worse"
    return f"{after - before:+.3g}", f"{arrow} {judged}"


def health(base: Commit, head: Commit) -> Iterator[tuple[str, ...]]:
    """Compare the verdict of each rule on each variant."""
    before, after = (by_rule(commit.json("reports/health.json", [])) for commit in (base, head))
    for (variant, rule), verdict in (before | after).items():
        old, new = before.get((variant, rule), "-"), after.get((variant, rule), "-")
        if old != new and verdict:
            yield text(variant), text(rule.replace("_", " ")), text(old), text(new)


def by_rule(rows: list[dict[str, Any]]) -> dict[tuple[str, str], str]:
    """Return {(variant, rule): the gravest verdict}."""
    own: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        own.setdefault(row["variant"], []).append(row)
    return {
        (variant, row["rule"]): verdicts.verdict(mine, row["rule"])
        for variant, mine in own.items()
        for row in mine
    }


def claims(base: Commit, head: Commit) -> Iterator[tuple[str, ...]]:
    """Compare the claims' verdicts."""
    path = "reports/claims.json"
    before, after = ({row["id"]: row for row in c.json(path, [])} for c in (base, head))
    for name, row in (before | after).items():
        old, new = before.get(name, {}), after.get(name, {})
        if old.get("verdict") != new.get("verdict"):
            keys = ("verdict", "effect")
            cells = [text(each.get(key, "-")) for key in keys for each in (old, new)]
            yield text(row["claim"]), *cells


def figures(base: Commit, head: Commit, url: str | None) -> Iterator[tuple[str, ...]]:
    """Set each figure that differs side by side, linked by commit."""
    names = git("diff", "--name-only", "-z", base.sha, head.sha, "--", FIGURES).split("\0")
    for name in filter(None, names):
        cells = [picture(commit, name, url) for commit in (base, head)]
        yield text(Path(name).relative_to(FIGURES).with_suffix("").as_posix()), *cells


def picture(commit: Commit, name: str, url: str | None) -> str:
    """Show a figure as it is in a commit."""
    if not git("ls-tree", commit.sha, "--", name):
        return "-"
    if url is None:
        return f"`git show {commit.sha[:9]}:{text(name)}`"
    return f"![]({url}/blob/{commit.sha}/{name}?raw=true)"


def text(value: Any) -> str:
    """Write a value that a branch brings so that it is nothing but text in a Markdown table."""
    plain = f"{value:.6g}" if isinstance(value, float) else "none" if value is None else str(value)
    escaped = html.escape(" ".join(plain.split()), quote=False)
    # A mention would notify people: a zero-width space after the sign prevents it.
    return re.sub(r"([\\`*\[\]|~])", r"\\\1", escaped).replace("@", "@\u200b")


def repository() -> str | None:
    """Return the address of the repository on GitHub, as its runners or `origin` have it."""
    if name := os.environ.get("GITHUB_REPOSITORY"):
        return f"{os.environ.get('GITHUB_SERVER_URL', 'https://github.com')}/{name}"
    try:
        origin = git("remote", "get-url", "origin").strip()
    except subprocess.CalledProcessError:
        return None
    found = re.fullmatch(r"(?:https://|git@|ssh://git@)(github\.com)[:/](.+?)(?:\.git)?", origin)
    return f"https://{found[1]}/{found[2]}" if found else None


def git(*arguments: str) -> str:
    """Run Git and return what it prints."""
    done = subprocess.run(["git", *arguments], check=True, capture_output=True, text=True)
    return done.stdout


if __name__ == "__main__":
    sys.exit(run_command(main))
