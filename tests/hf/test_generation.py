"""Generated tokens and beam scores, and padding on the left: those of transformers."""

import json

import numpy as np
import pytest

from fxformer.hf.forward import run
from fxformer.hf.published_model import load_model
from fxformer.inference.decoding.config import GenerationConfig
from fxformer.inference.decoding.generate import generate
from tests.hf.fixture import TOLERANCE, others, own, published, reference

# transformers generates from RoBERTa with positions from 0, which its forward pass begins at 2: its
# continuations are not those of its own logits, which ours are
OTHERWISE = ("roberta_causal",)
QUICK = ("gptj", "gpt_neo", "bloom")  # three position encodings; the rest is slow


def cases(pattern: str) -> list:
    """Fixtures whose reference holds an array of this name; `*` stands for a decoding setting."""
    found = []
    for folder in own() + others():
        if not (folder / "reference.npz").is_file() or folder.name in OTHERWISE:
            continue
        before, _, after = pattern.partition("*")
        for key in reference(folder):
            if key == pattern or (after and key.startswith(before) and key.endswith(after)):
                setting = key.removeprefix(before).removesuffix(after)
                quick = folder in own() and folder.name in QUICK
                marks = () if quick else pytest.mark.slow
                found.append(pytest.param(folder, setting, id=f"{folder.name}-{key}", marks=marks))
    return found


def settings_of(folder, setting: str, new_tokens: int) -> GenerationConfig:
    """Those that transformers generated with: of meta.json, or greedy search."""
    meta = folder / "meta.json"
    if meta.is_file():
        return GenerationConfig.from_hf(json.loads(meta.read_text())["generation"][setting])
    config = published(folder).config
    ids = {name: config[name] for name in ("eos_token_id", "pad_token_id")}
    return GenerationConfig(max_new_tokens=new_tokens, **ids)


@pytest.mark.parametrize(("folder", "setting"), cases("gen.*.sequences"))
def test_generated_tokens(folder, setting):
    arrays, one = reference(folder), published(folder)
    theirs = arrays[f"gen.{setting}.sequences"]
    ids, mask = arrays["gen.in.input_ids"], arrays["gen.in.attention_mask"]
    if one.config.get("is_encoder_decoder"):
        given, start = {"source": ids, "source_segments": mask}, 1
        given["global_tokens"] = arrays.get("gen.in.global_attention_mask")
    else:
        given, start = {"prompt": ids, "prompt_mask": mask}, ids.shape[1]
    settings = settings_of(folder, setting, theirs.shape[1] - start)
    found = generate(load_model(one)[0], settings, **given)
    for ours, row in zip(found.rows(), theirs[:, start:], strict=True):
        assert ours.tolist() == row[: len(ours)].tolist()
        assert np.isin(row[len(ours) :], (settings.pad_id, *settings.eos_ids)).all()
    if f"gen.{setting}.scores" in arrays:
        np.testing.assert_allclose(found.scores, arrays[f"gen.{setting}.scores"], rtol=1e-4)


@pytest.mark.parametrize(("folder", "setting"), cases("pos.out.logits"))
def test_padding_on_the_left_with_stated_positions(folder, setting):
    arrays, one = reference(folder), published(folder)
    given = {k.removeprefix("pos.in."): v for k, v in arrays.items() if k.startswith("pos.in.")}
    ours = np.asarray(run(one, load_model(one)[0], given)["logits"])
    theirs, seen = arrays["pos.out.logits"], given["attention_mask"].astype(bool)
    assert np.abs(ours - theirs)[seen].max() <= TOLERANCE * max(1, np.abs(theirs[seen]).max())
