"""Content of pages: exact where it is kept, evenly thinned, with every kind of number."""

import base64
import io
import json
import math
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

from tests.support.study import tiny_params
from vanishing.errors import StudyError
from vanishing.explorer import content
from vanishing.explorer.encoding import to_script
from vanishing.explorer.explore import explore
from vanishing.explorer.figures import figures_of
from vanishing.paths import PARAMS


def test_numbers_that_json_lacks_are_named() -> None:
    numbers = [math.nan, math.inf, -math.inf, 0.123456789, 1e-300, None, 3]
    expected = ["NaN", "Infinity", "-Infinity", 0.1235, 1e-300, None, 3]
    assert json.loads(to_script(numbers)) == expected


def test_no_text_ends_the_script_that_holds_it() -> None:
    text = "</script><!--<script>"
    assert "<" not in to_script([text])
    assert json.loads(to_script([text])) == [text]


@pytest.mark.parametrize("most", [2, 5, 99])
def test_steps_are_thinned_with_the_first_and_the_last(most: int) -> None:
    steps = list(range(0, 100, 10))
    kept = content.thin(steps, most)
    assert len(kept) == min(most, len(steps))
    assert (kept[0], kept[-1]) == (0, 90)


def test_a_studys_page_has_the_tables_numbers(judged_folder: Path) -> None:
    page = explore(judged_folder).content
    assert [run["name"] for run in page["runs"]] == list(tiny_params()["variants"])
    run = page["runs"][1]
    folder = judged_folder / f"data/statistics/{run['name']}/seed-0"
    layers = pd.read_parquet(folder / "layers.parquet")
    rows = layers.query("tensor == 'backpropagated_gradient' and statistic == 'rms'")
    last = rows[rows["step"] == rows["step"].max()].set_index("layer")["value"]
    dz = run["series"]["dz"]
    assert dz["steps"][-1] == rows["step"].max()
    assert dz["values"][-1] == pytest.approx(list(last[run["layers"]]), rel=1e-3)
    histograms = pd.read_parquet(folder / "histograms.parquet")
    counts = histograms.query("tensor == 'activation' and scale == 'log2' and epoch == 0")
    counts = counts[counts["layer"] == run["layers"][0]]
    zeros, denormals, nonfinite, _, *bins = run["histograms"]["activation"]["counts"][0][0]
    assert zeros == counts.loc[counts["bin_left"] == 0, "count"].sum()
    assert zeros + denormals + nonfinite + sum(bins) == counts["count"].sum()
    assert {claim["verdict"] for claim in page["claims"]}


def test_a_problem_has_the_mark_of_its_kind(judged_folder: Path) -> None:
    marks = {"fails", "warning", "note", "fine", "undefined", "not applicable"}
    judged = [
        rule for run in explore(judged_folder).content["runs"] for rule in run["rules"].values()
    ]
    assert {rule["mark"] for rule in judged} <= marks
    assert all(
        (rule["mark"] == rule["verdict"]) != (rule["verdict"] == "problem") for rule in judged
    )


def test_the_figures_of_a_report_are_packed_in_its_order(tmp_path: Path) -> None:
    for name, color in (("a", (200, 10, 10)), ("b", (10, 10, 200))):
        Image.new("RGB", (60, 40), color).save(tmp_path / f"{name}.png")
    report = tmp_path / "README.md"
    report.write_text("# Title\n\n![Second, first](b.png)\n\ntext ![no](a.png)\n![Then](a.png)\n")
    figures = figures_of(report)
    assert [figure["caption"] for figure in figures] == ["Second, first", "Then"]
    packed = figures[0]["source"].removeprefix("data:image/webp;base64,")
    with Image.open(io.BytesIO(base64.b64decode(packed))) as image:
        assert image.size == (60, 40)
        assert image.convert("RGB").getpixel((5, 5)) == (10, 10, 200)


@pytest.mark.parametrize("content", [None, b"", b"no figure"])
def test_a_figure_that_cannot_be_read_is_named(tmp_path: Path, content: bytes | None) -> None:
    (tmp_path / "README.md").write_text("![A](a.png)")
    if content is not None:
        (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(StudyError, match=r"a\.png: cannot be read \("):
        figures_of(tmp_path / "README.md")


def test_a_seed_that_is_not_a_number_is_not_left_out_of_the_mean() -> None:
    rows = pd.DataFrame(
        {
            "seed": [0, 1, 0, 1],
            "step": [0, 0, 1, 1],
            "layer_index": 0,
            "layer": "one",
            "tensor": "backpropagated_gradient",
            "statistic": "rms",
            "value": [1.0, 3.0, 1.0, math.nan],
        }
    )
    frames = {"layers": rows, "trace": rows[:0]}
    assert content.series(frames, ["one"], 9)["dz"]["values"] == [[2.0], ["NaN"]]


def test_a_study_stands_alone(tmp_path: Path) -> None:
    (tmp_path / PARAMS).write_text("")
    with pytest.raises(StudyError, match="a page is of one study, or of watched trainings"):
        explore(tmp_path, tmp_path)
