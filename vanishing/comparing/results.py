"""The results of one study, as texts that a folder, a commit or a test provides."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from vanishing.errors import StudyError, in_one_line
from vanishing.judging.verdicts import Row
from vanishing.paths import (
    CLAIMS,
    HEALTH,
    INITIALISATION,
    LOCK,
    METRICS,
    PARAMS,
    REPORT,
    RUNS,
    STATISTICS,
    TRAINING,
    plot,
)
from vanishing.pipeline.source import Source

CURVES, GRADIENTS = plot("curves"), plot("gradients")
FILES = (PARAMS, LOCK, METRICS, RUNS, HEALTH, CLAIMS, REPORT, CURVES, GRADIENTS)

Metrics = Mapping[str, Any]  # {metric: number, None if not finite; `verdict`: words}


@dataclass(frozen=True)
class Results:
    """The results of one study; a file that it lacks is empty.

    Attributes:
        name: Of the place that they come from, for errors.
        texts: {file of FILES: its content}.
        figures: {figure: anything that tells its content from another}.
        requirements: The content of requirements.lock.
        source: The code that made them; None if it is not known.
    """

    name: str
    texts: Mapping[Path, str]
    figures: Mapping[Path, str] = field(default_factory=dict)
    requirements: str = ""
    source: Source | None = None

    def text(self, path: Path) -> str:
        """Return the content of a file of FILES."""
        return self.texts.get(path, "")

    @property
    def exist(self) -> bool:
        """Whether there is a study at all."""
        return any(self.texts.values())

    @cached_property
    def params(self) -> dict[str, Any]:
        """params.yaml, not validated: it may be that of another version."""
        return self._yaml(PARAMS, pure=True)  # as when it is validated

    @cached_property
    def variants(self) -> dict[str, dict[str, Any]]:
        """The variants of params.yaml."""
        variants = self.params.get("variants", {})
        return variants if isinstance(variants, dict) else {}

    @cached_property
    def stages(self) -> dict[str, dict[str, Any]]:
        """The stages of dvc.lock."""
        return dict(self._yaml(LOCK).get("stages", {}))

    @cached_property
    def tables(self) -> dict[Path, str]:
        """{folder of tables of a training run or a variant: its digest in dvc.lock}."""
        return {
            path: out["md5"]
            for entry in self.stages.values()
            for out in entry.get("outs", [])
            if not {TRAINING, STATISTICS, INITIALISATION}.isdisjoint(
                (path := Path(out["path"])).parents
            )
        }

    @cached_property
    def metrics(self) -> dict[str, Metrics]:
        """{variant: its numbers, means over the seeds}."""
        return dict(self._json(METRICS, {}))

    @cached_property
    def runs(self) -> dict[str, dict[int, Row]]:
        """{variant: {seed: its row of runs.json}}."""
        runs: dict[str, dict[int, Row]] = {}
        for row in self._json(RUNS, []):
            runs.setdefault(row["variant"], {})[row["seed"]] = row
        return runs

    @cached_property
    def health(self) -> dict[str, list[Row]]:
        """{variant: its rows of health.json}."""
        rows: dict[str, list[Row]] = {}
        for row in self._json(HEALTH, []):
            rows.setdefault(row["variant"], []).append(row)
        return rows

    @cached_property
    def claims(self) -> dict[str, Row]:
        """{id of a claim: its row of claims.json}."""
        return {row["id"]: row for row in self._json(CLAIMS, [])}

    def _yaml(self, path: Path, pure: bool = False) -> dict[str, Any]:
        try:
            return YAML(typ="safe", pure=pure).load(self.text(path)) or {}
        except YAMLError as error:
            raise self._unreadable(path, error) from None

    def _json(self, path: Path, default: Any) -> Any:
        text = self.text(path)
        try:
            return json.loads(text) if text else default
        except json.JSONDecodeError as error:
            raise self._unreadable(path, error) from None

    def _unreadable(self, path: Path, error: Exception) -> StudyError:
        return StudyError(
            f"{path} in {self.name}: {in_one_line(error)}; it should be a whole file, without marks"
            " of a conflict"
        )


def kind(stage: str) -> str:
    """Return the kind of a stage of dvc.lock: `train` of `train@relu-0`."""
    return stage.partition("@")[0]
