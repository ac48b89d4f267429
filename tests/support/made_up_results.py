"""The files of a study that a comparison reads, made up, to be changed and compared."""

import hashlib
import io
import json
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from tests.support.study import tiny_params
from vanishing.comparing.results import FILES, Results
from vanishing.pipeline.source import Source

MACHINE = {"device": "x86_64", "instructions": "AVX2", "threads": 2, "torch": "2.14.1"}
NUMBERS: dict[str, float | None] = {
    "test_accuracy": 0.95,
    "test_loss": 0.2,
    "train_loss": 0.15,
    "attenuation_init": 0.0123456,
    "attenuation_final": 1.5,
}
FRESH = {
    "attenuation_fresh": 0.0123,
    "attenuation_fresh_low": 0.0122,
    "attenuation_fresh_high": 0.0124,
    "hop_theory": 0.14,
}
LAYERS = range(4)
EPOCHS = range(3)


class Files:
    """The results of a study of three variants; `root` is the way to the repository's root."""

    def __init__(self, root: str = ".", seeds: tuple[int, ...] = (0,)) -> None:
        self.params = tiny_params()
        self.params["train"]["seeds"] = list(seeds)
        self.stages: dict[str, Any] = {
            "fingerprint": {"deps": [{"path": f"{root}/vanishing", "md5": "a"}]},
            "report": {"deps": [{"path": f"{root}/vanishing/report.md.j2", "md5": "a"}]},
        }
        self.metrics: dict[str, dict[str, Any]] = {}
        self.runs: list[dict[str, Any]] = []
        self.health: list[dict[str, Any]] = []
        self.claims: list[dict[str, Any]] = [
            {"id": "relu-avoids", "claim": "ReLU avoids it.", "verdict": "refuted", "effect": 0.4},
            {"id": "tanh-shrinks", "claim": "Tanh shrinks.", "verdict": "supported", "effect": 0.5},
        ]
        self.figures = {"health.png": b"1", "gradient-decay.png": b"1"}
        self.losses: dict[str, list[float]] = {}
        self.requirements = "numpy==2.4.6 \\\n    --hash=sha256:0\ntorch==2.14.1 \\\n"
        for name in self.params["variants"]:
            self.add(name, seeds)

    def add(self, name: str, seeds: tuple[int, ...] = (0,)) -> None:
        """Add the results of a variant."""
        for seed in seeds:
            for stage in ("train", "extract"):
                self.stages[f"{stage}@{name}-{seed}"] = self._entry(stage, name, f"seed-{seed}")
            self.runs.append(
                {"variant": name, "seed": seed, "machine": MACHINE, "metrics": dict(NUMBERS)}
            )
        self.metrics[name] = NUMBERS | FRESH | {"verdict": "steady, learns"}
        self.health += [
            {"variant": name, "rule": rule, "verdict": "fine"}
            for rule in ("vanishing_attenuation", "at_chance", "overfit")
        ]
        self.figures[f"variants/{name}.png"] = b"1"
        self.losses[name] = [2.3, 0.5, 0.15]

    def remove(self, name: str) -> None:
        """Remove a variant and its results."""
        for by_variant in (self.params["variants"], self.metrics, self.losses):
            by_variant.pop(name, None)
        for rows in (self.runs, self.health):
            rows[:] = [row for row in rows if row["variant"] != name]
        for stage in [stage for stage in self.stages if f"@{name}-" in stage]:
            del self.stages[stage]
        del self.figures[f"variants/{name}.png"]

    def number(self, name: str, metric: str, *values: float | None) -> None:
        """Set a number of a variant: of each seed, and their mean."""
        rows = [row for row in self.runs if row["variant"] == name]
        for row, value in zip(rows, values, strict=True):
            row["metrics"][metric] = value
        numbers = [value for value in values if value is not None]
        self.metrics[name][metric] = (
            sum(numbers) / len(values) if len(numbers) == len(values) else None
        )

    def verdict(self, name: str, rule: str, verdict: str, words: str = "") -> None:
        """Set the verdict of a rule, and that in words."""
        for row in self.health:
            if (row["variant"], row["rule"]) == (name, rule):
                row["verdict"] = verdict
        self.metrics[name]["verdict"] = words or self.metrics[name]["verdict"]

    def ran(self, stage: str, dependency: str, digest: str = "b") -> None:
        """Let a stage have run with another input, and have another output."""
        for entry in self.stages[stage]["deps"]:
            if entry["path"].startswith(dependency):
                entry["md5"] = digest
        for out in self.stages[stage].get("outs", []):
            out["md5"] = digest

    def texts(self) -> dict[str, str]:
        """Return {path: content} of all files but figures."""
        contents = {
            "metrics": self.metrics,
            "runs": self.runs,
            "health": self.health,
            "claims": self.claims,
        }
        curves = [
            f"{name},{epoch},{loss},0.9,0.2,0.95,{loss},0.9"
            for name, losses in self.losses.items()
            for epoch, loss in enumerate(losses)
        ]
        gradients = [
            f"{name},{epoch},{layer},{0.1 ** (5 - layer)}"
            for name in self.losses
            for epoch in EPOCHS
            for layer in LAYERS
        ]
        columns = "train_loss,train_accuracy,test_loss,test_accuracy,train_loss_end"
        return {
            "params.yaml": dump(self.params),
            "dvc.lock": dump({"stages": self.stages}),
            **{f"reports/{name}.json": json.dumps(value) for name, value in contents.items()},
            "reports/plots/curves.csv": "\n".join(
                [f"variant,epoch,{columns},train_accuracy_end", *curves]
            ),
            "reports/plots/gradients.csv": "\n".join(["variant,epoch,layer_index,rms", *gradients]),
        }

    def write(self, folder: Path) -> None:
        """Write all files into a study's folder."""
        contents = {name: text.encode() for name, text in self.texts().items()}
        contents |= {f"reports/figures/{name}": picture for name, picture in self.figures.items()}
        for path in folder.glob("reports/figures/**/*.png"):
            path.unlink()
        for name, content in contents.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)

    def results(self, source: Source | None = None) -> Results:
        """Return what a comparison reads."""
        texts = {Path(name): text for name, text in self.texts().items()}
        assert set(texts) <= set(FILES)
        figures = {
            Path("reports/figures", name): digest(picture) for name, picture in self.figures.items()
        }
        return Results("made up", texts, figures, self.requirements, source)

    def _entry(self, stage: str, name: str, run: str) -> dict[str, Any]:
        folder = "data/training" if stage == "train" else "data/statistics"
        inputs = [f"data/fingerprints/{stage}", f"data/fingerprints/variants/{name}", "data/raw"]
        inputs += [f"data/training/{name}/{run}"] * (stage == "extract")
        return {
            "cmd": f"python -m stages {stage} {name} {run}",
            "deps": [{"path": path, "md5": "a"} for path in inputs],
            "outs": [{"path": f"{folder}/{name}/{run}", "md5": "a"}],
        }


def dump(content: Any) -> str:
    """Write YAML, with the order of keys kept."""
    stream = io.StringIO()
    YAML().dump(content, stream)
    return stream.getvalue()


def digest(content: bytes) -> str:
    """Return the MD5 of a content, as DVC has it in dvc.lock."""
    return hashlib.md5(content, usedforsecurity=False).hexdigest()
