"""Content of a page as JSON: rounded, with NaN and infinities by name, safe in a script element."""

import json
import math
from typing import Any

DIGITS = 4  # significant: more than a chart shows, and than its table writes


def encode(content: Any) -> Any:
    """Return a copy in which every float is a number that JSON has, or its name in JavaScript.

    JavaScript's `Number("NaN")` and `Number("-Infinity")` give back what JSON cannot hold.
    """
    if isinstance(content, dict):
        return {key: encode(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [encode(value) for value in content]
    if isinstance(content, float):
        return encode_number(content)
    return content


def encode_number(value: float) -> float | str:
    """Return a float with DIGITS significant digits, or "NaN", "Infinity" or "-Infinity"."""
    if math.isfinite(value):
        return float(f"{value:.{DIGITS}g}")
    return "NaN" if math.isnan(value) else f"{'-' if value < 0 else ''}Infinity"


def to_script(content: Any) -> str:
    """Write content as JSON that no name or value in it can end: `<` becomes an escape."""
    text = json.dumps(encode(content), allow_nan=False, ensure_ascii=False, separators=(",", ":"))
    return text.replace("<", "\\u003c")
