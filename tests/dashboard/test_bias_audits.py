"""The panel of bias audits: what is stored is drawn, a report of some runs shows these alone."""

import json

import pytest
from browser import browser, close_browser, served
from folders import finished

from fxformer.dashboard.bias_audits import bias_audits
from fxformer.dashboard.run_index import RunIndex


@pytest.fixture(scope="module", autouse=True)
def browser_ends():
    yield
    close_browser()


def scores(value: float) -> dict:
    return {"value": value, "low": value - 3, "high": value + 5}


@pytest.fixture
def root(tmp_path):
    folder = tmp_path / "runs"
    finished(folder, "one")
    (run,) = RunIndex(folder).runs().values()
    names = (run.id, "<b>other</b>")
    models = [
        {
            "model": name,
            "categories": {
                category: {
                    "examples": 9,
                    "values": {
                        "preferred": scores(60.0 + n),
                        "lm": scores(80.0),
                        "log_odds": scores(n),
                    },
                }
                for category in ("all", "gender")
            },
        }
        for n, name in enumerate(names)
    ]
    audit = {"audit": "a", "title": "A set", "measures": "preferred: a share", "examples": 9}
    audit |= {"remarks": ["a remark"], "models": models, "differences": []}
    (folder / ".bias").mkdir()
    (folder / ".bias" / "1.json").write_text(json.dumps({"audits": [audit]}))
    (folder / ".bias" / "2.json").write_text("torn {")
    return folder


def test_a_report_of_some_runs_shows_no_other_models(root):
    (whole,) = bias_audits(RunIndex(root), {})
    assert len(whole["models"]) == 2 and whole["name"] == "1"
    (run,) = RunIndex(root).runs().values()
    (some,) = bias_audits(RunIndex(root, [run.folder]), {})
    assert [one["model"] for one in some["models"]] == [run.id]


def test_the_panel_draws_every_model_and_category_with_intervals(root):
    with browser() as watched, served(RunIndex(root)) as url:
        page = watched.page
        watched.open(url, "curves")
        page.wait_for_selector(".bias .main-svg")
        data = page.evaluate(
            "document.querySelector('.bias .chart').data.map((t) => "
            "[t.x, t.error_x.array, t.error_x.arrayminus])"
        )
        assert data == [[[60, 60], [5, 5], [3, 3]], [[61, 61], [5, 5], [3, 3]]]
        assert "80 %" in page.inner_text(".bias p") and "A remark." in page.inner_text(".bias p")
        page.select_option(".bias select >> nth=1", "log_odds")
        watched.until("document.querySelector('.bias .chart').data[1].x[0] === 1")
        assert page.locator(".bias b").count() == 0
        watched.clean(url)
