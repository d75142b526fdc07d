"""token-classification and question-answering beside transformers 4.46."""

import pytest
from inference.pipelines.inputs import LONG, TEXTS
from inference.pipelines.reference import cases, model, names, same, together

from fxformer.errors import UserError
from fxformer.inference.pipelines.tasks import pipeline


def by_words(case) -> bool:
    return case["options"]["aggregation_strategy"] in ("first", "average", "max")


@pytest.mark.parametrize("name", names("token-classification"))
def test_entities_are_those_of_transformers(name):
    made = pipeline("token-classification", model(name))
    for case, found in together(made, cases(name, "token-classification")):
        if by_words(case) and name == "roberta_tokens":
            continue  # transformers takes what stands between two spaces for a word
        text = case["input"]
        wanted = [{**one, "word": text[one["start"] : one["end"]]} for one in case["output"]]
        same(found, wanted, str(case["options"]))


def test_a_full_stop_is_no_part_of_the_word_before_it():
    made = pipeline("ner", model("roberta_tokens"), ignore_labels=[])
    text = "Groenlinks praat over Schiphol."
    for how in ("first", "average", "max"):
        ends = {one["end"] for one in made(text, aggregation_strategy=how)}
        starts = {one["start"] for one in made(text, aggregation_strategy=how)}
        assert ends <= {10, 16, 21, 30, 31} and starts <= {0, 11, 17, 22, 30}


@pytest.mark.parametrize("name", names("token-classification"))
def test_a_long_text_is_read_in_windows_and_keeps_its_characters(name):
    made = pipeline("ner", model(name), ignore_labels=[])
    text = f"{LONG} {LONG}"
    found = made(text)
    assert found[-1]["end"] == len(text)
    assert all(one["word"] == text[one["start"] : one["end"]] for one in found)
    starts = [one["start"] for one in found]
    assert starts == sorted(starts)
    short = made(TEXTS[0])
    assert [one["entity"] for one in made([text, TEXTS[0]])[1]] == [o["entity"] for o in short]


def without_duplicates(output, context):
    """transformers' answers with each span once, the best score of it."""
    found = {}
    for one in output if isinstance(output, list) else [output]:
        place = one["start"], one["end"]
        found.setdefault(place, {**one, "answer": context[place[0] : place[1]]})
    return list(found.values())


@pytest.mark.parametrize("name", names("question-answering"))
def test_answers_are_those_of_transformers(name):
    made = pipeline("question-answering", model(name), max_context=False)
    for case, found in together(made, cases(name, "question-answering")):
        wanted = without_duplicates(case["output"], case["input"]["context"])
        found = found if isinstance(found, list) else [found]
        assert len({(one["start"], one["end"]) for one in found}) == len(found)
        same(found[: len(wanted)], wanted, str(case["options"]))


def test_answers_are_in_the_context_and_at_most_as_long_as_told():
    made = pipeline("question-answering", model("bert_span"), top_k=50, align_to_words=False)
    question = "Where did the ship go?"
    for one in made(question=question, context=LONG, max_answer_len=3, max_seq_len=48):
        assert one["answer"] == LONG[one["start"] : one["end"]]
        assert 0 <= one["start"] < one["end"] <= len(LONG)
    assert len(made(question=question, context="Paris", top_k=9)) <= 9


def test_windows_find_what_one_window_finds_elsewhere():
    made = pipeline("question-answering", model("roberta_span"))
    questions = ["Where?", "Who?"]
    both = made(question=questions, context=LONG)
    assert both[1] == made({"question": "Who?", "context": LONG})
    with pytest.raises(UserError, match="2 questions and 1 contexts"):
        made(question=questions, context=["Paris"])


def test_rows_without_question_or_context_are_refused():
    made = pipeline("question-answering", model("bert_span"))
    found = made([{"question": "Who?"}, {"question": "Who?", "context": " "}, "Who?"])
    assert [set(one) for one in found] == [{"error"}] * 3
    with pytest.raises(UserError, match="question has .* tokens, max_question_len=4"):
        made(question="Where did the ship go?", context="Paris", max_question_len=4)
    with pytest.raises(UserError, match="leaves no room among 6"):
        made(question="Where did the ship go?", context="Paris", max_seq_len=6)
