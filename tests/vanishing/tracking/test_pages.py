"""The addresses of MLflow's pages; tests/test_browser.py opens them."""

from vanishing.tracking import pages


def test_the_charts_are_on_the_server_of_make_ui_or_on_the_stores_own() -> None:
    local = pages.address("sqlite:///mlflow.db", "7", 5001)
    assert local.startswith("http://127.0.0.1:5001/#/experiments/7/runs?")
    remote = pages.address("https://me:secret@mlflow.example/", "7")
    assert remote.startswith("https://me:***@mlflow.example/#/experiments/7/runs?")


def test_a_table_is_opened_as_a_table_and_a_path_is_quoted() -> None:
    assert "compareRunsMode=TABLE" in pages.of_view("7", pages.TABLE)
    assert "/runs/1/artifacts/reports/a%20b.md?" in pages.of_artifact("7", "1", "reports/a b.md")
