"""Greedy continuations and padding on the left: token by token what transformers writes."""

import json

import jax
import numpy as np
import pytest
from flax import nnx

from fxformer.hf.forward import run
from fxformer.hf.published_model import load_model
from fxformer.inference.decoding.greedy import generate_decoder
from tests.hf.fixture import TOLERANCE, others, own, published, reference

# transformers generates from RoBERTa with positions from 0, which its forward pass begins at 2: its
# continuations are not those of its own logits, which ours are
OTHERWISE = ("roberta_causal",)
QUICK = ("gptj", "gpt_neo", "bloom")  # three ways to tell where a token is; the rest is slow


def cases(key: str) -> list:
    """Decoders whose reference holds this array."""
    found = []
    for folder in own() + others():
        decoder = not json.loads((folder / "config.json").read_text()).get("is_encoder_decoder")
        whole = (folder / "reference.npz").is_file()
        if decoder and whole and folder.name not in OTHERWISE and key in reference(folder):
            quick = folder in own() and folder.name in QUICK
            marks = () if quick else pytest.mark.slow
            found.append(pytest.param(folder, id=folder.name, marks=marks))
    return found


@pytest.mark.parametrize("folder", cases("gen.greedy.sequences"))
def test_greedy_continuations(folder):
    arrays, one = reference(folder), published(folder)
    theirs, mask = arrays["gen.greedy.sequences"], arrays["gen.in.attention_mask"]
    length, given = mask.shape[1], mask.sum(1)
    prompts = np.full(mask.shape, one.config["pad_token_id"], np.int32)
    for row, ids in enumerate(arrays["gen.in.input_ids"]):  # theirs begin with padding
        prompts[row, : given[row]] = ids[length - given[row] :]
    knobs = {"eos": one.config["eos_token_id"], "pad": one.config["pad_token_id"]}
    shape, state = nnx.split(load_model(one)[0])

    def write(state):
        model = nnx.merge(shape, state)
        return generate_decoder(model, prompts, given, length=theirs.shape[1], **knobs)

    for ours, row, own_length in zip(np.asarray(jax.jit(write)(state)), theirs, given, strict=True):
        wrote = row[length:]
        assert ours[own_length : own_length + len(wrote)].tolist() == wrote.tolist()


@pytest.mark.parametrize("folder", cases("pos.out.logits"))
def test_padding_on_the_left_with_stated_positions(folder):
    arrays, one = reference(folder), published(folder)
    given = {k.removeprefix("pos.in."): v for k, v in arrays.items() if k.startswith("pos.in.")}
    ours = np.asarray(run(one, load_model(one)[0], given)["logits"])
    theirs, seen = arrays["pos.out.logits"], given["attention_mask"].astype(bool)
    assert np.abs(ours - theirs)[seen].max() <= TOLERANCE * max(1, np.abs(theirs[seen]).max())
