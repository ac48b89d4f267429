"""The command `vanishing`: `predict`, `explain`, `remedy`; `report`, `check`, `compare` runs."""

import argparse
import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from vanishing.errors import StudyError, run_command
from vanishing.version import __version__

if TYPE_CHECKING:
    from vanishing.params.diagnose import Debugger


def main() -> int:
    """Run the command line; return its exit status."""
    return run_command(run)


def run(argv: list[str]) -> None:
    """Call the subcommand that the arguments name."""
    arguments = _parser().parse_args(argv)
    arguments.command(arguments)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="vanishing", description="Measure and explain the gradients of deep networks."
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    predict = commands.add_parser(
        "predict",
        help="print what mean-field theory predicts of a variant, without training",
        description="Print the factor by which the gradient shrinks per layer, and the attenuation"
        " at the variant's depth; of the library's own network also the depth at which the first"
        " layer's gradient falls below a threshold; of a recurrent one the factor per time step."
        " Reads params.yaml, and the training examples in data/raw.",
    )
    predict.add_argument("variant", metavar="VARIANT", help="a key of `variants` in params.yaml")
    predict.add_argument(
        "--threshold",
        type=_positive,
        default=1e-7,
        metavar="T",
        help="rms(dL/dz) below which you call a gradient vanished (default: %(default)g)",
    )
    predict.set_defaults(command=_predict)
    _add_explain(
        commands.add_parser(
            "explain",
            help="say why the gradient of a network vanishes, in factors that add up",
            description="Send a batch through a network that a function returns, forward and"
            " backward, and print by which factor each operation changes the gradient on its way"
            " from the output to the input, with theory's value beside it.",
        )
    )
    _add_remedy(
        commands.add_parser(
            "remedy",
            help="say what to do about a training that does not learn, by trying it",
            description="Name a plain fault, or leave a training alone that learns, or else try"
            " changes on copies of the network, in short trainings, and print the smallest one"
            " that helps, with its gain and its cost.",
        )
    )
    report = commands.add_parser(
        "report",
        help="judge watched trainings, and draw their gradients",
        description="Apply the health rules to the folders that vanishing.watch wrote. Prints the"
        " problems and a line per block; writes README.md and figures into a folder.",
    )
    report.add_argument("runs", metavar="RUN", nargs="+", type=Path, help="folder of a run")
    report.add_argument(
        "--html",
        action="store_true",
        help="write index.html instead, a page to explore; RUN may also be the folder of a study",
    )
    report.add_argument(
        "--out",
        metavar="FOLDER",
        type=Path,
        help="where to write (default: RUN/report; of a study its reports)",
    )
    _add_rules(report)
    report.set_defaults(command=_report)
    check = commands.add_parser(
        "check",
        help="fail if a watched training has other problems than expected",
        description="Hold the verdicts of a run against the section `expect` of a file,"
        " {rule: true or false, learning: learns}. Exits with 1 if one differs.",
    )
    check.add_argument("run", metavar="RUN", type=Path, help="folder of a run")
    check.add_argument(
        "--expect", metavar="FILE", type=Path, required=True, help="YAML with a section `expect`"
    )
    _add_rules(check)
    check.set_defaults(command=_check)
    compare = commands.add_parser(
        "compare",
        help="set two watched trainings side by side",
        description="Print which verdicts and settings differ between two runs, and the gradients"
        " and updates of their blocks.",
    )
    compare.add_argument("base", metavar="BASE", type=Path, help="folder of a run")
    compare.add_argument("head", metavar="HEAD", type=Path, help="folder of another run")
    _add_rules(compare)
    compare.set_defaults(command=_compare)
    return parser


_FUNCTION = "module:function"


def _add_network(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "network", metavar="NETWORK", help=f"{_FUNCTION} that returns a network, without arguments"
    )
    parser.add_argument(
        "--loss",
        metavar="FUNCTION",
        help=f"{_FUNCTION} of outputs and targets (default: the network's own, or cross-entropy)",
    )


