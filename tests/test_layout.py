"""The top level: every folder is in the README's table, so nothing is left there by mistake."""

import re
import subprocess

from tests.support.study import ROOT


def test_every_folder_at_the_top_is_in_the_readme() -> None:
    command = ["git", "ls-files"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    folders = {path.partition("/")[0] for path in listed.split() if "/" in path}
    table = (ROOT / "README.md").read_text(encoding="utf-8").split("## The study")[0]
    named = {name for name in re.findall(r"`([\w-]+)/`", table) if (ROOT / name).is_dir()}
    assert {folder for folder in folders if not folder.startswith(".")} <= named
