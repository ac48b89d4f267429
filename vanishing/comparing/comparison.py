"""All that differs between two results, in one call."""

from dataclasses import dataclass
from pathlib import Path

from vanishing.comparing.causes import (
    ParameterChange,
    StageChange,
    changed_code,
    changed_parameters,
    changed_stages,
)
from vanishing.comparing.conditions import changed_conditions
from vanishing.comparing.differences import (
    ClaimChange,
    Difference,
    Variants,
    VerdictChange,
    changed_claims,
    changed_numbers,
    changed_verdicts,
    match_variants,
    names_of_numbers,
)
from vanishing.comparing.results import Results
from vanishing.comparing.states import mixed_states
from vanishing.paths import FIGURES, HEALTH, METRICS, figure

# Figures of other data than the tables in data/.
_DATA = {figure("health"): HEALTH, figure("attenuation-by-variant"): METRICS}


@dataclass(frozen=True)
class Comparison:
    """What differs between two results, and why.

    Attributes:
        old: The results before.
        new: The results afterwards.
        variants: Which variant is which.
        verdicts: Those that differ, on variants that both sides have.
        claims: Those whose verdict differs.
        numbers: Those that differ, changed or within noise.
        metrics: Names of the metrics that only one side has.
        figures: Figures that are drawn differently, of the same data.
        parameters: Those that differ.
        code: {module: definitions that differ}, of the stages that ran again.
        stages: Those that ran again.
        conditions: Machines and libraries that are not the same, a sentence each.
        mixed: Why the new results do not belong together, a sentence each.
    """

    old: Results
    new: Results
    variants: Variants
    verdicts: tuple[VerdictChange, ...]
    claims: tuple[ClaimChange, ...]
    numbers: tuple[Difference, ...]
    metrics: tuple[str, ...]
    figures: tuple[Path, ...]
    parameters: tuple[ParameterChange, ...]
    code: dict[str, list[str]]
    stages: tuple[StageChange, ...]
    conditions: tuple[str, ...]
    mixed: tuple[str, ...]

    @property
    def differs(self) -> bool:
        """Whether there is anything to say."""
        variants = self.variants
        of_variants = variants.added, variants.removed, variants.renamed
        results = self.verdicts, self.claims, self.numbers, self.metrics, self.figures
        causes = self.parameters, self.stages, self.conditions, self.mixed
        return self.old.exist != self.new.exist or any((*of_variants, *results, *causes))

    @property
    def changed(self) -> list[Difference]:
        """The numbers that noise does not explain."""
        return [number for number in self.numbers if number.reason == "change"]


def compare(old: Results, new: Results) -> Comparison:
    """Compare two results.

    Args:
        old: Those before.
        new: Those afterwards. Either may be of a study that does not exist there.

    Returns:
        The comparison.
    """
    variants = match_variants(old, new)
    stages = changed_stages(old, new)
    return Comparison(
        old,
        new,
        variants,
        tuple(changed_verdicts(old, new, variants.pairs)),
        tuple(changed_claims(old, new)),
        tuple(changed_numbers(old, new, variants.pairs)),
        tuple(sorted(names_of_numbers(old) ^ names_of_numbers(new))) if old.metrics else (),
        tuple(redrawn_figures(old, new)),
        tuple(changed_parameters(old, new, variants)),
        changed_code(old, new, stages),
        tuple(stages),
        tuple(changed_conditions(old, new, variants.pairs)),
        tuple(mixed_states(old, new)),
    )


def redrawn_figures(old: Results, new: Results) -> list[Path]:
    """Return the figures that differ though their data are the same.

    Data are the tables of which the stage `render` has the digests in dvc.lock, and, of a variant's
    own card, those of its own training runs and initialisations; for two figures a JSON file.
    """
    redrawn = []
    for path, digest in new.figures.items():
        if path in old.figures and digest != old.figures[path]:
            if path in _DATA:
                same = old.text(_DATA[path]) == new.text(_DATA[path])
            else:
                name = path.stem if path.parent == FIGURES / "variants" else None
                tables = _tables(old, name)
                same = bool(tables) and tables == _tables(new, name)
            if same:
                redrawn.append(path)
    return redrawn


def _tables(results: Results, variant: str | None) -> dict[Path, str]:
    """Return the digests of tables, of one variant or of all."""
    return {
        path: digest
        for path, digest in results.tables.items()
        if variant is None or variant in path.parts
    }