def _add_explain(explain: argparse.ArgumentParser) -> None:
    _add_network(explain)
    explain.add_argument(
        "--data", metavar="FUNCTION", help=f"{_FUNCTION} that returns (inputs, targets)"
    )
    explain.add_argument(
        "--shape",
        type=_shape,
        metavar="N,…",
        help="of one input, as in 784 or 3,32,32: standard normal inputs and random classes, where"
        " there is no --data",
    )
    explain.add_argument(
        "--seeds",
        type=_count,
        default=3,
        metavar="N",
        help="initialisations whose decades are averaged (default: %(default)d)",
    )
    explain.add_argument(
        "--folder", metavar="FOLDER", type=Path, help="where to write factors.parquet and .png"
    )
    explain.set_defaults(command=_explain)


def _add_remedy(remedy: argparse.ArgumentParser) -> None:
    _add_network(remedy)
    remedy.add_argument(
        "--data",
        metavar="FUNCTION",
        required=True,
        help=f"{_FUNCTION} that returns (inputs, targets), or such pairs of training and of test",
    )
    remedy.add_argument(
        "--optimizer",
        metavar="FUNCTION",
        help=f"{_FUNCTION} of a list of parameters, returns an optimizer (default: Adam, 0.001)",
    )
    remedy.add_argument(
        "--loop",
        metavar="FUNCTION",
        help=f"{_FUNCTION} of network and optimizer: your training loop, which yields the loss"
        " after each step (default: shuffled batches of the data)",
    )
    remedy.add_argument(
        "--batch-size", type=_count, default=64, metavar="N", help="(default: %(default)d)"
    )
    remedy.add_argument(
        "--steps",
        type=_count,
        default=500,
        metavar="N",
        help="of your whole training: pilots cost no more than one (default: %(default)d)",
    )
    remedy.add_argument(
        "--seed", type=int, default=0, metavar="N", help="of weights and batches (default: 0)"
    )
    remedy.set_defaults(command=_remedy)


def _shape(text: str) -> tuple[int, ...]:
    """Read whole numbers above 0 with commas between them."""
    return tuple(_count(part) for part in text.split(","))


def _count(text: str) -> int:
    """Read a whole number above 0 as argparse does: with its error."""
    if not text.strip().isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{text!r} given; should be a whole number above 0")
    return int(text)


def _add_rules(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--rules",
        metavar="FILE",
        type=Path,
        help="YAML with a section `diagnose`, as in params.yaml: thresholds of your own; or"
        " debugger: the rules and defaults of Amazon SageMaker Debugger alone",
    )


