"""The same tokens alone, in a batch, padded on either side, from a cache and without one."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fxformer.inference.decoding.config import GenerationConfig
from fxformer.inference.decoding.generate import generate
from fxformer.inference.decoding.loop import limit_programs
from fxformer.nn.beam_cache import BeamCache
from tests.models import VOCAB, a_batch, ids, logits, tiny

LENGTHS, NEW = (7, 2, 5), 6
MEMORY = ("model.attention.memory_length=4", "model.windows=[4]")
WINDOW = ("model.windows=[3]",)
LONGFORMER = ("model/attention=longformer", "model.windows=[4]")
DECODERS = {
    "decoder-window": ("decoder", WINDOW),  # the cache holds no more than the window
    "transfo_xl-memory": ("transfo_xl", MEMORY),
    "decoder-learned": ("decoder", ("model/position=learned",)),
    "decoder-sinusoidal": ("decoder", ("model/position=sinusoidal",)),
    "decoder-alibi": ("decoder", ("model/position=alibi",)),
    "decoder-buckets": ("decoder", ("model/position=buckets",)),
    "decoder-none": ("decoder", ("model/position=none",)),
    "decoder-grouped": ("decoder", ("model.attention.kv_heads=2",)),
    "decoder-multi-query": ("decoder", ("model.attention.kv_heads=1", *WINDOW)),
    "decoder-layer-groups": ("decoder", ("model.layer_groups=1",)),
    "decoder-longformer": ("decoder", LONGFORMER),
    "decoder-disentangled": (
        "decoder",
        ("model/attention=disentangled", "model/position=disentangled"),
    ),
    "transfo_xl": ("transfo_xl", ()),
    "transfo_xl-window": ("transfo_xl", WINDOW),
    **{
        name: (name, ())
        for name in ("bloom", "ctrl", "gpt2", "gpt_neo", "gpt_neox", "gptj", "llama", "openai_gpt")
    },
    **{name: (name, ()) for name in ("qwen2", "qwen3")},
}
SEQ2SEQ = {
    name: (name, ())
    for name in (
        "seq2seq",
        "bart",
        "mbart",
        "marian",
        "m2m100",
        "pegasus",
        "t5",
        "led",
        "prophetnet",
    )
}
QUICK = ("decoder-window", "transfo_xl-memory", "seq2seq")
STRATEGIES = {
    "greedy": {},
    "sample": {"do_sample": True, "temperature": 1.5, "top_p": 0.9, "seed": 5},
    "beam": {"num_beams": 3, "num_return_sequences": 2, "length_penalty": 0.7},
    "groups": {"num_beams": 4, "num_beam_groups": 2, "diversity_penalty": 0.5},
    "contrastive": {"penalty_alpha": 0.6, "top_k": 3},
    "penalties": {"repetition_penalty": 1.3, "no_repeat_ngram_size": 2, "min_new_tokens": 3},
}


def matrix():
    """Every family and attention kind with every strategy; a few are quick."""
    for name in DECODERS | SEQ2SEQ:
        for strategy in STRATEGIES:
            quick = name in QUICK and strategy == "greedy"
            marks = () if quick else pytest.mark.slow
            yield pytest.param(name, strategy, id=f"{name}-{strategy}", marks=marks)


def settings_of(strategy: str) -> GenerationConfig:
    ends = {"eos_token_id": 3, "pad_token_id": 3, "max_new_tokens": NEW}
    return GenerationConfig(decoder_start_token_id=2, **ends, **STRATEGIES[strategy])


def padded(rows: list[np.ndarray], width: int, side: str) -> tuple[np.ndarray, np.ndarray]:
    """(ids, mask) of rows padded to a width on one side; the padding is an ordinary id."""
    tokens, mask = np.full((len(rows), width), 5, np.int32), np.zeros((len(rows), width), bool)
    for i, row in enumerate(rows):
        place = slice(0, len(row)) if side == "right" else slice(width - len(row), width)
        tokens[i, place], mask[i, place] = row, True
    return tokens, mask


def inputs(seq2seq: bool, rows: list[np.ndarray], width: int, side: str) -> dict:
    tokens, mask = padded(rows, width, side)
    if not seq2seq:
        return {"prompt": tokens, "prompt_mask": mask}
    return {"source": tokens, "source_segments": mask.astype(np.int32)}


@pytest.mark.parametrize(("name", "strategy"), list(matrix()))
def test_padding_and_batch_mates_change_nothing(name, strategy):
    family, overrides = (DECODERS | SEQ2SEQ)[name]
    model, settings, seq2seq = tiny(family, *overrides), settings_of(strategy), name in SEQ2SEQ
    rows = [ids(1, n, seed=n)[0] for n in LENGTHS]
    # sources on the right only: absolute positions of an encoder begin where its text does
    sides = (("right", 7), ("right", 13)) if seq2seq else (("right", 7), ("left", 13))
    found = [generate(model, settings, **inputs(seq2seq, rows, w, side)) for side, w in sides]
    alone = [
        generate(model, settings, row_numbers=[i], **inputs(seq2seq, [row], len(row), "right"))
        for i, row in enumerate(rows)
    ]
    single = [row.tolist() for one in alone for row in one.rows()]
    scores = np.concatenate([one.scores for one in alone])
    for whole in found:
        assert [row.tolist() for row in whole.rows()] == single
        np.testing.assert_allclose(whole.scores, scores, atol=1e-4)
    if strategy == "greedy":
        assert single == [uncached(model, row, seq2seq) for row in rows]


def uncached(model, row: np.ndarray, seq2seq: bool) -> list[int]:
    """Greedy continuation by whole passes, each over the text so far."""
    if name_of_memory(model):  # a memory without a window depends on how a text is split
        return generate(model, settings_of("greedy"), prompt=row[None]).rows()[0].tolist()
    text, start = ([2], 1) if seq2seq else (row.tolist(), len(row))
    while len(text) < start + NEW and 3 not in text[start:]:
        tokens = np.zeros((1, len(row) + NEW), np.int32)
        tokens[0, : len(text)] = text
        segments = (np.arange(tokens.shape[1]) < len(text)).astype(np.int32)[None]
        batch = a_batch(model, tokens, segments)
        if seq2seq:
            batch = batch.replace(source=row[None], source_segments=np.ones((1, len(row)), int))
        text.append(int(np.asarray(logits(model, batch))[0, len(text) - 1, :VOCAB].argmax()))
    return text[start:]


def name_of_memory(model) -> bool:
    """Whether a model has a Transformer-XL memory and no window."""
    if model.architecture == "seq2seq":
        return False
    stack = model.transformer.stack
    return stack.blocks.attention.memory_length is not None and stack.windows is None


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["greedy", "beam", "contrastive"])
@pytest.mark.parametrize("name", QUICK)
def test_a_bfloat16_cache_changes_scores_by_rounding_only(name, strategy):
    family, overrides = (DECODERS | SEQ2SEQ)[name]
    model, settings = tiny(family, *overrides), settings_of(strategy).replace(max_new_tokens=3)
    assert jax.tree.leaves(model.init_cache(1, 4, jnp.bfloat16).layers)[0].dtype == jnp.bfloat16
    prompt = inputs(name in SEQ2SEQ, [ids(1, 6)[0], ids(1, 4, seed=1)[0]], 6, "right")
    full = generate(model, settings, **prompt)
    half = generate(model, settings, cache_dtype="bfloat16", **prompt)
    np.testing.assert_allclose(full.scores, half.scores, rtol=0.05)
    assert (full.scores != half.scores).any()  # the cache is what was asked for


SHARED = ("decoder-alibi", "decoder-buckets", "decoder-window", "gpt2", "llama", "transfo_xl", "t5")


@pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=() if n == "decoder-alibi" else pytest.mark.slow) for n in SHARED],
)
def test_beams_that_share_a_cache_find_what_rows_of_their_own_find(name, monkeypatch):
    family, overrides = (DECODERS | SEQ2SEQ)[name]
    model, settings = tiny(family, *overrides), settings_of("beam")
    rows = [ids(1, n, seed=n)[0] for n in LENGTHS]
    given = inputs(name in SEQ2SEQ, rows, 7, "right")
    shared = generate(model, settings, **given)
    monkeypatch.setattr(BeamCache, "suits", staticmethod(lambda *_: False))
    limit_programs(0)
    apart = generate(model, settings, **given)
    assert [row.tolist() for row in shared.rows()] == [row.tolist() for row in apart.rows()]
    np.testing.assert_allclose(shared.scores, apart.scores, atol=1e-4)
