"""The playground: tasks and answers of small untrained models, their bounds, and the page."""

import json
import threading

import pytest
from browser import browser, served
from test_server import ask

from fxformer.dashboard import api_playground
from fxformer.dashboard.main import report
from fxformer.dashboard.routes import STREAM_ROUTES, answer, stream
from fxformer.dashboard.run_index import RunIndex
from fxformer.errors import UserError
from fxformer.inference.load import load
from tests.inspect.untrained_run import untrained_run


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("playground")
    untrained_run(folder, "gpt", "model.layers=1", steps=(20, 40))
    untrained_run(folder, "bert", "model.layers=1", "model/task_head=classification", steps=(10,))
    return folder


@pytest.fixture
def index(folder):
    return RunIndex(folder / "runs")


def key(index, name):
    return next(one for one in index.runs() if one.endswith(f"-{name}"))


def asked(index, name="gpt", text="the cat sat on", **given):
    """All events of an answer."""
    events = []
    given = {"run": key(index, name), "task": "generate", "text": text, **given}
    stream(index, "answer", given, events.append)
    return events


def test_a_model_has_the_tasks_of_its_architecture_and_heads(index):
    found = {name: answer(index, "tasks", {"run": key(index, name)}) for name in ("gpt", "bert")}
    names = {name: [one["task"] for one in found[name]["tasks"]] for name in found}
    assert names == {
        "gpt": ["generate", "score", "feature-extraction"],
        "bert": ["fill-mask", "score", "text-classification", "feature-extraction"],
    }
    assert found["bert"]["mask"] == "<mask>" and found["bert"]["max_tokens"] == 512
    with pytest.raises(UserError, match="no checkpoint of step 15"):
        answer(index, "tasks", {"run": key(index, "gpt"), "step": "15"})


def test_text_comes_in_pieces_and_is_what_the_model_generates(index, folder):
    *pieces, last = asked(index, step=20, options={"max_new_tokens": 6})
    model = load(folder / "runs" / key(index, "gpt"), 20)
    (expected,) = model.generate(["the cat sat on"], max_new_tokens=6)
    assert len(pieces) > 1 and "".join(one["piece"] for one in pieces) == expected
    (*_, other) = asked(index, step=20, options={"max_new_tokens": 6}, second="a mat ")
    assert other["answer"]["text"] == expected  # a prefix is of encoder-decoders alone
    assert last["answer"]["text"] == expected and last["answer"]["tokens"] <= 6
    cost = last["cost"]
    assert 0 < cost["first_milliseconds"] <= cost["milliseconds"]
    assert cost["tokens_per_second"] == pytest.approx(
        1e3 * last["answer"]["tokens"] / cost["milliseconds"]
    )
    assert set(cost["joules"]) <= {"measured", "integrated", "modelled"}
    (*_, other) = asked(index, step=40, options={"max_new_tokens": 6})
    assert other["answer"]["score"] != last["answer"]["score"]  # of another checkpoint


def test_beams_come_at_their_end_and_tables_of_other_tasks(index):
    (found,) = asked(index, options={"max_new_tokens": 6, "num_beams": 2, "length_penalty": 0.5})
    assert found["answer"]["text"] and found["cost"]["first_milliseconds"] is None
    (found,) = asked(index, "bert", "the <mask> sat on <mask>", task="fill-mask")
    rows = found["answer"]["rows"]
    assert [row[0] for row in rows] == [1] * 10 + [2] * 10
    assert rows[0][2] == max(row[2] for row in rows[:10])
    (found,) = asked(index, task="score")
    assert [row[0] for row in found["answer"]["rows"]] == ["the", "cat", "sat", "on"]
    (found,) = asked(index, "bert", task="text-classification")
    assert sum(score for _, score in found["answer"]["rows"]) == pytest.approx(1)


