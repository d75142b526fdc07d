"""text-generation, text2text-generation, summarization and translation beside transformers 4.46."""

from types import SimpleNamespace

import numpy as np
import pytest
from inference.pipelines.reference import FOLDER, cases, model, names, together

from fxformer.energy.config import TDPEnergy
from fxformer.errors import UserError
from fxformer.hf.import_model import import_model
from fxformer.inference.pipelines.languages import language_id
from fxformer.inference.pipelines.tasks import pipeline
from fxformer.inference.text_generation import GeneratedText
from fxformer.inference.text_stream import cut_at_stop

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
    with pytest.raises(UserError, match=f"write max_new_tokens={room} or less, or shorten it by 1"):
        made(long, max_new_tokens=room + 1)
    with pytest.raises(UserError, match=f"max_length=5 counts the prompt, and .* has {tokens} tok"):
        made(long, max_length=5)
    with pytest.raises(UserError, match="reads at most 96, .* included: shorten it by"):
        made(long * 5)
    found = made([long, "A"])  # by default what fits
    assert all(one[0]["generated_text"].startswith(("A", long)) for one in found)
    summary = pipeline("summarization", model("t5_text"))
    assert summary.prepare(long, summary.options).state.new == 13  # config.json: max_length=14
    other = pipeline("text2text-generation", model("t5_text"))
    assert other.prepare(long, other.options).state.new == 256  # nothing of summarization leaks


@pytest.mark.slow
def test_texts_are_those_of_model_generate():
    """Defaults, limits and settings have one source."""
    opened, prompts = model("gpt2_text"), ["The ship", "Paris is the capital of", "A"]
    made = pipeline("text-generation", opened, return_full_text=False)
    for options in ({}, {"max_length": 20}, {"do_sample": True, "top_k": 20, "seed": 2}):
        found = [one["generated_text"] for (one,) in made(prompts, **options)]
        assert found == opened.generate(prompts, **options)
    given = {"max_new_tokens": 5, "repetition_penalty": 1.5}
    found = [one["generated_text"] for (one,) in made(prompts, generation_config=given)]
    assert found == opened.generate(prompts, generation_config=given)
    source, other = model("t5_text"), pipeline("text2text-generation", model("t5_text"))
    assert [one["generated_text"] for one in other(prompts)] == source.generate(prompts)
    for act in (opened.generate, made):
        with pytest.raises(UserError, match=r"generation.top_p=0.5 has an effect on sampling only"):
            act("A", top_p=0.5)
        with pytest.raises(UserError, match="the model reads|gpt2_text reads at most 96"):
            act("A " * 95, max_new_tokens=90)


def test_texts_end_at_stop_strings():
    made = pipeline("text-generation", model("gpt2_text"), return_full_text=False, **GREEDY)
    ((whole,), (other,)) = made(["The ship", "A"])
    text = whole["generated_text"]
    stop = text[len(text) // 2 :][:2]
    found = made(["The ship", "A"], stop_strings=[stop])
    assert found[0][0]["generated_text"] == text[: text.index(stop) + 2] != text
    assert found[1][0]["generated_text"] == cut_at_stop(other["generated_text"], [stop])
    for wrong in ("", [""], [3]):
        with pytest.raises(UserError, match="stop_strings"):
            made("A", stop_strings=wrong)
    with pytest.raises(UserError, match="beams have no final text before their end"):
        made("A", stop_strings="a", num_beams=2)


def test_energy_is_shared_out_by_prompt_and_generated_tokens(monkeypatch):
    made = pipeline("text-generation", model("gpt2_text"))
    made.meter = TDPEnergy(cpu_tdp_watts=8.0).open()
    lengths = {"The ship": 30, "Paris is the capital of France": 2}
    texts = [[GeneratedText("", np.zeros(n, np.int32), 0.0, 0)] for n in lengths.values()]
    monkeypatch.setattr(made, "run", lambda prepared, options: texts)
    rows = [made.prepare(text, made.options) for text in lengths]
    tokens = [row.input_tokens + n for row, n in zip(rows, lengths.values(), strict=True)]
    first, second = made.answers(lengths)
    assert first.joules / second.joules == pytest.approx(tokens[0] / tokens[1])
    for settings in ({"num_beams": 4}, {"penalty_alpha": 0.6, "top_k": 4}):
        options = made.changed(made.options, settings)
        assert made.tokens(rows[0], texts[0], options) == rows[0].input_tokens + 4 * 30


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
        vocabulary = SimpleNamespace(special=np.arange(9) == 7)

        def id_of(self, one):
            return {name: 7, "fr": 3, "de": 4}.get(one)  # fr and de are ordinary tokens

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
