"""How a study differs between two commits: the sections of a review, a table each."""

import html
import math
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tabulate import tabulate

from tools import stale
from tools.commits import Commit, StudyFiles, git
from vanishing.judging import verdicts
from vanishing.paths import (
    CLAIMS,
    FIGURES,
    FINGERPRINTS,
    HEALTH,
    INITIALISATION,
    LOCK,
    METRICS,
    PARAMS,
    STATISTICS,
    TRAINING,
)

Row = tuple[str, ...]

# The better direction of a metric. Of other metrics the review says only that they changed.
_BETTER = {
    "test_accuracy": "up",
    "train_accuracy": "up",
    "test_loss": "down",
    "train_loss": "down",
    "generalization_gap": "down",
}
_REPORTING_STAGES = (stale.JUDGING, "report")  # those that write single files into reports/


@dataclass
class Section:
    """A heading and a table; rows may be left out from the end to save room."""

    title: str
    headers: Row
    rows: list[Row]
    left_out: int = 0

    def markdown(self, link: str) -> str:
        """Write the section; `link` leads to the rows that are left out."""
        table = tabulate(self.rows, self.headers, tablefmt="pipe", disable_numparse=True)
        more = f"\n\n… and {self.left_out} more: {link}" if self.left_out else ""
        return f"### {self.title}\n\n{table}{more}\n"

    def shorten(self) -> None:
        """Leave out a tenth of the rows, one at least."""
        count = math.ceil(len(self.rows) / 10)
        del self.rows[-count:]
        self.left_out += count


def compare(
    before: StudyFiles, after: StudyFiles, files: Sequence[Path], url: str | None
) -> list[Section]:
    """Compare a study between two commits.

    Args:
        before: The study in the merge base.
        after: The study in the last commit.
        files: Those that differ, relative to the root of the repository.
        url: The address of the repository on GitHub; None if there is none.

    Returns:
        The sections that have rows.
    """
    sections = [
        Section("Stale: not of one state", ("", "why"), list(mixed_states(before, after))),
        Section("Parameters", ("key", "before", "after"), list(parameters(before, after))),
        Section("Stages that ran again", ("stage", "why"), list(rerun_stages(before, after))),
        Section(
            "Metrics",
            ("variant", "metric", "before", "after", "difference", ""),
            list(metrics(before, after)),
        ),
        Section("Health", ("variant", "rule", "before", "after"), list(health(before, after))),
        Section(
            "Claims",
            ("claim", "before", "after", "effect before", "effect after"),
            list(claims(before, after)),
        ),
        Section(
            "Figures",
            ("figure", "before", "after"),
            list(figures(before, after, files, url)),
        ),
    ]
    return [section for section in sections if section.rows]


def mixed_states(before: StudyFiles, after: StudyFiles) -> Iterator[Row]:
    """Compare the reports of the branch with its dvc.lock, and dvc.lock with itself."""
    old, new = (files.yaml(LOCK).get("stages", {}) for files in (before, after))
    for stage in _REPORTING_STAGES:
        for out in new.get(stage, {}).get("outs", []):
            content = after.commit.text(after.folder / out["path"])
            if not out["md5"].endswith(".dir") and out["md5"] != stale.md5(content):
                yield text(out["path"]), f"is not the file that {LOCK} records"
    judged = [files.get(stale.JUDGING, {}).get("deps") for files in (old, new)]
    if judged[0] is not None and judged[0] == judged[1]:
        changed = [
            stage
            for stage in old.keys() | new.keys()
            if _tables(old.get(stage, {})) != _tables(new.get(stage, {}))
        ]
        if changed:
            names = ", ".join(sorted(changed))
            yield stale.JUDGING, text(f"did not run with the new results of {names}")


def _tables(entry: dict[str, Any]) -> list[str]:
    """Return the hashes of the outputs that `diagnose` reads, of one stage of dvc.lock."""
    folders = (TRAINING, STATISTICS, INITIALISATION)
    return [
        out["md5"]
        for out in entry.get("outs", [])
        if any(folder in Path(out["path"]).parents for folder in folders)
    ]


def parameters(before: StudyFiles, after: StudyFiles) -> Iterator[Row]:
    """Compare params.yaml, leaf by leaf."""
    old, new = (dict(leaves(files.yaml(PARAMS))) for files in (before, after))
    for key in old | new:
        if old.get(key) != new.get(key):
            cells = [text(leaf[key]) if key in leaf else "-" for leaf in (old, new)]
            yield text(key), *cells


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield (path, value) of each leaf of nested mappings."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from leaves(inner, f"{path}.{key}" if path else str(key))
    else:
        yield path, value


def rerun_stages(before: StudyFiles, after: StudyFiles) -> Iterator[Row]:
    """Compare dvc.lock, and name the causes for which a stage ran again."""
    old_stages, new_stages = (files.yaml(LOCK).get("stages", {}) for files in (before, after))
    for stage in old_stages | new_stages:
        old, new = old_stages.get(stage), new_stages.get(stage)
        if old == new or stage == stale.FINGERPRINT:  # it runs after every edit; others say `code`
            continue
        if old is None or new is None:
            yield text(stage), "removed" if new is None else "new"
        else:
            causes = _causes(old, new, after.folder)
            yield text(stage), text(", ".join(causes) or "its outputs differ")


