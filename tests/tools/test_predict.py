"""What theory says of a variant, on the command line."""

import math
from pathlib import Path

import pandas as pd
import pytest

from tools import predict
from vanishing.errors import StudyError
from vanishing.params import base as section
from vanishing.params.diagnose import Params


@pytest.mark.usefixtures("study")
def test_prediction_is_near_what_was_measured(
    study: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    predict.main(["sigmoid"])
    printed = capsys.readouterr().out
    said = next(line for line in printed.splitlines() if "attenuation at 3 hidden layers" in line)
    theory = pd.read_parquet(study / "data/statistics/sigmoid/theory.parquet")
    own = theory.query("quantity == 'attenuation' and depth == 3")["predicted"].item()
    assert float(said.split()[-1]) == pytest.approx(own, rel=0.05)  # q from other images
    assert "your threshold: from" in printed
    rows = [line.split() for line in printed.splitlines() if line.strip()[:1].isdigit()]
    scale = float(printed.split("of the last hidden layer: ")[1].split()[0])
    assert scale == pytest.approx(-1 / math.log(float(rows[-1][2])), rel=0.01)


@pytest.mark.usefixtures("study")
def test_second_moment_is_that_of_the_images() -> None:
    pixels, square = predict.second_moment(section.load(Params).data)
    assert pixels == 784
    assert 0.9 < square < 0.95  # most of a digit's pixels are black, which is -1 here


@pytest.mark.usefixtures("study")
def test_a_variant_without_theory_says_so() -> None:
    with pytest.raises(StudyError, match="no theory available: batch normalization"):
        predict.main(["sigmoid-batchnorm"])


@pytest.mark.parametrize("threshold", ["0", "-1", "nan", "inf", "x"])
def test_a_threshold_that_is_none_is_refused(
    threshold: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        predict.main(["sigmoid", "--threshold", threshold])
    assert "should be a number above 0" in capsys.readouterr().err
