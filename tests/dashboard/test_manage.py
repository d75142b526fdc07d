"""Runs pinned, archived, deleted and restored; saved views; names that tell runs apart."""

import json

import pytest
from browser import browser, served
from folders import finished, searched

from fxformer.dashboard import managing
from fxformer.dashboard.routes import answer, change
from fxformer.dashboard.run_index import RunIndex
from fxformer.track.run import Run
from fxformer.track.run_reader import runs


@pytest.fixture
def root(tmp_path):
    """Three runs of one search that differ in two keys, and another run."""
    root = tmp_path / "runs"
    for lr, layers in ((1e-3, 2), (1e-3, 4), (1e-2, 2)):
        finished(
            root,
            "same",
            steps=10,
            sweep="s",
            config={"optimizer": {"lr": lr}, "model": {"layers": layers}},
        )
    finished(root, "other", steps=10)
    searched(root)
    return root


def row(root, name):
    return next(one for one in answer(RunIndex(root), "runs", {})["runs"] if one["name"] == name)


def test_runs_are_pinned_and_archived_and_back(root):
    key = row(root, "other")["key"]
    change(RunIndex(root), "notes", {"key": key, "notes": "kept"})
    for name in ("pinned", "archived"):
        change(RunIndex(root), "mark", {"keys": [key], name: True})
        assert row(root, "other")[name] is True and row(root, "other")["notes"] == "kept"
        change(RunIndex(root), "mark", {"keys": [key], name: False})
        assert name not in row(root, "other")
    for wrong in ({"keys": [key], "pinned": "yes"}, {"keys": key}, {"keys": ["../x"], "pinned": 1}):
        with pytest.raises(ValueError):
            change(RunIndex(root), "mark", wrong)


def test_a_deleted_run_is_out_of_every_list_and_can_be_restored(root):
    key = row(root, "other")["key"]
    before = sorted(path.name for path in (root / key).iterdir())
    change(RunIndex(root), "delete", {"keys": [key]})
    assert len(runs(root)) == 3 and (root / managing.TRASH / key / "run.json").exists()
    change(RunIndex(root), "restore", {"keys": [key]})
    kept = sorted(path.name for path in (root / key).iterdir())
    assert set(before) <= set(kept) and len(runs(root)) == 4
    for wrong in (["../x"], [key], ["nothing"]):
        with pytest.raises(ValueError, match="cannot be restored"):
            change(RunIndex(root), "restore", {"keys": wrong})
    with pytest.raises(ValueError, match="there is no run"):
        change(RunIndex(root), "delete", {"keys": ["../x"]})


def test_a_run_that_goes_on_is_not_deleted(root):
    run = Run.create(root, "busy", config={}, argv=["x"])
    with pytest.raises(ValueError, match="in use by"):
        change(RunIndex(root), "delete", {"keys": [run.folder.name]})
    assert run.folder.exists()
    run.finish("done")


def test_views_are_saved_by_name_and_forgotten(root):
    save = lambda **given: change(RunIndex(root), "views", given)  # noqa: E731
    assert save(name=" mine ", address="#runs?q=lr") == {"mine": "#runs?q=lr"}
    assert answer(RunIndex(root), "views", {}) == {"mine": "#runs?q=lr"}
    assert save(name="mine", address=None) == {}
    for wrong in ({"name": "", "address": "#"}, {"name": "x" * 61, "address": "#"},
                  {"name": "x", "address": 3}, {"address": "#"},
                  {"name": "x", "address": "javascript:alert(1)"}):  # fmt: skip
        with pytest.raises(ValueError):
            save(**wrong)
    for text in ('{"x": 3}', '{"x": "javascript:alert(1)"}', "[1]", "{"):
        (root / managing.VIEWS).write_text(text)
        assert answer(RunIndex(root), "views", {}) == {}


def test_a_symbolic_link_does_not_list_a_run_twice(root, tmp_path):
    key = row(root, "other")["key"]
    (root / "link").symlink_to(root / key)
    (root / "loop").symlink_to(root)
    outside = finished(tmp_path / "elsewhere", "outside", steps=10)
    (root / "outside").symlink_to(outside)
    found = [run.folder.name for run in runs(root)]
    assert len(found) == 5 and key in found and "outside" in found and "link" not in found


def texts(watched, selector):
    return watched.page.locator(selector).all_inner_texts()


def test_the_page_tells_runs_apart_pins_archives_and_undoes(root):
    with browser() as watched, served(RunIndex(root)) as url:
        page = watched.page
        watched.open(url, "runs")
        page.wait_for_selector(".differs")
        assert set(texts(watched, ".differs")) == {
            "layers=2 lr=0.001",
            "layers=4 lr=0.001",
            "layers=2 lr=0.01",
        }
        assert all(
            text.split(",")[0].endswith(str(2026)) or " 20" in text
            for text in texts(watched, "tr.run td:nth-child(4)")
        )
        page.click("tr.run:has-text('other') input")
        assert texts(watched, "#pin, #archive, #delete") == ["pin", "archive", "delete"]
        for button, hidden in (("archive", True), ("delete", True), ("pin", False)):
            page.click(f"#{button}")
            page.wait_for_selector(".managed button:has-text('undo')")
            watched.until(f"document.querySelectorAll('tr.run').length == {3 if hidden else 4}")
            page.click(".managed button:has-text('undo')")
            watched.until("document.querySelectorAll('tr.run').length == 4")
            page.wait_for_selector("text=undone")
            if not page.is_checked("tr.run:has-text('other') input"):
                page.click("tr.run:has-text('other') input")
        page.click("thead input[type=checkbox]")
        page.click("#diff")
        heads = " ".join(texts(watched, ".diff thead th"))
        assert "layers=4" in heads and "lr=0.01" in heads
        watched.clean(url)