def _causes(old: dict[str, Any], new: dict[str, Any], folder: Path) -> list[str]:
    """Name the inputs in which two entries of dvc.lock differ: files, code, parameters, command."""
    before, after = (
        {dependency["path"]: dependency.get("md5") for dependency in entry.get("deps", [])}
        for entry in (old, new)
    )
    changed = [path for path in before | after if before.get(path) != after.get(path)]
    causes = [_input_name(path, folder) for path in changed]
    causes += [PARAMS.name] * (old.get("params") != new.get("params"))
    causes += ["its command"] * (old.get("cmd") != new.get("cmd"))
    return list(dict.fromkeys(causes))


def _input_name(path: str, folder: Path) -> str:
    """Return `code` for a fingerprint; a path that leads out of the study begins at the root."""
    if FINGERPRINTS in Path(path).parents:
        return "code"
    return os.path.normpath(folder / path) if path.startswith(".") else path


def metrics(before: StudyFiles, after: StudyFiles) -> Iterator[Row]:
    """Compare metrics.json; each difference has a sign and a word for its direction."""
    old_metrics, new_metrics = before.json(METRICS, {}), after.json(METRICS, {})
    for variant in old_metrics | new_metrics:
        if variant not in old_metrics:
            accuracy = new_metrics[variant].get("test_accuracy")
            yield text(variant), "test_accuracy", "-", text(accuracy), "", "new"
        elif variant not in new_metrics:
            accuracy = old_metrics[variant].get("test_accuracy")
            yield text(variant), "test_accuracy", text(accuracy), "-", "", "removed"
        else:
            yield from _changed_metrics(variant, old_metrics[variant], new_metrics[variant])


def _changed_metrics(variant: str, old: dict[str, Any], new: dict[str, Any]) -> Iterator[Row]:
    for metric in old | new:
        values = old.get(metric), new.get(metric)
        if values[0] != values[1]:
            yield (text(variant), text(metric), *map(text, values), *change(metric, *values))


def change(metric: str, before: Any, after: Any) -> tuple[str, str]:
    """Return the difference, and its direction with a coloured sign and a word."""
    if not all(isinstance(value, int | float) for value in (before, after)):
        return "", "⚪ changed"
    direction, arrow = ("up", "↑") if after > before else ("down", "↓")
    better = _BETTER.get(metric)
    judgement = "🟢 better" if direction == better else "🔴 worse"
    return f"{after - before:+.3g}", f"{arrow} {judgement if better else '⚪ changed'}"


def health(before: StudyFiles, after: StudyFiles) -> Iterator[Row]:
    """Compare the verdict of each rule on each variant."""
    old, new = (_verdicts(files.json(HEALTH, [])) for files in (before, after))
    for variant, rule in old | new:
        pair = [judged.get((variant, rule), "-") for judged in (old, new)]
        if pair[0] != pair[1]:
            yield text(variant), text(rule.replace("_", " ")), *map(text, pair)


def _verdicts(rows: list[dict[str, Any]]) -> dict[tuple[str, str], str]:
    """Return {(variant, rule): the gravest verdict}."""
    by_variant: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        by_variant.setdefault(row["variant"], []).append(row)
    return {
        (variant, row["rule"]): verdicts.verdict(checks, row["rule"])
        for variant, checks in by_variant.items()
        for row in checks
    }


def claims(before: StudyFiles, after: StudyFiles) -> Iterator[Row]:
    """Compare the verdicts on the claims."""
    old_claims, new_claims = (
        {claim["id"]: claim for claim in files.json(CLAIMS, [])} for files in (before, after)
    )
    for name, claim in (old_claims | new_claims).items():
        old, new = old_claims.get(name, {}), new_claims.get(name, {})
        if old.get("verdict") != new.get("verdict"):
            cells = [text(row.get(key, "-")) for key in ("verdict", "effect") for row in (old, new)]
            yield text(claim["claim"]), *cells


def figures(
    before: StudyFiles, after: StudyFiles, files: Sequence[Path], url: str | None
) -> Iterator[Row]:
    """Set each figure that differs side by side, linked by commit."""
    folder = after.folder / FIGURES
    for path in files:
        if folder in path.parents:
            cells = [picture(study.commit, path, url) for study in (before, after)]
            yield text(path.relative_to(folder).with_suffix("").as_posix()), *cells


def picture(commit: Commit, path: Path, url: str | None) -> str:
    """Show a figure as it is in a commit: the image, or the command that prints it."""
    if not commit.has(path):
        return "-"
    if url is None:
        return f"`git show {commit.sha[:9]}:./{text(path.as_posix())}`"
    folder = git("rev-parse", "--show-prefix").strip()  # of the project in the Git repository
    return f"![]({url}/blob/{commit.sha}/{folder}{path.as_posix()}?raw=true)"


def text(value: Any) -> str:
    """Write a value that a branch contains so that it is plain text in a Markdown table."""
    plain = f"{value:.6g}" if isinstance(value, float) else "none" if value is None else str(value)
    escaped = html.escape(" ".join(plain.split()), quote=False)
    # A mention would notify people: a zero-width space after the sign prevents it.
    return re.sub(r"([\\`*\[\]|~])", r"\\\1", escaped).replace("@", "@\u200b")
