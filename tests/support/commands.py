"""Subcommands of `vanishing`, run in a folder that has a module of the user's."""

import sys
from pathlib import Path

import pytest

from vanishing import cli


def run(
    monkeypatch: pytest.MonkeyPatch, module: Path, source: str, command: str, *arguments: str
) -> int:
    """Run a subcommand beside a module with this source; return the exit status."""
    module.write_text(source)
    monkeypatch.chdir(module.parent)
    monkeypatch.syspath_prepend(str(module.parent))
    monkeypatch.delitem(sys.modules, module.stem, raising=False)
    monkeypatch.setattr(sys, "argv", ["vanishing", command, *arguments])
    return cli.main()
