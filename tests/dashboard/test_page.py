"""The page in a real browser: each view opened and used, served and from a file with no server."""

import json
import math
from pathlib import Path
from xml.etree import ElementTree

import pytest
from browser import browser, served
from folders import claimed, finished, searched

from fxformer.dashboard.report import write
from fxformer.dashboard.routes import answer
from fxformer.dashboard.run_index import RunIndex

NASTY = '<img src=x onerror="window.pwned=1"></script><script>window.pwned=1</script>'


@pytest.fixture
def folder(tmp_path):
    """Four runs: two seeds of one setting, another setting, one that failed; a search; a
    comparison."""
    root = tmp_path / "runs"
    finished(root, "plain", seed=0)
    finished(root, "plain", seed=1, loss=lambda step: 4.1 / step**0.3)
    finished(root, "wide", config={"optimizer": {"lr": 0.5}, "prompt": NASTY}, peak_flops=1e7)
    finished(
        root,
        "broken",
        status="failed",
        reason=f"ValueError: {NASTY}",
        steps=12,
        loss=lambda step: math.nan if step > 10 else 3.0,
    )
    searched(root, NASTY)
    (root / ".compared").mkdir()
    reading = {"value": 2.0, "error": 0.1}
    runs = [
        {
            "run": run,
            "spent": {"tokens": 4000.0 * (1 + n)},
            "scores": {"infill": reading, "follow": None, "pseudo": reading, "lossy": n / 8},
        }
        for n, run in enumerate(RunIndex(root).runs())
    ]
    (root / ".compared" / "x.json").write_text(
        json.dumps(
            {"unit": "tokens", "budget": 4000.0, "equal": False, "passages": 20, "runs": runs}
        )
    )
    return root


def drawn(watched, panel):
    """Wait until a chart of the curves is there; how many lines it has."""
    chart = f"[data-panel='{panel}'] .chart"
    watched.page.wait_for_selector(f"{chart}[data-drawn] .main-svg", timeout=120_000)
    return watched.page.locator(f"{chart} .scatterlayer .trace").count()


def rows(watched):
    return watched.page.locator("tr.run").count()


def unharmed(watched, url):
    """Nothing complained, nobody else asked, and no text of a run became markup."""
    watched.clean(url)
    assert watched.page.evaluate("window.pwned") is None
    assert watched.page.locator("img").count() == 0


def test_runs_are_searched_sorted_grouped_and_compared(folder):
    with browser() as watched, served(RunIndex(folder)) as url:
        page = watched.page
        watched.open(url, "runs")
        assert rows(watched) == 4 and NASTY in page.inner_text("#view-runs")
        watched.until("runColumns.configs")
        for line, count in (
            ("lr>0.1", 1),
            ("status=failed", 1),
            ("plain seed=1", 1),
            ("zzz", 0),
            ("loss>=0", 4),
            ("", 4),
        ):
            page.fill("#search", line)
            assert rows(watched) == count, line
        page.fill("#search", "nolr>1")
        assert "unknown column nolr" in page.inner_text(".toolbar")
        page.fill("#search", "")
        page.click("button.sort[title=valid_loss]")
        losses = page.locator("tr.run td:nth-child(7)").all_inner_texts()
        assert losses == sorted(losses, key=lambda text: (text == "–", text))
        page.select_option(".toolbar select", "optimizer.lr")
        assert page.locator("tr.group").count() == 2
        page.click("tr.group button >> nth=0")
        assert rows(watched) < 4
        page.select_option(".toolbar select", "")
        page.click(".menu summary")
        page.click(".options label:has-text('optimizer.lr')")
        assert "0.5" in page.locator("tr.run td:last-child").all_inner_texts()
        page.click("thead input[type=checkbox]")
        page.click("#diff")
        assert page.locator(".diff tbody tr").count() == 3  # the rate, the prompt, the seed
        assert NASTY in page.inner_text(".diff")
        unharmed(watched, url)


def test_one_run_says_how_it_ended_and_keeps_notes(folder):
    with browser() as watched, served(RunIndex(folder)) as url:
        page = watched.page
        watched.open(url, "runs")
        page.click("tr.run:has-text('broken')")
        page.wait_for_selector(".detail h2:has-text('broken')")
        side = page.inner_text(".detail")
        assert f"ValueError: {NASTY}" in side and "fxformer train seed=0" in side
        assert "FRA" in side
        page.fill(".detail textarea", NASTY)
        page.fill(".detail input[type=text]", "odd, look again")
        page.press(".detail input[type=text]", "Tab")
        page.wait_for_selector("text=saved in the run's folder")
        (file,) = folder.glob("*broken/notes.json")
        watched.until("document.querySelectorAll('.tag').length == 2")
        assert json.loads(file.read_text()) == {"notes": NASTY, "tags": ["odd", "look again"]}
        page.keyboard.press("Escape")
        page.wait_for_selector(".detail", state="hidden")
        unharmed(watched, url)


