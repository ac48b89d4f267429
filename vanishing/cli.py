"""The command `vanishing`: `vanishing predict VARIANT` and `vanishing --version`."""

import argparse
import math
import sys

from vanishing.errors import run_command
from vanishing.version import __version__


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
        description="Print the factor by which the gradient shrinks per layer, the attenuation at"
        " the variant's depth, and the depth at which the first layer's gradient falls below a"
        " threshold. Reads params.yaml, and the training images in data/raw.",
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
    return parser


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


if __name__ == "__main__":
    sys.exit(main())
