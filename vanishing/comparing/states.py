"""Results that do not belong together: of other parameters, of other code, half reproduced."""

from collections.abc import Iterator
from pathlib import Path

from vanishing.comparing.results import FILES, Results, kind
from vanishing.comparing.words import some
from vanishing.errors import StudyError
from vanishing.paths import LOCK, PARAMS, stage_fingerprint
from vanishing.pipeline.fingerprint import fingerprint_stage, own_modules
from vanishing.pipeline.guard import look_up
from vanishing.pipeline.lock import text_digest
from vanishing.pipeline.source import Source

_JUDGING = "diagnose"
_WRITING = (_JUDGING, "report")  # stages that write single texts into reports/


def mixed_states(old: Results, new: Results) -> Iterator[str]:
    """Say where the new results do not belong together: params.yaml, dvc.lock and reports/."""
    for stage in _WRITING:
        for out in new.stages.get(stage, {}).get("outs", []):
            path = Path(out["path"])
            if path in FILES and out["md5"] != text_digest(new.text(path)):
                yield f"{path} is not the file that {LOCK} records"
    judged = [side.stages.get(_JUDGING, {}).get("deps") for side in (old, new)]
    if judged[0] is not None and judged[0] == judged[1]:
        changed = [
            path for path in old.tables | new.tables if old.tables.get(path) != new.tables.get(path)
        ]
        if changed:
            yield f"{_JUDGING} did not run with the new {some(sorted(map(str, changed)))}"
    try:
        outdated = _outdated_code(new)
    except StudyError:  # it names a file where the commit was unpacked
        yield "its code is not Python that can be read"
    else:
        if outdated:
            yield f"{LOCK} is of other code than the stages {some(outdated)} have"
    keys = {
        key
        for entry in new.stages.values()
        for key, value in entry.get("params", {}).get(str(PARAMS), {}).items()
        if value != look_up(new.params, key)
    }
    if keys:
        yield f"{LOCK} is of other parameters than {PARAMS}: {some(sorted(keys))}"


def _outdated_code(results: Results) -> list[str]:
    """Name the kinds of stages whose code is not that of dvc.lock."""
    source = results.source
    locked: dict[str, set[str]] = {}
    for stage, entry in results.stages.items():
        for dependency in entry.get("deps", []):
            if dependency["path"] == stage_fingerprint(kind(stage)).as_posix():
                locked.setdefault(kind(stage), set()).add(dependency["md5"])
    return [
        stage
        for stage, digests in locked.items()
        if source is not None
        and source.path(f"stages.{stage}") is not None
        and digests != {text_digest(_fingerprint(stage, results, source))}
    ]


def _fingerprint(stage: str, results: Results, source: Source) -> str:
    return fingerprint_stage(stage, source, own_modules(stage, results.params, source))
