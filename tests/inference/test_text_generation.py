"""Generated texts: what the model finds most probable, whatever else is generated beside it."""

import json
import shutil

import numpy as np
import pytest

import fxformer
from fxformer.errors import UserError
from fxformer.inference.decoding.config import GenerationConfig
from fxformer.inference.text_stream import cut_at_stop
from tests.hf.fixture import HERE

PROMPTS = ["the cat sat on a mat and the dog ran to its", "the dog", "a red oak"]


@pytest.mark.parametrize("kind", ["decoder", "prefix", "seq2seq"])
def test_a_text_is_the_same_alone_and_in_any_batch(model_of, kind):
    model = model_of(kind)
    together = model.generate_records(PROMPTS, max_new_tokens=6)
    back = model.generate_records(PROMPTS[::-1], max_new_tokens=6)[::-1]
    for number, prompt in enumerate(PROMPTS):
        (alone,) = model.generate_records(prompt, max_new_tokens=6)
        for one in (together[number], back[number]):
            assert one.ids.tolist() == alone.ids.tolist() and one.text == alone.text
            assert one.score == pytest.approx(alone.score, abs=1e-4)
        assert together[number].number == number and 1 <= len(alone.ids) <= 6


def test_greedy_search_takes_the_most_probable_tokens(model_of):
    decoder, seq2seq = model_of("decoder"), model_of("seq2seq")
    (made,) = decoder.generate_records("the dog", max_new_tokens=4)
    (prompt,) = decoder.encode("the dog")
    read = np.concatenate([prompt, made.ids[:-1]]).astype(np.int32)
    best = decoder.logits(read)[0][len(prompt) - 1 :, : decoder.vocabulary.size].argmax(-1)
    assert best.tolist() == made.ids.tolist()
    (made,) = seq2seq.generate_records("the dog", max_new_tokens=4)
    best = seq2seq.logits("the dog", made.ids)[0][:, : seq2seq.vocabulary.size].argmax(-1)
    assert best.tolist() == made.ids.tolist()
    score = decoder.score("the dog", decoder.generate_records("the dog", max_new_tokens=3)[0].ids)
    record = decoder.generate_records("the dog", max_new_tokens=3)[0]
    assert record.score == pytest.approx(score[0], abs=1e-3)


def test_samples_depend_on_the_seed_alone(model_of):
    model = model_of("decoder")
    options = {"do_sample": True, "num_return_sequences": 2, "max_new_tokens": 5}
    first = model.generate_records(PROMPTS, seed=1, **options)
    assert [one.number for one in first] == [0, 0, 1, 1, 2, 2]
    again = model.generate_records(PROMPTS, seed=1, **options)
    other = model.generate_records(PROMPTS, seed=2, **options)
    assert [one.text for one in first] == [one.text for one in again]
    assert [one.text for one in first] != [one.text for one in other]
    alone = model.generate_records(PROMPTS[:1], seed=1, **options)
    assert [one.text for one in alone] == [one.text for one in first[:2]]


def test_text_arrives_in_pieces_and_ends_at_a_stop_string(model_of):
    model, pieces = model_of("decoder"), {}

    def receive(number, piece):
        pieces[number] = pieces.get(number, "") + piece

    whole = model.generate(PROMPTS, max_new_tokens=8, on_text=receive)
    assert pieces == dict(enumerate(whole))
    words = whole[0].split()
    stop = next(word for word in words[1:] if word not in words[0])
    pieces.clear()
    (cut,) = model.generate(PROMPTS[0], max_new_tokens=8, on_text=receive, stop_strings=[stop])
    assert cut == cut_at_stop(whole[0], [stop]) and cut.endswith(stop) and pieces == {0: cut}
    assert cut_at_stop("abcdef", ["de", "b"]) == "ab" and cut_at_stop("abc", ["x"]) == "abc"


def test_options_and_texts_that_do_not_fit_are_refused(model_of):
    model, long = model_of("decoder"), "cat " * 1015
    for act, said in [
        (lambda: model.generate("cat", max_new_token=3), "did you mean max_new_tokens"),
        (
            lambda: model.generate(["cat", long], max_new_tokens=20),
            r"texts\[1\] has 1016 tokens and",
        ),
        (lambda: model.generate(["cat", ""]), r"texts\[1\] is empty"),
        (lambda: model.generate("cat", stop_strings=""), "stop_strings"),
        (lambda: model_of("encoder").generate("cat"), "is an encoder, which generates no text"),
    ]:
        with pytest.raises(UserError, match=said):
            act()
    (short,) = model.generate_records("cat " * 1020, eos_token_id=())
    assert len(short.ids) == 3  # as many as there is room for


def test_generation_settings_of_a_folder_are_read_and_written(tmp_path):
    folder = shutil.copytree(HERE / "gpt2", tmp_path / "gpt2")
    settings = {"max_new_tokens": 3, "eos_token_id": [9, 2], "_from_model_config": True}
    (folder / "generation_config.json").write_text(json.dumps(settings))
    model = fxformer.load(folder)
    assert model.generation.max_new_tokens == 3 and model.generation.eos_ids == (9, 2)
    prompt = np.array([4, 5, 6])
    assert len(model.generate_records(prompt, eos_token_id=())[0].ids) == 3
    own = GenerationConfig(max_new_tokens=2)
    assert len(model.generate_records(prompt, generation_config=own)[0].ids) <= 2
    given = {"max_new_tokens": 1, "temperature": 0.5}
    assert len(model.generate_records(prompt, generation_config=given)[0].ids) == 1
    changed = model.replace(generation_settings={**model.generation_settings, "num_beams": 4})
    changed.save_pretrained(tmp_path / "out")
    written = json.loads((tmp_path / "out" / "generation_config.json").read_text())
    assert written == {**settings, "bos_token_id": 1, "pad_token_id": 0, "num_beams": 4}
    (folder / "generation_config.json").write_text("[]")
    with pytest.raises(UserError, match="is not a JSON object"):
        fxformer.load(folder)


def test_rows_beside_those_asked_for_change_nothing(model_of):
    """Batches are filled up to a power of two rows, also where each row is followed."""
    model, pieces = model_of("decoder"), []
    options = {"do_sample": True, "seed": 5, "max_new_tokens": 4}
    silent = model.generate(PROMPTS, **options)
    followed = model.generate(PROMPTS, on_text=lambda *piece: pieces.append(piece), **options)
    assert silent == followed and {number for number, _ in pieces} == {0, 1, 2}


def test_options_of_sampling_without_sampling_are_refused(model_of):
    with pytest.raises(UserError, match=r"generation.top_p=0.5 has an effect on sampling only"):
        model_of("decoder").generate("cat", top_p=0.5)
    with pytest.raises(UserError, match="writes at most 1023 tokens, not 5000: write max_new"):
        model_of("seq2seq").generate("cat", max_new_tokens=5000)
