"""Attention and samples in a real browser: looked at, clicked, stepped through, taken offline."""

import shutil

import pytest
from browser import browser, served

from fxformer.dashboard.main import attention, report
from fxformer.dashboard.run_index import RunIndex
from tests.inspect.untrained_run import MARKUP, untrained_run


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("page")
    untrained_run(folder, "bert")
    untrained_run(folder, "bart")
    return folder


def shown(watched, view):
    """Wait until the answer is drawn."""
    watched.ready(view)
    watched.page.wait_for_selector(".status-line:not(.busy)", state="attached", timeout=240_000)


def key(folder, name):
    return next(path.name for path in (folder / "runs").glob(f"*-{name}"))


def test_a_head_is_looked_at_by_pointer_and_by_keys(folder):
    with browser() as watched, served(RunIndex(folder / "runs")) as url:
        page = watched.page
        watched.open(f"{url}#attention?run={key(folder, 'bert')}&text=the cat sat on a mat")
        shown(watched, "attention")
        words = page.locator(".query .word").all_inner_texts()
        assert words == ["<s>", "the", "cat", "sat", "on", "a", "mat", "</s>"]
        page.hover(".query .token:nth-child(3)")
        told = page.locator(".details li")
        assert "cat at 2 attends to" in page.inner_text(".details") and told.count() == 8
        total = sum(float(text) for text in page.locator(".details .number").all_inner_texts())
        assert total == pytest.approx(1, abs=0.005)
        page.focus(".query .token:nth-child(1)")
        for press in ("ArrowDown", "ArrowRight"):
            page.keyboard.press(press)
        assert "the at 1 is attended to by" in page.inner_text(".details")
        page.click(".head-switch .head:nth-child(3)")
        assert "heads=1" in page.evaluate("location.hash")
        assert page.evaluate("document.activeElement.getAttribute('aria-label')") == "head 2"
        page.click("text=All heads")
        assert page.locator(".thumb").count() == 4
        page.focus(".thumb >> nth=0")
        page.keyboard.press("ArrowDown")
        page.keyboard.press("Enter")
        assert {"layer=1", "heads=0"} <= set(page.evaluate("location.hash").split("&"))
        page.focus("input[type=range]")
        page.keyboard.press("Home")
        page.wait_for_selector(".step:has-text('step 10, 1 of 3')")
        shown(watched, "attention")
        assert page.locator(".lines").count() == 1
        run = folder / "runs" / key(folder, "bert")
        shutil.copytree(run / "checkpoints" / "00000030", run / "checkpoints" / "00000040")
        shutil.copy(run / "run.json", run / "copy")
        (run / "copy").replace(run / "run.json")  # as a run that goes on does
        page.wait_for_selector(".step:has-text('step 10, 1 of 4')", timeout=60_000)
        shutil.rmtree(run / "checkpoints" / "00000040")
        watched.clean(url)


def test_every_kind_of_attention_and_what_cannot_be_asked(folder):
    with browser(width=1920, dark=True) as watched, served(RunIndex(folder / "runs")) as url:
        page = watched.page
        watched.open(f"{url}#attention?run={key(folder, 'bart')}&example=0")
        shown(watched, "attention")
        assert page.locator(".segments >> nth=0").inner_text().split("\n") == [
            "encoder",
            "decoder",
            "cross-attention",
        ]
        page.click("text=cross-attention")
        assert page.locator(".query .word").first.inner_text() == "</s>"
        assert page.evaluate("document.documentElement.scrollWidth") <= 1920
        page.fill("textarea[aria-label=text]", "cat " * 50)
        page.keyboard.press("Control+Enter")
        page.wait_for_selector(".status-line.error")
        assert "at most 32 fit" in page.inner_text(".status-line")
        watched.errors = [e for e in watched.errors if "400 (Bad Request)" not in e]  # the refusal
        watched.clean(url)


