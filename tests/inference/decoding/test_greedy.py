"""Greedy search from a cache chooses what one pass over the whole text would choose."""

import numpy as np
import pytest

from fxformer.errors import UserError
from fxformer.inference.decoding.config import GenerationConfig
from fxformer.inference.decoding.generate import generate
from fxformer.inference.decoding.loop import compiled_programs
from fxformer.inference.decoding.prompts import continued_prompts
from tests.models import a_batch, ids, logits, tiny


@pytest.mark.parametrize("position", ["rotary", "learned", "alibi", "buckets"])
def test_every_token_is_the_most_probable_given_those_before_it(position):
    model = tiny("decoder", f"model/position={position}")
    prompt, given = ids(3, 4), np.array([4, 2, 3])
    mask = np.arange(4) < given[:, None]
    found = generate(model, GenerationConfig(max_new_tokens=5), prompt=prompt, prompt_mask=mask)
    rows = continued_prompts(prompt, mask, found.rows(), 0)
    scores = np.asarray(logits(model, a_batch(model, rows)))
    for row, known in enumerate(given):
        assert (rows[row, known : known + 5] == scores[row, known - 1 : known + 4].argmax(-1)).all()


@pytest.mark.parametrize("position", ["rotary", "learned"])
def test_a_prefix_is_read_in_both_directions_and_continued(position):
    model = tiny("decoder", f"model/position={position}", seed=3)
    prompt, given = ids(3, 6), np.array([6, 3, 1])
    mask = np.arange(6) < given[:, None]
    prefix = np.arange(6) < np.array([6, 2, 0])[:, None]  # all, a part, nothing of the prompt
    known = {"prompt": prompt, "prompt_mask": mask}
    found = generate(model, GenerationConfig(max_length=11), prefix=prefix, **known)
    rows = continued_prompts(prompt, mask, found.rows(), 0)
    batch = a_batch(model, rows).replace(prefix=np.pad(prefix, ((0, 0), (0, 5))))
    best = np.asarray(logits(model, batch)).argmax(-1)
    for row, start in enumerate(given):
        assert (rows[row, start:] == best[row, start - 1 : -1]).all()
    causal = generate(model, GenerationConfig(max_length=11), **known)
    differ = np.abs(causal.scores - found.scores) > 1e-4
    assert differ.tolist() == [True, True, False]


def test_a_row_ends_with_eos_and_a_shorter_limit_compiles_nothing():
    model, prompt = tiny("decoder"), ids(2, 3)
    free = generate(model, GenerationConfig(max_new_tokens=7), prompt=prompt).sequences
    eos, before = int(free[0, 2]), compiled_programs()
    settings = GenerationConfig(max_new_tokens=7, eos_token_id=eos, pad_token_id=39)
    found = generate(model, settings, prompt=prompt)
    end = int(np.argmax(free[0] == eos))
    assert found.rows()[0].tolist() == free[0, : end + 1].tolist()
    assert (found.sequences[0, end + 1 :] == 39).all()
    assert compiled_programs() == before + 2
    short = generate(model, settings.replace(max_new_tokens=2), prompt=prompt[:, :2])
    assert short.sequences.shape == (2, 2) and compiled_programs() == before + 2


def test_a_seq2seq_model_rewrites_its_source():
    model, start = tiny("seq2seq"), 2
    source, segments = ids(2, 6), np.array([[1] * 6, [1] * 4 + [0] * 2], np.int32)
    settings = GenerationConfig(max_new_tokens=7, decoder_start_token_id=start)
    rows = generate(model, settings, source=source, source_segments=segments).sequences
    read = np.concatenate([np.full((2, 1), start), rows[:, :-1]], axis=1).astype(np.int32)
    batch = a_batch(model, read).replace(source=source, source_segments=segments)
    assert (rows == np.asarray(logits(model, batch)).argmax(-1)).all()


def test_a_text_that_the_position_table_cannot_hold_is_refused():
    model = tiny("decoder", "model/position=learned", "model.position.length=12")
    with pytest.raises(UserError, match="generation.max_new_tokens=4"):
        generate(model, GenerationConfig(max_new_tokens=5), prompt=ids(2, 8))
    with pytest.raises(UserError, match="shorten it by 1 or more"):
        generate(model, GenerationConfig(), prompt=ids(1, 12))
    assert generate(model, GenerationConfig(), prompt=ids(1, 8)).lengths.tolist() == [4]