WRONG = [
    ({"text": " "}, "enter a text"),
    ({"text": "x" * 20_001}, "at most 20,000"),
    ({"run": "folder:../x"}, "names no model '../x'"),
    ({"text": 3}, "text: "),
    ({"task": "fill-mask"}, "fill-mask needs an encoder"),
    ({"task": "nothing"}, "no task 'nothing'"),
    ({"run": "../x"}, "there is no run"),
    ({"step": 15}, "no checkpoint of step 15"),
    ({"colour": "red"}, "unknown field 'colour'"),
    ({"options": {"max_new_tokens": 513}}, "at most 512"),
    ({"options": {"num_beams": 9}}, "at most 8"),
    ({"options": {"penalty_alpha": 0.6, "top_k": 9}}, "top_k=9: the page takes at most 8"),
    ({"options": {"num_return_sequences": 9}}, "no option 'num_return_sequences'"),
    ({"options": {"max_new_tokens": 1e9}}, "expected an integer"),
    ({"options": {"do_sample": True, "temperature": -1}}, "temperature"),
    ({"text": "cat " * 1100}, "reads at most 1024"),
]


@pytest.mark.parametrize(("given", "said"), WRONG, ids=[said for _, said in WRONG])
def test_what_cannot_be_answered_is_one_sentence(index, given, said):
    with pytest.raises(UserError, match=said) as error:
        asked(index, **given)
    assert "\n" not in str(error.value)


def test_long_texts_are_refused_where_the_model_would_read_them(index, monkeypatch):
    for name, task in (("MAX_TOKENS", "generate"), ("MAX_PASSES", "score")):
        monkeypatch.setattr(f"fxformer.dashboard.playground.{name}", 4)
        model = "gpt" if task == "generate" else "bert"
        with pytest.raises(UserError, match=": . tokens; for this task .* at most 4"):
            asked(index, model, "the cat sat on a mat", task=task)


def test_one_answer_at_a_time(index, monkeypatch):
    monkeypatch.setattr(api_playground, "WAIT_SECONDS", 0.01)
    with api_playground._busy, pytest.raises(UserError, match="another answer"):
        asked(index)

    class Gone(Exception):
        pass

    def gone(event):
        raise Gone

    given = {"run": key(index, "gpt"), "task": "generate", "text": "the cat"}
    with pytest.raises(Gone):
        STREAM_ROUTES["answer"](index, given, gone)
    assert not api_playground._busy.locked()  # whoever closes the page blocks nobody


def test_the_server_streams_to_its_own_page_alone(index):
    given = {"run": key(index, "gpt"), "task": "generate", "text": "the cat sat on",
             "options": {"max_new_tokens": 6}}  # fmt: skip
    body = json.dumps(given)
    with served(index, token="s3cret") as url:
        own, known = url.split("/?")[0], {"Authorization": "Bearer s3cret"}
        assert ask(url, "/api/answer", "POST", body, Origin=own)[0] == 403  # no token
        assert ask(url, "/api/answer", "POST", body, **known)[0] == 403  # of no page
        evil = {"Origin": "http://evil.example", **known}
        assert ask(url, "/api/answer", "POST", body, **evil)[0] == 403
        assert ask(url, "/api/answer", "POST", body, Host="evil.example", **known)[0] == 421
        assert ask(url, "/api/answer", **known)[0] == 404  # by GET
        known["Origin"] = own
        status, headers, text = ask(url, "/api/answer", "POST", body, **known)
        assert status == 200 and headers["Content-Type"].startswith("application/x-ndjson")
        assert headers["X-Content-Type-Options"] == "nosniff" and "Content-Length" not in headers
        events = [json.loads(line) for line in text.splitlines()]
        assert [*events[0], *events[-1]] == ["piece", "answer", "cost"]
        wrong = json.dumps({**given, "options": {"top_p": 2}})
        status, _, text = ask(url, "/api/answer", "POST", wrong, **known)
        assert status == 400 and "top_p" in json.loads(text)["error"]


