"""Run a stage and print its peak memory: `python -m benchmarks.peak STAGE [ARGUMENT …]`.

Out: on the last line of stdout, {"imported": …, "peak": …}, the peak memory in bytes before the
stage begins, with its libraries imported, and after it.
"""

import importlib
import json
import sys


def peak_bytes() -> int:
    """Return the peak memory of this process.

    `ru_maxrss` would be that of the process that started this one, where that is larger.
    """
    with open("/proc/self/status", encoding="ascii") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith("VmHWM"))


def main(argv: list[str]) -> None:
    """Run the stage that the command line names."""
    stage = importlib.import_module(f"stages.{argv[0]}")
    imported = peak_bytes()
    stage.main(argv[1:])
    print(json.dumps({"imported": imported, "peak": peak_bytes()}))


if __name__ == "__main__":
    main(sys.argv[1:])
