"""Colours of variants in MLflow's charts."""

from vanishing.reporting import colors, style


def test_fourteen_variants_differ_and_the_first_seven_look_as_in_the_report() -> None:
    names = [f"v{i}" for i in range(14)]
    by_name = colors.of_variants(names)
    assert len(set(by_name.values())) == 14
    lines = style.line_styles(names)
    assert [by_name[name] for name in names[:7]] == [lines[name].color for name in names[:7]]
    assert by_name["v7"] == "#7F7F7F"  # black, half of it
