"""What a person sees of DVC's output: a line per stage."""

import os

import pytest

from tools.progress import ErrorOutput, Progress, duration

OUTPUT = """\
Running stage 'studies/depths/dvc.yaml:validate':
> python -m stages validate
Updating lock file 'studies/depths/dvc.lock'

Stage 'download' didn't change, skipping
Stage 'train@relu-0' is cached - skipping run, checking out outputs
Running stage 'train@relu-1':
> python -m stages train relu 1
relu seed 1: resumed after epoch 2 of 3
relu seed 1: 3 epochs, train loss 2.3, test accuracy 0.1
Generating lock file 'dvc.lock'

To track the changes with git, run:

\tgit add dvc.lock

To enable auto staging, run:

\tdvc config core.autostage true
Use `dvc push` to send your updates to remote storage.
Data and pipelines are up to date.
"""


def show(output: str, expected: int | None, failed: bool = False) -> Progress:
    """Print the progress of a whole output of DVC."""
    progress = Progress(expected)
    for line in output.splitlines():
        progress.read(line)
    progress.end_stage(failed)
    return progress


def test_each_stage_has_a_line_and_chatter_has_none(capsys: pytest.CaptureFixture[str]) -> None:
    progress = show(OUTPUT, 3)
    assert progress.stages == ["validate", "train@relu-1"]
    lines = [line.split(maxsplit=2) for line in capsys.readouterr().out.splitlines()]
    message = "relu seed 1: 3 epochs, train loss 2.3, test accuracy 0.1"
    assert [(number, stage, " ".join(rest.split())) for number, stage, rest in lines] == [
        ("1/3", "validate", "0 s"),
        ("2/3", "train@relu-0", "restored from DVC's cache"),
        ("3/3", "train@relu-1", f"0 s {message}"),
    ]


def test_more_stages_than_expected_are_counted_too(capsys: pytest.CaptureFixture[str]) -> None:
    show(OUTPUT, 1)
    numbers = [line.split()[0] for line in capsys.readouterr().out.splitlines()]
    assert numbers == ["1/1", "2/2", "3/3"]


def test_a_failed_stage_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    show(OUTPUT, 3, failed=True)
    assert "train@relu-1                          failed" in capsys.readouterr().out


def test_lines_outside_stages_are_kept(capsys: pytest.CaptureFixture[str]) -> None:
    show("     0.8 s   0/2  queued    train@relu-0\n" + OUTPUT, None)
    first, second, *_ = capsys.readouterr().out.splitlines()
    assert first == "     0.8 s   0/2  queued    train@relu-0"
    assert second.split() == ["validate", "0", "s"]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.2, "0 s"), (59.4, "59 s"), (59.6, "1 min 0 s"), (125, "2 min 5 s"), (5025, "1 h 23 min")],
)
def test_durations_are_written_for_people(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_errors_are_passed_on_until_they_are_silenced(capfd: pytest.CaptureFixture[str]) -> None:
    output = ErrorOutput()
    os.write(output.descriptor, b"one\n")
    output.close()
    assert capfd.readouterr().err == "one\n"
    output = ErrorOutput()
    output.silence()
    os.write(output.descriptor, b"two\n")
    output.close()
    assert capfd.readouterr().err == ""
