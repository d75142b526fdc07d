"""text-generation, text2text-generation, summarization and translation beside transformers 4.46."""

import numpy as np
import pytest
from inference.pipelines.reference import FOLDER, cases, model, names, together

from fxformer.errors import UserError
from fxformer.hf.import_model import import_model
from fxformer.inference.pipelines.languages import language_id
from fxformer.inference.pipelines.tasks import pipeline

TASKS = ("text-generation", "text2text-generation", "summarization", "translation_en_to_fr")
GREEDY = {"max_new_tokens": 12}


def with_beams(case) -> bool:
    return case["options"].get("num_beams", 1) > 1


def check(task, name, some):
    """Assert that the answers to all cases are those of transformers."""
    made = pipeline(task, model(name))
    for case, found in together(made, some):
        found = found if isinstance(found, list) else [found]
        assert found == case["output"], (case["input"], case["options"])


def everywhere():
    for task in (*TASKS, "translation"):
        for name in names(task):
            name = getattr(name, "values", (name,))[0]
            quick = (task, name) in (("text-generation", "gpt2_text"), (TASKS[3], "t5_text"))
            yield pytest.param(task, name, marks=() if quick else pytest.mark.slow)


@pytest.mark.parametrize(("task", "name"), list(everywhere()))
def test_greedy_texts_are_those_of_transformers(task, name):
    check(task, name, [case for case in cases(name, task) if not with_beams(case)])


@pytest.mark.slow
@pytest.mark.parametrize(("task", "name"), [p.values for p in everywhere()])
def test_beams_are_those_of_transformers(task, name):
    check(task, name, [case for case in cases(name, task) if with_beams(case)])


def test_a_text_does_not_depend_on_the_others_of_its_batch():
    made = pipeline("text-generation", model("gpt2_text"), do_sample=True, seed=3, **GREEDY)
    prompts = ["The ship", "Paris is the capital of", "A", "She looked at him and"]
    whole = made(prompts)
    alone = [made.answers([one], first=n) for n, one in enumerate(prompts)]
    assert [next(one).value for one in alone] == whole
    assert made(prompts, seed=4) != whole


def test_lengths_are_those_asked_for_or_refused():
    made = pipeline("text-generation", model("gpt2_text"))
    long = "The ship left the harbour of Rotterdam before dawn, and nobody"
    tokens = len(model("gpt2_text").encode([long])[0])
    room = 96 - tokens
    with pytest.raises(UserError, match=f"write max_new_tokens={room} or less"):
        made(long, max_new_tokens=room + 1)
    with pytest.raises(UserError, match="leaves no token after a prompt"):
        made(long, max_length=5)
    with pytest.raises(UserError, match="reads at most 96: shorten it by"):
        made(long * 5)
    found = made([long, "A"])  # by default what fits
    assert all(one[0]["generated_text"].startswith(("A", long)) for one in found)
    assert made.limit(np.zeros(90, int), made.options) == 6
    source = pipeline("summarization", model("t5_text"))
    assert source.limit(np.zeros(90, int), source.options) == 13  # config.json says max_length=14
    other = pipeline("text2text-generation", model("t5_text"))
    assert other.limit(np.zeros(90, int), other.options) == 256  # nothing of summarization leaks


def test_options_of_generation_are_checked():
    with pytest.raises(UserError, match="did you mean 'num_beams'"):
        pipeline("text-generation", model("gpt2_text"), num_beam=2)
    with pytest.raises(UserError, match="temperature"):
        pipeline("text-generation", model("gpt2_text"), temperature=-1.0)
    with pytest.raises(UserError, match="gpt2_text is of kind decoder: use text-generation"):
        pipeline("summarization", model("gpt2_text"))
    with pytest.raises(UserError, match="bert_mlm is of kind encoder: use fill-mask"):
        pipeline("text-generation", model("bert_mlm"))


def test_translation_needs_languages_that_there_are():
    made = pipeline("translation", model("mbart_text"), **GREEDY)
    with pytest.raises(UserError, match="needs its languages: src_lang=en_XX"):
        made("A ship")
    with pytest.raises(UserError, match="tgt_lang='fr_FR' is no language .* 'fr_XX'"):
        made("A ship", src_lang="en_XX", tgt_lang="fr_FR")


@pytest.mark.parametrize("name", ["__fr__", "fra_Latn"])
def test_language_tokens_are_found_by_their_code(name):
    class Names:
        def id_of(self, one):
            return {name: 7}.get(one)

    assert language_id(name.strip("_"), Names(), "src_lang") == 7
    with pytest.raises(UserError, match="src_lang='de' is no language"):
        language_id("de", Names(), "src_lang")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["t5_text", "mbart_text"])
def test_an_imported_run_answers_as_the_folder_it_came_from(name, tmp_path):
    run = import_model(FOLDER / name, runs=str(tmp_path)).folder
    task = "translation_en_to_fr" if name == "t5_text" else "translation"
    made = pipeline(task, run)
    for case, found in together(made, cases(name, task)):
        assert [found] == case["output"]