def test_secrets_are_masked_in_events(index, monkeypatch):
    monkeypatch.setenv("OTHER_API_KEY", "canary-in-the-environment")
    words = {"piece": "use canary-in-the-environment"}
    monkeypatch.setitem(STREAM_ROUTES, "answer", lambda index, given, send: send(words))
    assert "canary" not in str(asked(index))


def test_an_error_after_the_first_piece_is_an_event(index, monkeypatch):
    def broken(index, given, send):
        send({"piece": "the"})
        raise UserError("no more")

    monkeypatch.setitem(STREAM_ROUTES, "answer", broken)
    with served(index) as url:
        status, _, text = ask(url, "/api/answer", "POST", "{}", Origin=url.rstrip("/"))
    assert status == 200
    assert [json.loads(line) for line in text.splitlines()] == [
        {"piece": "the"},
        {"error": "no more"},
    ]


def done(watched):
    watched.until("document.querySelector('.run-button').disabled === false", 120)
    return watched.page.inner_text(".playground-inputs .status-line")


def test_two_models_are_asked_side_by_side_on_the_page(index):
    with browser() as watched, served(index) as url:
        page = watched.page
        both = f"run={key(index, 'gpt')}&run2={key(index, 'gpt')}&step2=20"
        watched.open(f"{url}#playground?{both}&text=the cat sat on&max_new_tokens=6")
        watched.ready("playground")
        assert page.locator("label:has-text('task') option").all_inner_texts() == [
            "generate a text",
            "score a text",
            "compare texts by their features",
        ]
        unnamed = "[...document.querySelectorAll('#view input, #view select, #view textarea')]"
        assert page.evaluate(f"{unnamed}.filter((one) => !one.labels.length).length") == 0
        page.focus("label:has-text('prompt') textarea")
        page.keyboard.press("Control+Enter")
        assert done(watched) == "done"
        assert page.locator(".playground-answer .written").count() == 2
        assert all("tokens/s" in text for text in page.locator(".cost").all_inner_texts())
        assert "step2=20" in page.evaluate("location.hash")
        page.select_option("label:has-text('strategy') select", "beams")
        page.fill("input[name=num_beams]", "9")
        page.click(".run-button")
        assert done(watched) == "num_beams=9: the page takes at most 8"
        page.select_option("label:has-text('strategy') select", "contrastive")
        assert page.is_hidden("input[name=num_beams]") and page.is_visible("input[name=top_k]")
        page.click(".run-button")
        assert done(watched) == "done"
        watched.errors = [e for e in watched.errors if "400 (Bad Request)" not in e]  # the refusal
        watched.clean(url)


def test_text_is_shown_as_it_comes_and_can_be_stopped(index, monkeypatch):
    go_on, ended = threading.Event(), threading.Event()

    def slow(index, given, send):
        send({"piece": "<b>the"})
        go_on.wait(600)
        try:
            for _ in range(1000):
                send({"piece": " cat" * 1000})
        finally:
            ended.set()

    monkeypatch.setitem(STREAM_ROUTES, "answer", slow)
    with browser(width=390, height=844) as watched, served(index) as url:
        page = watched.page
        watched.open(f"{url}#playground?run={key(index, 'gpt')}&text=on a mat")
        watched.ready("playground")
        page.click(".run-button")
        watched.until("document.querySelector('.written')?.textContent === '<b>the'")
        page.click("text=Stop")
        go_on.set()
        assert done(watched) == "stopped" and page.inner_text(".written") == "<b>the"
        assert ended.wait(600)
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        watched.clean(url)


def test_a_report_says_why_it_has_no_playground(folder, tmp_path):
    file = tmp_path / "report.html"
    report([f"runs={folder / 'runs'}", "-o", str(file)])
    with browser() as watched:
        watched.open(file.as_uri(), "playground")
        assert "A report contains no model" in watched.page.inner_text("#view")
        watched.clean(file.as_uri())
