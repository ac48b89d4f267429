"""The figures of a report, small enough that a page can hold them: it prints them."""

import base64
import io
import re
from pathlib import Path

from PIL import Image

from vanishing.errors import StudyError

_SHOWN = re.compile(r"^!\[(.*)\]\((.*\.png)\)$", re.MULTILINE)  # in Markdown
_COLORS = 128  # of a figure: lines, their smooth edges, and the steps of a scale of colours


def figures_of(report: Path) -> list[dict[str, str]]:
    """Return the figures that a report shows, in its order.

    They keep their resolution, with fewer colours and without further loss: a quarter of the bytes.
    A StudyError names one that is missing or damaged.

    Args:
        report: A page in Markdown; its figures are PNG files, named from its folder.

    Returns:
        Per figure `caption`, the text that stands for it, and `source`, a data URL.
    """
    return [
        {"caption": caption, "source": _data_url(report.parent / path)}
        for caption, path in _SHOWN.findall(report.read_text("utf-8"))
    ]


def _data_url(path: Path) -> str:
    try:
        with Image.open(path) as image:
            few = image.convert("RGB").quantize(_COLORS, dither=Image.Dither.NONE)
    except OSError as error:
        raise StudyError(f"{path}: cannot be read ({error.strerror or 'no figure'})") from None
    packed = io.BytesIO()
    few.convert("RGB").save(packed, "WEBP", lossless=True)
    return f"data:image/webp;base64,{base64.b64encode(packed.getvalue()).decode('ascii')}"
