"""The page of a study's variant: what to do about it, and what was tried."""

from pathlib import Path

from ruamel.yaml import YAML
from ruamel.yaml.compat import StringIO

from vanishing.paths import REPORTS
from vanishing.remedies.advice import Advice, tabulate_trials

_FOLDER = REPORTS / "remedies"


def page(variant: str, suffix: str) -> Path:
    """Return the path of a variant's page, `.md` or `.json`."""
    return _FOLDER / f"{variant}{suffix}"


def markdown(variant: str, advice: Advice) -> str:
    """Write the answer, how it is done, and what was tried, without what a clock tells."""
    parts = [f"# What helps `{variant}`", advice.sentence]
    if advice.change is not None:
        parts += ["In Python:", f"```python\n{advice.change.code}\n```"]
    if advice.params:
        parts += ["In params.yaml:", f"```diff\n{_difference(variant, advice)}\n```"]
    if advice.tried:
        parts.append(tabulate_trials(advice.as_is, advice.tried, "github", with_time=False))
    parts.append(f"Cost: {advice.trainings:.2f} of a training as planned.")
    return "\n\n".join(parts) + "\n"


def _difference(variant: str, advice: Advice) -> str:
    """Write a variant that has the change, as lines to be added."""
    content = {
        f"{variant}-remedied": {"<<": f"*{variant}", **dict(advice.params), "compare_to": variant}
    }
    stream = StringIO()
    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style = False
    yaml.dump(content, stream)
    text = stream.getvalue().replace(f"'*{variant}'", f"*{variant}").replace("'<<'", "<<")
    return "\n".join(f"+ {line}" for line in text.rstrip().splitlines())
