"""Blocks of code in pages of documentation."""

import re
from pathlib import Path


def code_blocks(page: Path, language: str) -> list[str]:
    """Return the contents of a Markdown page's fenced blocks that name `language`."""
    fenced = re.compile(rf"^```{re.escape(language)}\n(.*?)^```$", re.MULTILINE | re.DOTALL)
    return fenced.findall(page.read_text(encoding="utf-8"))
