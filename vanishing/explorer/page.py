"""A page: its content made into one HTML file that needs neither a server nor a network."""

import html
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from vanishing.explorer.content import QUANTITIES
from vanishing.explorer.encoding import to_script
from vanishing.files import write_text
from vanishing.paths import REPORTS

ASSETS = Path(__file__).with_name("assets")
# In the order in which one uses another: a page has them one after another, as one module.
MODULES = (
    "values",
    "theory",
    "dom",
    "chart",
    "state",
    "views",
    "layers",
    "verdicts",
    "predictor",
    "main",
)
_IMPORT = re.compile(r"^import .*?;\n", re.MULTILINE | re.DOTALL)
_EXPORT = re.compile(r"^export ", re.MULTILINE)
INDEX = REPORTS / "index.html"  # of a study
_HEIGHT = 800  # of a page in a notebook, in pixels


@dataclass(frozen=True)
class Page:
    """A study or watched trainings to look at, in a browser or in a notebook.

    Attributes:
        content: As docs/explorer.md describes it; anything that `encoding.to_script` takes.
    """

    content: dict[str, Any]

    def html(self) -> str:
        """Return the page as HTML, complete in itself."""
        environment = Environment(
            loader=FileSystemLoader(ASSETS), autoescape=True, undefined=StrictUndefined
        )
        quantities = [quantity._asdict() for quantity in QUANTITIES]
        shown = {"claims": [], "inputs": None} | self.content | {"quantities": quantities}
        figures = shown.pop("figures", [])
        return environment.get_template("page.html.j2").render(
            title=self.content["title"],
            figures=figures,
            style=Markup((ASSETS / "page.css").read_text("utf-8")),  # noqa: S704 - ours
            script=Markup(script()),  # noqa: S704 - ours
            data=Markup(to_script(shown)),  # noqa: S704 - has no `<`
        )

    def save(self, path: Path | str) -> None:
        """Write the page into a file, whole or not at all."""
        write_text(Path(path), self.html())

    def _repr_html_(self) -> str:
        """Return the page in a frame, as notebooks show it."""
        source = html.escape(self.html())
        title = html.escape(self.content["title"])
        return (
            f'<iframe srcdoc="{source}" title="{title}" sandbox="allow-scripts"'
            f' style="width: 100%; height: {_HEIGHT}px; border: 0"></iframe>'
        )


def script() -> str:
    """Return the JavaScript of a page: the modules after one another, as one module.

    A browser loads no module from a file beside a page that is itself a file, so what modules say
    of each other is left out; a name is defined in one of them only.
    """
    texts = [(ASSETS / f"{name}.js").read_text("utf-8") for name in MODULES]
    return "\n".join(_EXPORT.sub("", _IMPORT.sub("", text)) for text in texts)