def test_the_table_is_walked_with_the_keyboard(folder):
    with browser() as watched, served(RunIndex(folder)) as url:
        page = watched.page
        watched.open(url, "runs")
        page.keyboard.press("/")
        page.keyboard.type("plain")
        assert rows(watched) == 2
        page.focus("tr.run >> nth=0")
        page.keyboard.press("ArrowDown")
        page.keyboard.press(" ")
        assert page.locator("tr.run >> nth=1").get_attribute("aria-selected") == "true"
        page.keyboard.press("Home")
        page.keyboard.press("Enter")
        page.wait_for_selector(".detail h2")
        page.focus("#tab-runs")
        page.keyboard.press("ArrowRight")
        watched.ready("curves")
        assert page.evaluate("document.activeElement.id") == "tab-curves"
        unharmed(watched, url)


def test_curves_are_drawn_over_any_axis_alone_and_in_bands(folder):
    with browser() as watched, served(RunIndex(folder)) as url:
        page = watched.page
        watched.open(url, "curves")
        assert drawn(watched, "valid/loss") == 4 and drawn(watched, "train/loss") == 4
        for axis in ("tokens", "seconds", "flops", "joules"):
            page.select_option(".toolbar select >> nth=0", axis)
            drawn(watched, "valid/loss")
            most = page.evaluate(
                "Math.max(...document.querySelector('.chart').data.flatMap((t) => t.x))"
            )
            assert most == {"tokens": 4000, "seconds": 20, "flops": 24e6, "joules": 160}[axis]
        page.click("label:has-text('log y')")
        drawn(watched, "valid/loss")
        assert page.evaluate("document.querySelector('.chart').layout.yaxis.type") == "log"
        page.select_option(".toolbar select >> nth=1", "seed")
        watched.until("document.querySelector('.chart')?.data?.some((t) => t.fill)")
        low, high, mean = page.evaluate("""() => {
            const traces = document.querySelector('.chart').data;
            const band = traces.findIndex((trace) => trace.fill);
            return traces.slice(band - 1, band + 2).map((trace) => trace.y.at(-1)); }""")
        ends = [4.0 / 40**0.3 + 0.1, 4.1 / 40**0.3 + 0.1]
        assert mean == pytest.approx(sum(ends) / 2, rel=1e-4)
        assert high - low == pytest.approx(2 * abs(ends[0] - ends[1]) / math.sqrt(2), rel=1e-2)
        assert "2 non-finite values" in page.locator("[data-panel='train/loss']").inner_text()
        page.select_option(".toolbar select >> nth=2", "train/watts")
        drawn(watched, "train/watts")
        assert set(page.evaluate("document.querySelector('.chart').data[0].y")) == {8}
        assert "2 objectives" not in page.inner_text(".note")
        page.wait_for_selector(".comparisons .main-svg")
        said = page.inner_text(".comparisons p.soft")
        assert "Not at equal cost" in said and "has a lossy tokenizer: 12.5 % of the bytes" in said
        unharmed(watched, url)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_chart_is_saved_as_svg_and_printed_alone(folder, scheme):
    with browser() as watched, served(RunIndex(folder)) as url:
        page = watched.page
        page.emulate_media(color_scheme=scheme)
        watched.open(url, "curves")
        panel = "[data-panel='valid/loss']"
        drawn(watched, "valid/loss")
        page.hover(f"{panel} .chart")
        with page.expect_download() as saved:
            page.click(f"{panel} [data-title='save as SVG']")
        assert saved.value.suggested_filename == "curves-loss-valid.svg"
        root = ElementTree.fromstring(Path(saved.value.path()).read_text())
        assert root.tag == "{http://www.w3.org/2000/svg}svg"
        text = [one.text for one in root.iter("{http://www.w3.org/2000/svg}text")]
        assert "loss, valid" in text and sum("plain" in (one or "") for one in text) == 2
        body = Path(saved.value.path()).read_text()
        assert "rgb(0, 114, 178)" in body and "rgb(86, 180, 233)" not in body  # for white paper
        assert "<image" not in body
        page.evaluate("window.print = () => { window.printed = document.body.className; }")
        page.click(f"{panel} [data-title='print, or save as PDF']")
        watched.until("window.printed")
        assert page.evaluate("window.printed") == "prints-chart"
        pdf = page.pdf()
        assert pdf.startswith(b"%PDF") and b"/Subtype /Image" not in pdf
        page.evaluate("window.dispatchEvent(new Event('afterprint'))")
        assert page.locator(".printed-chart").count() == 0
        unharmed(watched, url)


def test_an_append_shows_up_while_the_page_is_open(folder):
    with browser() as watched, served(RunIndex(folder)) as url:
        watched.open(url, "curves")
        drawn(watched, "valid/loss")
        (run, *_) = [f for f in sorted(folder.iterdir()) if f.name.endswith("wide")]
        with open(run / "metrics.jsonl", "a", encoding="utf-8") as file:
            file.write('{"step": 99, "split": "valid", "loss": 7.125, "joules": 1}\n')
        watched.until(
            "document.querySelector(\"[data-panel='valid/loss'] .chart\")?.data"
            "?.some((t) => t.y.includes(7.125))"
        )
        assert watched.page.inner_text("#connection") == "live"
        watched.clean(url)


