"""Why results differ: parameters, code, stages, machines and libraries, mixed states."""

from pathlib import Path

from tests.support.made_up_results import MACHINE, Files
from tests.support.study import BASELINE, ROOT
from tests.vanishing.pipeline.packages import write_package
from vanishing.comparing.comparison import Comparison, compare
from vanishing.comparing.conditions import locked_versions
from vanishing.pipeline.source import Source


def compared(old: Files, new: Files) -> Comparison:
    """Compare the results."""
    return compare(old.results(), new.results())


def test_equal_changes_of_several_variants_are_one(old: Files, new: Files) -> None:
    new.params["diagnose"]["dead_relu"]["layer_above"] = 0.25
    new.params["train"]["snapshots"] = [0, "last"]
    new.params["variants"]["relu"]["width"] = 12
    new.params["variants"]["sigmoid"]["width"] = 12
    new.params["variants"]["sigmoid-batchnorm"]["width"] = 13
    new.params["variants"]["relu"]["std"] = 2.0
    parameters = compared(old, new).parameters
    assert {(p.key, p.variants, p.before, p.after) for p in parameters if p.key[:5] != "train"} == {
        ("diagnose.dead_relu.layer_above", (), 0.5, 0.25),
        ("variants.*.width", ("sigmoid", "relu"), 16, 12),
        ("variants.*.width", ("sigmoid-batchnorm",), 16, 13),
        ("variants.*.std", ("relu",), "-", 2.0),
    }
    (snapshots,) = [p for p in parameters if p.key == "train.snapshots"]
    assert (snapshots.before, snapshots.after) == ([0, 1, "last"], [0, "last"])


def test_a_new_name_is_no_other_parameter(old: Files, new: Files) -> None:
    variants = new.params["variants"]
    variants["plain"] = variants["sigmoid"]
    new.remove("sigmoid")
    new.add("plain")
    for name in ("relu", "sigmoid-batchnorm"):
        variants[name]["compare_to"] = "plain"
    variants["added"] = BASELINE | {"depth": 9, "compare_to": "plain"}
    new.add("added")
    assert compared(old, new).parameters == ()


def test_stages_of_a_kind_are_counted_with_their_own_causes(old: Files, new: Files) -> None:
    new.ran("train@relu-0", "data/fingerprints/variants/relu")
    new.stages["train@sigmoid-0"]["params"] = {"params.yaml": {"train.epochs": 2}}
    new.ran("extract@relu-0", "data/training")
    new.stages["report"]["deps"][0]["md5"] = "b"
    new.stages["fingerprint"]["deps"][0]["md5"] = "b"  # it runs after every edit
    new.stages["train@sigmoid-batchnorm-0"]["outs"][0]["md5"] = "b"
    new.params["variants"]["tanh"] = BASELINE
    new.add("tanh")
    stages = compared(old, new).stages
    assert [(stage.kind, stage.count, stage.total) for stage in stages] == [
        ("train", 4, 4),
        ("extract", 2, 4),
        ("report", 1, 1),
    ]
    train, extract, report = (stage.causes for stage in stages)
    assert set(train) == {"code", "parameters", "no input differs", "new"}
    assert extract == ("new",)  # and the results of training, which need no mention then
    assert report == ("vanishing/report.md.j2",)


CODE = {
    "stages/train.py": "from vanishing import loop\ndef main():\n    loop.train()\n",
    "stages/extract.py": "from vanishing import probe\ndef main():\n    probe.take()\n",
    "vanishing/__init__.py": "",
    "vanishing/loop.py": "import math\ndef train():\n    return math.pi\nUNUSED = 1\n",
    "vanishing/probe.py": "def take():\n    return 1\n",
    "own/nets.py": "def build():\n    return 1\n",
}


def changed_code(folder: Path, files: tuple[Files, Files], code: dict[str, str]) -> object:
    """Compare results with their code."""
    write_package(folder / "old", CODE)
    write_package(folder / "new", CODE | code)
    sources = [Source([folder / name, folder / name / "own"]) for name in ("old", "new")]
    return compare(files[0].results(sources[0]), files[1].results(sources[1])).code


def test_code_is_that_of_stages_that_ran_for_its_sake(
    tmp_path: Path, old: Files, new: Files
) -> None:
    code = {
        "vanishing/loop.py": CODE["vanishing/loop.py"].replace("pi", "e").replace("1", "2"),
        "vanishing/probe.py": '"""A docstring."""\n' + CODE["vanishing/probe.py"],
        "own/nets.py": "def build():\n    return 2\n",
    }
    assert changed_code(tmp_path, (old, new), code) == {}  # nothing ran
    new.ran("train@relu-0", "data/fingerprints/train")
    new.ran("extract@relu-0", "data/fingerprints/extract")
    assert changed_code(tmp_path, (old, new), code) == {"vanishing.loop": ["train"]}
    new.params["variants"]["relu"]["network"] = "nets:build"
    assert changed_code(tmp_path, (old, new), code) == {
        "vanishing.loop": ["train"],
        "nets": ["build"],
    }
    assert compared(old, new).code == {}  # where the code is not known


def test_machines_are_compared_run_by_run(old: Files, new: Files) -> None:
    assert compared(old, new).conditions == ()
    new.runs[0]["machine"] = MACHINE | {"device": "NVIDIA H100", "torch": "2.15.0"}
    new.runs[1]["machine"] = MACHINE | {"threads": 4}
    new.runs[2]["machine"] = MACHINE | {"threads": 4}
    new.add("tanh")
    assert compared(old, new).conditions == (
        "2 training runs on another machine: threads 4 (was 2)",
        "1 training run on another machine: device NVIDIA H100 (was x86_64), torch 2.15.0"
        " (was 2.14.1)",
    )
    old.runs = []  # not known
    assert compared(old, new).conditions == ()


def test_versions_are_those_of_the_shipped_lock() -> None:
    versions = locked_versions((ROOT / "requirements.lock").read_text())
    assert set(versions) == {"torch", "torchvision", "numpy", "pandas", "pyarrow", "matplotlib"}
    assert versions["torch"].count(".") == 2
    assert " or " in versions["numpy"]  # one per Python


def test_a_new_version_counts_only_where_results_can_depend_on_it(old: Files, new: Files) -> None:
    new.requirements += "ruff==9.9\n"
    assert compared(old, new).conditions == ()
    new.requirements += "pandas==4.0.0\n"
    assert compared(old, new).conditions == ("requirements.lock: pandas 4.0.0 (was none)",)


def test_figures_are_drawn_differently_where_their_data_are_the_same(
    old: Files, new: Files
) -> None:
    for figures in (old.figures, new.figures):
        figures["attenuation-by-variant.png"] = b"1"
    new.figures |= dict.fromkeys(new.figures, b"2")
    assert len(compared(old, new).figures) == len(new.figures)
    new.ran("train@relu-0", "nothing")
    new.verdict("relu", "overfit", "problem")
    redrawn = {path.name for path in compared(old, new).figures}
    # Others are the tables of relu, with them all those of several variants, and health.json.
    assert redrawn == {"sigmoid.png", "sigmoid-batchnorm.png", "attenuation-by-variant.png"}
    assert compared(old, old).figures == ()
