"""The predictor's arithmetic, which is JavaScript, against the library's."""

import json
import math
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import playwright
import pytest

from tests.support.processes import needs
from vanishing.activations import ACTIVATIONS
from vanishing.explorer.page import ASSETS
from vanishing.initialisers import INITIALISERS, bias_variance, weight_variance
from vanishing.params.study import Variant
from vanishing.theory import meanfield

SETTINGS = 500
TOLERANCE = 1e-6
DRIVER = Path(playwright.__file__).parent / "driver" / "node"  # that Playwright brings
NODE = shutil.which("node") or (str(DRIVER) if DRIVER.exists() else None)
PROGRAM = """
import {attenuations, firstQ, predict} from "./theory.mjs";
import {readFileSync} from "node:fs";
const settings = JSON.parse(readFileSync(0, "utf-8"));
const results = settings.map(({network, inputs}) => {
  const q = firstQ(network, inputs);
  const layers = predict(network, inputs, q);
  return {q, layers, attenuation: attenuations(layers).at(-1)};
});
process.stdout.write(JSON.stringify(results));
"""


def draw(source: np.random.Generator) -> dict[str, Any]:
    """Draw a network and its inputs, with no variance beyond the page's largest."""
    init = str(source.choice(list(INITIALISERS)))
    width, count = int(source.choice([1, 10, 100, 784, 1000])), int(source.choice([1, 8, 784]))
    skip = bool(source.random() < 0.3)
    std = 10 ** source.uniform(-1, 0.15) / math.sqrt(max(width, count))
    return {
        "network": {
            "activation": str(source.choice(list(ACTIVATIONS))),
            "init": init,
            "std": std if init == "normal" else None,
            "depth": int(source.integers(1, 8 if skip else 60)),  # with skips variances grow
            "width": width,
            "skip": skip,
        },
        "inputs": {"count": count, "square": 10 ** source.uniform(-3, 1)},
    }


def agrees_with(value: float | None, expected: float) -> bool:
    """Return whether a number agrees; JSON has null in place of NaN and infinity."""
    if value is None:
        return not math.isfinite(expected)
    return value == pytest.approx(expected, rel=TOLERANCE, abs=0)


@needs(NODE, "Node is not installed here (Debian: apt install nodejs)")
def test_the_predictors_arithmetic_is_the_librarys(tmp_path: Path) -> None:
    assert NODE is not None
    source = np.random.default_rng(0)
    settings = [draw(source) for _ in range(SETTINGS)]
    shutil.copy(ASSETS / "theory.js", tmp_path / "theory.mjs")
    (tmp_path / "program.mjs").write_text(PROGRAM)
    done = subprocess.run(
        [NODE, "program.mjs"],
        cwd=tmp_path,
        input=json.dumps(settings),
        capture_output=True,
        text=True,
        check=True,
    )
    differing = []
    for setting, result in zip(settings, json.loads(done.stdout), strict=True):
        variant = Variant(normalization="none", **setting["network"])
        count, square = setting["inputs"]["count"], setting["inputs"]["square"]
        variance = weight_variance(variant.init, variant.std, count, variant.width)
        q = count * variance * square + bias_variance(count)
        layers = meanfield.predict(variant, count, q)
        agrees = [
            agrees_with(result["q"], q),
            agrees_with(result["attenuation"], meanfield.attenuation(layers)),
        ]
        agrees += [
            agrees_with(layer[key], getattr(expected, key))
            for layer, expected in zip(result["layers"], layers, strict=True)
            for key in ("q", "chi", "hop")
        ]
        if not all(agrees):
            differing.append(setting)
    assert not differing