def test_filters_take_column_heads_and_units_and_views_are_saved(root):
    with browser() as watched, served(RunIndex(root)) as url:
        page = watched.page
        watched.open(url, "runs")
        watched.until("runColumns.configs")
        for line, count in (
            ("valid loss<2.2", 4),
            ("valid loss < 2.0", 0),
            ("energy>30J", 4),
            ("energy>1kJ", 0),
            ("energy > 0.01 kJ", 4),
            ("energy<1Wh", 4),
            ("electricity>1mWh", 4),
            ("time<1min", 4),
            ("time>0:02", 4),
            ("accuracy>1%", 0),
            ('"same"', 3),
            ("layers=4 same", 1),
            ("Valid Loss>=0 lr>=0.01", 1),
        ):
            page.fill("#search", line)
            assert page.locator("tr.run").count() == count, line
        page.click("#saved summary")
        page.fill("#saved input", "fast ones")
        page.click("text=save this view")
        page.wait_for_selector("#saved a:has-text('fast ones')")
        watched.show("energy")
        page.click("#saved summary")
        page.click("#saved a:has-text('fast ones')")
        watched.ready("runs")
        assert page.input_value("#search") == "Valid Loss>=0 lr>=0.01"
        assert "fast ones" in json.loads((root / ".views.json").read_text())
        watched.clean(url)


def test_back_closes_the_detail_and_then_returns_to_the_tab_one_came_from(root):
    with browser() as watched, served(RunIndex(root)) as url:
        page = watched.page
        watched.open(url, "energy")
        watched.show("runs")
        page.click("tr.run:has-text('other')")
        page.wait_for_selector(".detail h2:has-text('other')")
        page.click("tr.run:has-text('same') >> nth=0")
        page.wait_for_selector(".detail h2:has-text('same')")
        page.go_back()
        watched.until("document.querySelector('.detail').hidden")
        assert page.locator("#view-runs").count() == 1
        page.go_back()
        watched.ready("energy")
        page.go_forward()
        watched.ready("runs")
        page.click("tr.run:has-text('other')")
        page.wait_for_selector(".detail h2:has-text('other')")
        page.keyboard.press("Escape")
        watched.until("document.querySelector('.detail').hidden")
        assert "run=" not in page.evaluate("location.hash")
        page.go_back()
        watched.ready("energy")
        watched.clean(url)


def accessible(page):
    """Assert what axe-core complained of once: it finds no violation in any view now."""
    assert page.locator("main > #view[role=tabpanel]").count() == 1
    assert page.locator("header .skip").count() == 1
    assert all(
        text.strip() or boxes
        for text, boxes in page.evaluate(
            "[...document.querySelectorAll('th')].map((th) => [th.textContent, "
            "th.querySelectorAll('input[aria-label]').length])"
        )
    )
    assert page.locator(".wide:not([tabindex])").count() == 0


def bias_audit() -> dict:
    """An audit as `fxformer bias` keeps it, of a model whose name is markup."""
    values = {
        name: {"value": value, "low": value - 5, "high": value + 5}
        for name, value in {"preferred": 60.0, "log_odds": 0.5, "lm": 80.0}.items()
    }
    model = {"model": "<b>m</b>", "categories": {"all": {"examples": 9, "values": values}}}
    return {
        "audit": "crows_pairs",
        "title": "CrowS-Pairs",
        "measures": "preferred: a share",
        "examples": 9,
        "remarks": ["the tokenizer loses characters"],
        "models": [model],
        "differences": [],
    }


def test_no_view_scrolls_sideways_on_a_phone_and_all_tabs_are_reached(root):
    (root / ".compared").mkdir()
    asked = [{"run": one.id, "spent": {"tokens": 4000.0}, "scores": {"infill": None}}
             for one in runs(root)]  # fmt: skip
    (root / ".compared" / "20261130T0138240000.json").write_text(
        json.dumps(
            {"unit": "tokens", "budget": 4000.0, "equal": True, "passages": 20, "runs": asked}
        )
    )
    (root / ".bias").mkdir()
    (root / ".bias" / "20261130T0138240000.json").write_text(json.dumps({"audits": [bias_audit()]}))
    with browser(width=390, height=844) as watched, served(RunIndex(root)) as url:
        page = watched.page
        watched.open(url, "runs")
        for view in ("curves", "energy", "searches", "attention", "samples", "playground", "runs"):
            box = page.locator(f"#tab-{view}").bounding_box()
            assert box["x"] >= 0 and box["x"] + box["width"] <= 390, view
            watched.show(view)
            page.wait_for_timeout(300)
            if view == "curves":
                page.wait_for_selector(".comparisons select")  # as wide as its longest option
                page.wait_for_selector(".bias .main-svg")
            assert page.evaluate("document.documentElement.scrollWidth") <= 390, view
            accessible(page)
        page.click("tr.run >> nth=0")
        page.wait_for_selector(".detail h2")
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        watched.clean(url)


def test_what_takes_long_says_so_while_it_does(root):
    """Answers held back: the curves and the energy show that they are awaited."""
    held = []

    def hold(route):
        held.append(route)

    with browser() as watched, served(RunIndex(root)) as url:
        page = watched.page
        for pattern, view, words in (
            ("**/api/curve?**", "curves", "reading the metrics of"),
            ("**/api/energy", "energy", "summing the energy ledgers"),
        ):
            page.goto(f"{url}#{view}")
            page.route(pattern, hold)
            page.reload()
            page.wait_for_selector(f"text={words}")
            while held:
                held.pop().continue_()
            page.unroute(pattern)
            watched.ready(view)
            page.wait_for_selector(f"text={words}", state="detached")