def _positive(text: str) -> float:
    """Read a number above 0 as argparse does: with its error."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} given; should be a number above 0")
    return value


def _predict(arguments: argparse.Namespace) -> None:
    # Imported here, so that `vanishing --version` does without them.
    from vanishing.params.load import load  # noqa: PLC0415
    from vanishing.params.study import Study  # noqa: PLC0415
    from vanishing.theory.prediction import describe  # noqa: PLC0415

    study = load(Study)
    name = arguments.variant
    print(describe(name, study.variant(name), study.data, arguments.threshold))


def _explain(arguments: argparse.Namespace) -> None:
    from vanishing.explaining.command import Names, explain_named  # noqa: PLC0415
    from vanishing.reporting import factors as figure  # noqa: PLC0415
    from vanishing.reporting.figures import save  # noqa: PLC0415
    from vanishing.results.factors import write_factors  # noqa: PLC0415

    names = Names(arguments.network, arguments.data, arguments.loss, arguments.shape)
    explanation = explain_named(names, range(arguments.seeds))
    keeps = arguments.folder is not None and not explanation.no_path
    if keeps:  # before anything is printed: a reader may close the pipe
        write_factors(arguments.folder / "factors.parquet", explanation.table)
        save(lambda: figure.draw(explanation.table), arguments.folder / "factors.png")
    if arguments.seeds > 1 and not explanation.no_path:
        print(f"Mean of {arguments.seeds} initialisations:")
    print(explanation)
    if keeps:
        print(f"\n{arguments.folder} has factors.parquet and factors.png")


def _remedy(arguments: argparse.Namespace) -> None:
    from vanishing.remedies.command import Names, remedy_named  # noqa: PLC0415

    names = Names(
        arguments.network, arguments.data, arguments.loss, arguments.optimizer, arguments.loop
    )
    print(remedy_named(names, arguments.batch_size, arguments.steps, arguments.seed))


def _report(arguments: argparse.Namespace) -> None:
    if arguments.html:
        _explore(arguments)
    else:
        _write_report(arguments)


def _explore(arguments: argparse.Namespace) -> None:
    from vanishing.explorer.explore import explore  # noqa: PLC0415
    from vanishing.explorer.page import INDEX  # noqa: PLC0415
    from vanishing.paths import PARAMS  # noqa: PLC0415

    page = explore(*arguments.runs, rules=arguments.rules)
    first = arguments.runs[0]
    out = arguments.out or first / (INDEX.parent if (first / PARAMS).is_file() else "report")
    page.save(out / INDEX.name)
    print(f"{out / INDEX.name}: open it in a browser")


def _write_report(arguments: argparse.Namespace) -> None:
    from vanishing.files import write_text  # noqa: PLC0415
    from vanishing.judging.learning.verdict import judge_learning  # noqa: PLC0415
    from vanishing.judging.runs import examine, load_run  # noqa: PLC0415
    from vanishing.reporting import runs as pages  # noqa: PLC0415
    from vanishing.reporting import through_time  # noqa: PLC0415
    from vanishing.reporting.figures import save  # noqa: PLC0415

    rules = _rules(arguments)
    runs = {str(folder): load_run(folder) for folder in arguments.runs}
    judged = {label: (run, examine(run, rules)) for label, run in runs.items()}
    out = arguments.out or arguments.runs[0] / "report"
    traced = {label: run for label, run in runs.items() if len(run.tables["trace"])}
    if not traced:
        raise StudyError(f"{arguments.runs[0]}: has no traced step yet; nothing to report")
    save(lambda: pages.draw(traced), out / pages.FIGURE)
    if through_time.is_recorded(traced.values()):
        save(lambda: through_time.draw(traced), out / pages.THROUGH_TIME)
    if any(map(pages.why, traced.values())):
        save(lambda: pages.draw_why(traced), out / pages.FACTORS)
    verdicts = {label: judge_learning(run) for label, run in runs.items()}
    write_text(out / "README.md", pages.write_markdown(judged, verdicts))
    for label, (run, rows) in judged.items():
        print(f"{run.name}: {verdicts[label]}\n{pages.summarize(run, rows)}")
    print(f"{out / 'README.md'} has the figure and all rules")


def _check(arguments: argparse.Namespace) -> None:
    from vanishing.judging.learning.rows import to_row  # noqa: PLC0415
    from vanishing.judging.learning.verdict import judge_learning  # noqa: PLC0415
    from vanishing.judging.runs import RULES, examine, load_run  # noqa: PLC0415
    from vanishing.judging.verdicts import NOT_APPLICABLE, unmet_expectations  # noqa: PLC0415
    from vanishing.params.rules import read_expectations  # noqa: PLC0415

    expected = read_expectations(arguments.expect)
    run = load_run(arguments.run)
    rows = [to_row(run.name, judge_learning(run)), *examine(run, _rules(arguments))]
    silent = {row["rule"] for row in rows if row["verdict"] == NOT_APPLICABLE}
    for rule in expected:
        if rule in silent:
            reason = "needs records of a study" if rule not in RULES else "has nothing to look at"
            raise StudyError(f"{arguments.expect}: expect.{rule}: {reason} in {arguments.run}")
    unmet = unmet_expectations(rows, {run.name: expected})
    if unmet:
        raise StudyError("\n".join(unmet))
    print(f"{run.name}: all {len(expected)} expectations hold")


def _compare(arguments: argparse.Namespace) -> None:
    from vanishing.comparing.runs import Judged, compare  # noqa: PLC0415
    from vanishing.judging.learning.rows import to_row  # noqa: PLC0415
    from vanishing.judging.learning.verdict import judge_learning  # noqa: PLC0415
    from vanishing.judging.runs import examine, load_run  # noqa: PLC0415

    rules = _rules(arguments)
    judged = []
    for folder in (arguments.base, arguments.head):
        run = load_run(folder)
        if run.tables["trace"].empty:
            raise StudyError(f"{folder}: has no traced step yet; nothing to compare")
        rows = [to_row(run.name, judge_learning(run)), *examine(run, rules)]
        judged.append(Judged(run, rows))
    print(compare(*judged))


def _rules(arguments: argparse.Namespace) -> "Debugger":
    from vanishing.params.rules import DEFAULT, read_rules  # noqa: PLC0415

    return read_rules(arguments.rules or DEFAULT)


if __name__ == "__main__":
    sys.exit(main())
