"""Scores of labelled tasks in the table of runs."""

from browser import browser, served
from folders import finished, judged

from fxformer.dashboard.run_index import RunIndex


def test_scores_have_columns_by_split_and_signature(tmp_path):
    folder = tmp_path / "runs"
    finished(folder, "text")
    judged(folder, "few", bins=10, right=30)
    judged(folder, "more", bins=15, right=36)
    with browser() as watched, served(RunIndex(folder)) as url:
        page = watched.page
        watched.open(url, "runs")
        heads = page.locator("thead th").all_inner_texts()
        assert "test ece [bins:10]" in heads and "test ece [bins:15]" in heads
        assert "test accuracy" not in heads  # not the first metric
        page.click(".menu summary")
        page.click(".options label:has-text('test accuracy')")
        cells = page.locator("tr.run td:last-child").all_inner_texts()
        assert sorted(one.split(" [")[0] for one in cells) == ["0.75", "0.9", "–"]
        assert all(one.endswith("]") for one in cells if one != "–")
        page.click(".menu summary")
        page.fill("#search", "test accuracy > 0.8")
        assert page.locator("tr.run").count() == 1
        page.click("tr.run")
        page.wait_for_selector("aside dl")
        assert "accuracy 0.9 [" in page.inner_text("aside")
        watched.clean(url)