def test_samples_show_guesses_and_markup_stays_text(folder):
    with browser() as watched, served(RunIndex(folder / "runs")) as url:
        page = watched.page
        watched.open(f"{url}#samples?run={key(folder, 'bert')}&text=the <mask> sat on a <mask>")
        shown(watched, "samples")
        assert (
            page.locator(".prediction").count() == 2
            and page.locator(".prediction .best li").count() == 10
        )
        page.fill("textarea[aria-label=text]", MARKUP[:40] + " <mask>")
        page.click(".run-button")
        page.wait_for_selector(".prediction:only-child")
        page.select_option("label:has-text('run') select", key(folder, "bart"))
        page.wait_for_selector(".beside-truth section:nth-child(2)")
        assert page.locator(".piece.lost").count() > 0
        assert page.evaluate("window.harm") is None
        assert page.evaluate("document.documentElement.scrollWidth") <= 1280
        watched.clean(url)


def test_the_file_asks_nobody_for_anything(folder, tmp_path):
    file, words = tmp_path / "attention.html", "the ~cat* sat's <script>window.harm=1</script>"
    attention(
        [
            "bert",
            "--text",
            words,
            "--held-out",
            "1",
            "--checkpoint",
            "all",
            "--flow",
            f"runs={folder / 'runs'}",
            "-o",
            str(file),
        ]
    )
    with browser() as watched:
        watched.page.context.set_offline(True)
        watched.open(file.as_uri())
        shown(watched, "attention")
        assert watched.page.locator(".query .word").nth(1).inner_text() == "the"
        watched.page.focus("input[type=range]")
        watched.page.keyboard.press("Home")
        watched.page.wait_for_selector(".step:has-text('1 of 3')")
        read_every_way(watched.page)
        watched.show("samples")
        shown(watched, "samples")
        assert watched.page.locator(".prediction").count() > 0
        assert watched.page.evaluate("window.harm") is None
        watched.clean(file.as_uri())
        assert watched.hosts <= {""}


def read_every_way(page):
    """Each view of the text has what it says."""
    words = page.locator(".query .token").count()
    page.wait_for_selector("h2:has-text('importance for this text')")
    mode = ".segments[aria-label=view] button:text-is('{}')".format
    page.click(mode("Queries and keys"))
    page.wait_for_selector(".products tbody tr[tabindex] >> nth=0")
    assert page.locator(".products tbody tr[tabindex]").count() == words
    page.click(".products tbody tr[tabindex] >> nth=2")
    assert "at 2" in page.inner_text(".neuron-pair h2")
    for name in ("Rollout", "Flow"):
        page.click(mode(name))
        page.wait_for_selector(f".influence p:has-text('{name.lower()}')")
        page.hover(".query .token:nth-child(2)")
        total = sum(float(text) for text in page.locator(".details .number").all_inner_texts())
        assert 0 < total <= 1.005 and page.locator(".key .token").count() == words
    page.click(mode("Logit lens"))
    page.wait_for_selector(".lens-table")
    assert page.locator(".lens-table tbody tr").count() == 3  # two layers, and the embeddings
    page.click(".lens-cell >> nth=1")
    assert page.locator(".lens-details li").count() == 5


def test_a_report_shows_the_texts_that_were_asked_for(folder, tmp_path):
    file = tmp_path / "report.html"
    report([f"runs={folder / 'runs'}", "--attention", "bart", "the <mask> sat", "-o", str(file)])
    with browser() as watched:
        watched.open(file.as_uri(), "attention")
        shown(watched, "attention")
        assert watched.page.locator(".key .word").nth(2).inner_text() == "<mask>"
        watched.clean(file.as_uri())


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["bert"], "no text is given"),
        (["bert", "--text", "cat", "--checkpoint", "15"], "no checkpoint of step 15"),
        (["bert", "--text", "cat", "--checkpoint", "few"], "all or last, got 'few'"),
        (["nobody", "--text", "cat"], "no run 'nobody'"),
        (["bert", "--held-out", "900"], "no held-out text 900"),
    ],
)
def test_what_cannot_be_written_is_said(folder, tmp_path, words, said):
    with pytest.raises(ValueError, match=said):
        attention([*words, f"runs={folder / 'runs'}", "-o", str(tmp_path / "a.html")])
