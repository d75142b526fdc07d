"""The page in a real browser: served, and as one file with no server."""

from browser import browser, served
from folders import finished

from fxformer.dashboard.report import write
from fxformer.dashboard.shelf import Shelf


def test_the_table_lists_the_runs(tmp_path):
    finished(tmp_path, "first")
    with browser() as watched, served(Shelf(tmp_path)) as url:
        watched.open(url, "runs")
        assert "first" in watched.page.inner_text("#view-runs")
        watched.clean(url)


def test_a_report_opens_from_a_file(tmp_path):
    finished(tmp_path / "runs", "first")
    write(Shelf(tmp_path / "runs"), tmp_path / "report.html")
    with browser() as watched:
        watched.page.context.set_offline(True)
        url = (tmp_path / "report.html").as_uri()
        watched.open(url, "runs")
        assert "first" in watched.page.inner_text("#view-runs")
        watched.clean(url)
