"""Tasks of the playground on Hugging Face folders, which only the command line may name."""

from pathlib import Path

import pytest
from browser import browser, served

from fxformer.dashboard.main import model_folders
from fxformer.dashboard.playground_tasks import language_options
from fxformer.dashboard.routes import answer, stream
from fxformer.dashboard.run_index import RunIndex
from fxformer.errors import UserError
from fxformer.inference.pipelines.tasks import pipeline
from tests.inspect.untrained_run import untrained_run

FIXTURES = Path(__file__).parents[1] / "inference/pipelines/fixtures"
NAMES = ("bert_span", "bert_classes", "t5_text", "mbart_text")
TEXT = "The ship left Rotterdam before dawn."


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    folders = model_folders([str(FIXTURES / name) for name in NAMES])
    return RunIndex(tmp_path_factory.mktemp("runs"), model_folders=folders)


def asked(index, name, task, second="", text=TEXT, **options):
    events = []
    given = {"run": f"folder:{name}", "step": None, "task": task, "text": text}
    stream(index, "answer", {**given, "second": second, "options": options}, events.append)
    return events[-1]["answer"]


def test_folders_are_listed_with_their_tasks_and_without_their_paths(index):
    found = answer(index, "models", {})["runs"]
    assert [one["id"] for one in found] == list(NAMES)
    assert str(FIXTURES) not in str(found) and found[0]["steps"] == []
    tasks = {
        name: [one["task"] for one in answer(index, "tasks", {"run": f"folder:{name}"})["tasks"]]
        for name in NAMES
    }
    assert tasks["bert_span"] == ["question-answering", "feature-extraction"]
    assert "zero-shot-classification" in tasks["bert_classes"]
    assert tasks["t5_text"][:3] == ["generate", "summarization", "translation_en_to_fr"]
    assert tasks["mbart_text"][:2] == ["generate", "translation"]


def test_only_folders_on_disk_are_taken(tmp_path, index):
    with pytest.raises(UserError, match="nothing is downloaded"):
        model_folders(["google-bert/bert-base-uncased"])
    with pytest.raises(UserError, match="nothing is downloaded"):
        model_folders([str(tmp_path)])
    for key in ("folder:../fixtures/bert_span", f"folder:{FIXTURES}/bert_span", "folder:bert_mlm"):
        with pytest.raises(UserError, match="names no model"):
            answer(index, "tasks", {"run": key})


def test_questions_labels_and_features(index):
    span = pipeline("question-answering", FIXTURES / "bert_span", top_k=5)
    found = asked(index, "bert_span", "question-answering", "What left?")
    expected = span({"question": "What left?", "context": TEXT})
    assert [row[0] for row in found["rows"]] == [one["answer"] for one in expected]
    found = asked(index, "bert_classes", "zero-shot-classification", "ships, towns")
    assert {row[0] for row in found["rows"]} == {"ships", "towns"}
    found = asked(index, "bert_classes", "feature-extraction", text=f"{TEXT}\n\nParis\n{TEXT}")
    assert [row[1] for row in found["rows"]] == pytest.approx([1, found["rows"][1][1], 1])
    assert len(asked(index, "bert_classes", "feature-extraction")["rows"]) == 10
    for name, task, said in (
        ("bert_span", "question-answering", "enter a question"),
        ("bert_classes", "zero-shot-classification", "enter labels"),
        ("mbart_text", "translation", "enter two languages"),
        ("bert_span", "fill-mask", "no language-model head"),
    ):
        with pytest.raises(UserError, match=said):
            asked(index, name, task)


@pytest.mark.slow
def test_generated_texts_are_those_of_the_pipelines(index):
    options = {"max_new_tokens": 8, "num_beams": 1, "do_sample": False}
    for name, task, second, own in (
        ("t5_text", "summarization", "", {}),
        ("t5_text", "translation_en_to_fr", "", {}),
        ("mbart_text", "translation", "en_XX to fr_XX", {"src_lang": "en_XX", "tgt_lang": "fr_XX"}),
    ):
        (expected,) = pipeline(task, FIXTURES / name, **own, **options)(TEXT)
        assert asked(index, name, task, second, **options)["text"] == next(iter(expected.values()))
    prefixed = pipeline("text2text-generation", FIXTURES / "t5_text", **options)
    (expected,) = prefixed(f"summarize: {TEXT}")
    found = asked(index, "t5_text", "generate", "summarize: ", **options)
    assert found["text"] == expected["generated_text"]


def test_two_languages_are_written_in_several_ways():
    for text in ("en_XX fr_XX", "en_XX, fr_XX", "en_XX to fr_XX", "en_XX -> fr_XX", "en_XX→fr_XX"):
        assert language_options(text) == {"src_lang": "en_XX", "tgt_lang": "fr_XX"}


@pytest.mark.slow
def test_an_electra_run_fills_masks_and_detects_replaced_tokens(tmp_path):
    untrained_run(tmp_path, "electra", "model.layers=1", steps=(10,))
    index = RunIndex(tmp_path / "runs")
    (key,) = index.runs()
    tasks = [one["task"] for one in answer(index, "tasks", {"run": key})["tasks"]]
    assert tasks == ["fill-mask", "replaced-tokens", "feature-extraction"]
    events = []
    given = {"run": key, "task": "replaced-tokens", "text": "the cat sat"}
    stream(index, "answer", given, events.append)
    rows = events[-1]["answer"]["rows"]
    assert [row[0] for row in rows[1:4]] == ["the", "cat", "sat"]
    assert all(0 < row[1] < 1 for row in rows)


def test_the_second_input_follows_the_task_on_the_page(index):
    with browser(width=390, height=844) as watched, served(index) as url:
        page = watched.page
        watched.open(f"{url}#playground?run=folder:bert_span&run2=folder:bert_classes")
        watched.ready("playground")
        task = "label:has-text('task') select"
        page.select_option(task, "question-answering")
        page.fill("label.area:has-text('context') textarea", TEXT)
        page.fill("label.area:has-text('question') textarea", "What left?")
        assert page.is_hidden("fieldset.decoding")
        page.select_option(task, "zero-shot-classification")
        labels = "label.area:has-text('labels') textarea"
        assert page.input_value(labels) == ""
        page.fill(labels, "ships, towns")
        page.select_option(task, "question-answering")
        assert page.input_value("label.area:has-text('question') textarea") == "What left?"
        page.click(".run-button")
        watched.until("document.querySelector('.run-button').disabled === false", 120)
        assert page.locator(".playground-answer table").count() == 1  # the other has no such head
        assert "bert_classes" in page.inner_text(".playground-inputs .status-line")
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        watched.errors = [e for e in watched.errors if "400 (Bad Request)" not in e]
        watched.clean(url)