def test_energy_adds_up_and_looks_elsewhere(folder):
    with browser() as watched, served(RunIndex(folder)) as url:
        page = watched.page
        watched.open(url, "energy")
        text = page.inner_text("#view-energy")
        assert "528 J" in text and "modelled 80 %" in text and "France" in text
        assert page.locator(".ledger tbody tr").count() == 4
        page.wait_for_selector("text=this grid: France")
        page.fill("input[list=regions]", "usa-ca")
        page.press("input[list=regions]", "Enter")
        watched.until(
            "[...document.querySelectorAll('.chart')].some((c) => c.data &&"
            " c.data[0].y.includes('California'))"
        )
        page.fill("input[list=regions]", "atlantis")
        page.press("input[list=regions]", "Enter")
        assert "unknown region" in page.inner_text("#view-energy")
        unharmed(watched, url)


def test_a_search_is_shown_from_all_sides(folder):
    with browser() as watched, served(RunIndex(folder)) as url:
        page = watched.page
        watched.open(url, "searches")
        page.wait_for_selector("text=of 12 complete")
        assert page.locator(".parallel polyline").count() == 12
        watched.until("document.querySelectorAll('#view-searches .main-svg').length >= 4")
        assert page.locator(".ledger tbody tr").count() == 12
        grip = page.locator(".grip >> nth=0").bounding_box()
        page.mouse.move(grip["x"] + 5, grip["y"] + 5)
        page.mouse.down()
        page.mouse.move(grip["x"] + 5, grip["y"] + grip["height"] / 2, steps=4)
        page.mouse.up()
        assert 0 < page.locator(".parallel polyline.out").count() < 12
        unharmed(watched, url)


@pytest.mark.parametrize("trained", [True, False])
def test_a_claim_shows_its_verdict_and_saves_its_figure(tmp_path, trained):
    root = tmp_path / "runs"
    finished(root)
    if trained:
        searched(root)
    kept = claimed(root)
    with browser() as watched, served(RunIndex(root)) as url:
        page = watched.page
        watched.open(url, "searches")
        text = page.inner_text("#view-searches")
        assert "Claim: reproduced" in text and "3 seeds an arm" in text and "modelled" in text
        assert ("trial" in text.lower()) == trained
        watched.until("document.querySelector('.claim-figure').naturalWidth > 100")
        for kind in ("SVG", "PDF"):
            with page.expect_download() as saved:
                page.click(f".card a:text-is('{kind}')")
            written = kept / f"figure.{kind.lower()}"
            assert Path(saved.value.path()).read_bytes() == written.read_bytes()
        watched.clean(url)
    index = RunIndex(root)
    (kept / "result.json").write_text("[1]")
    assert answer(index, "claim_results", {}) == []


def test_a_report_opens_from_a_file_with_the_network_off(folder, tmp_path):
    write(RunIndex(folder), tmp_path / "report.html")
    url = (tmp_path / "report.html").as_uri()
    with browser(dark=True) as watched:
        page = watched.page
        page.context.set_offline(True)
        watched.open(url, "runs")
        assert rows(watched) == 4
        page.click("tr.run:has-text('wide')")
        page.wait_for_selector(".detail h2:has-text('wide')")
        assert page.is_disabled(".detail textarea")
        for view in ("curves", "energy", "searches"):
            watched.show(view)
            page.wait_for_selector(f"#view-{view} .main-svg")
        watched.show("curves")
        assert drawn(watched, "valid/loss") == 4
        page.select_option(".toolbar select >> nth=0", "joules")
        assert drawn(watched, "train/loss") == 4
        unharmed(watched, url)


def test_a_report_on_some_runs_holds_no_other(folder, tmp_path):
    kept = next(path for path in folder.iterdir() if path.name.endswith("wide"))
    write(RunIndex(folder, [kept]), tmp_path / "report.html")
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    held = text.partition('id="answers">')[2].partition("</script>")[0]
    assert kept.name in held and "-plain" not in held and "-broken" not in held


def test_an_empty_folder_says_what_to_do(tmp_path):
    with browser() as watched, served(RunIndex(tmp_path)) as url:
        for view in ("runs", "curves", "energy", "searches"):
            watched.open(url, view)
            assert "fxformer train" in watched.page.inner_text(f"#view-{view}")
        watched.clean(url)


def test_the_token_leaves_the_address(folder):
    with browser() as watched, served(RunIndex(folder), token="s3cret") as url:
        watched.open(url, "runs")
        assert rows(watched) == 4 and "s3cret" not in watched.page.url
        watched.clean(url)


def test_the_charts_follow_the_colour_scheme(folder):
    with browser() as watched, served(RunIndex(folder)) as url:
        watched.open(url, "curves")
        drawn(watched, "valid/loss")
        colour = "document.querySelector('.chart')?.data?.[0].line.color"
        light = watched.page.evaluate(colour)
        watched.page.emulate_media(color_scheme="dark")
        watched.until(f"{colour} && {colour} !== '{light}'")
        watched.clean(url)
