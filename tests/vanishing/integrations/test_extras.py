"""A framework that is not installed is one line, which says the extra that brings it."""

import importlib
import sys

import pytest

from vanishing import StudyError


@pytest.mark.parametrize(
    ("extra", "package", "module"),
    [
        ("lightning", "lightning", "lightning.pytorch"),
        ("huggingface", "transformers or accelerate", "transformers"),
        ("huggingface", "transformers or accelerate", "accelerate.optimizer"),
    ],
)
def test_a_missing_package_is_one_line_with_the_extra(
    monkeypatch: pytest.MonkeyPatch, extra: str, package: str, module: str
) -> None:
    name = f"vanishing.integrations.{extra}"
    monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(StudyError, match=rf"^{name}: {package} is not installed.*\[{extra}\]") as e:
        importlib.import_module(name)
    assert "\n" not in str(e.value)
