"""Predictions for a text: masked tokens, replaced tokens, encoder-decoder output, continuation."""

import difflib
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from fxformer.batch import Batch
from fxformer.errors import UserError
from fxformer.inference.decoding.generate import generate
from fxformer.inference.decoding.samples import greedy_settings
from fxformer.inference.loaded_run import LoadedRun
from fxformer.inference.row_padding import TextInput, pad_to_bucket
from fxformer.inference.text_input import NEW_TOKENS, cut_at_eos, generate_target, max_tokens
from fxformer.inference.token_text import token_strings
from fxformer.objective.electra import ReplacedTokenDetection
from fxformer.train.state import bind

CANDIDATES = 5  # most probable tokens per position


def payload(loaded: LoadedRun, text: TextInput) -> dict[str, Any]:
    """Predictions as JSON: {"kind": masked, replaced, seq2seq or continued, …} for the dashboard.

    Raises UserError if the model has no language-model head.
    """
    objective = loaded.objective
    if isinstance(objective, ReplacedTokenDetection):
        made = replaced(loaded, text)
    else:
        made = PREDICTORS[objective.model.architecture](loaded, text)
    return {"run": loaded.run.id, "step": loaded.step, "note": text.note} | made


def masked(loaded: LoadedRun, text: TextInput) -> dict[str, Any]:
    """Encoder: the most probable tokens at each scored position.

    With targets also the target's probability and rank (1: most probable).
    """
    if not hasattr(loaded.objective.model.head, "output_matrix"):
        raise UserError(f"{loaded.run.id} has no language-model head, so it predicts no tokens")
    row, size = text.batch, loaded.objective.vocabulary.size
    made = _candidates(loaded.graphdef, loaded.params, _bucketed(loaded, row), size)
    best, chances, target_p, rank = map(np.asarray, made)
    positions = np.arange(row.tokens.shape[1]) if row.picked is None else row.picked[0]
    shown = []
    for slot in text.scored:
        names = token_strings(best[0, slot], loaded.tokenizer)
        one: dict[str, Any] = {"position": int(positions[slot])}
        one["candidates"] = [
            [name, _round(p)] for name, p in zip(names, chances[0, slot], strict=True)
        ]
        if text.has_targets:
            target = token_strings(row.targets[0, slot : slot + 1], loaded.tokenizer)[0]
            p, place = _round(target_p[0, slot]), int(rank[0, slot])
            one |= {"target": target, "probability": p, "rank": place}
        shown.append(one)
    return {
        "kind": "masked",
        "input": token_strings(row.tokens[0], loaded.tokenizer),
        "masked": shown,
    }


@partial(jax.jit, static_argnums=(0, 3))
def _candidates(graphdef, params, batch: Batch, size: int):
    """(ids [B M C], their probabilities [B M C], the target's [B M], its rank [B M])."""
    model = bind(graphdef, params).model
    hidden = model(batch)
    if batch.picked is not None:
        hidden = jnp.take_along_axis(hidden, batch.picked[..., None], axis=1)
    chance = jax.nn.softmax(model.logits(hidden)[..., :size])
    chances, best = jax.lax.top_k(chance, min(CANDIDATES, size))
    right = jnp.take_along_axis(chance, batch.targets[..., None], -1)
    return best, chances, right[..., 0], 1 + (chance > right).sum(-1)


def replaced(loaded: LoadedRun, text: TextInput) -> dict[str, Any]:
    """ELECTRA: the text with the generator's tokens, and per token the discriminator's probability
    that it was replaced."""
    read, chance, truth = _detected(loaded.graphdef, loaded.params, text.batch)
    read, truth = np.asarray(read)[0], np.asarray(truth)[0]
    return {
        "kind": "replaced",
        "input": token_strings(read, loaded.tokenizer),
        "probability": [_round(p) for p in np.asarray(chance)[0]],
        "original": token_strings(truth, loaded.tokenizer),
    }


@partial(jax.jit, static_argnums=0)
def _detected(graphdef, params, batch: Batch):
    objective = bind(graphdef, params)
    read, _, truth = objective.answer(batch)
    drawn = objective.drawn(batch, *objective.proposals(batch))
    return read, jax.nn.sigmoid(objective.detect(batch, drawn)), truth


def seq2seq(loaded: LoadedRun, text: TextInput) -> dict[str, Any]:
    """Encoder-decoder: the source, the greedy output with probabilities, the target if known."""
    row = text.batch
    wrote = generate_target(loaded, row.source[0], int(row.tokens[0, 0]), row.tokens.shape[1])
    tokens = np.concatenate([row.tokens[0, :1], wrote[:-1]]).astype(np.int32)[None]
    inputs = row.replace(tokens=tokens, segments=np.ones_like(tokens), positions=None)
    chance = _probabilities(loaded, inputs, wrote)
    found = _output(loaded, wrote, chance) | {"kind": "seq2seq"}
    found["input"] = token_strings(row.source[0], loaded.tokenizer.of_source)
    return found | (_difference(loaded, wrote, row.targets[0]) if text.has_targets else {})


def continued(loaded: LoadedRun, text: TextInput) -> dict[str, Any]:
    """Decoder: the prompt, its greedy continuation with probabilities, the true one if known."""
    vocabulary = loaded.objective.vocabulary
    row, own = text.batch, None if text.batch.prefix is None else int(text.batch.prefix.sum())
    total = row.tokens.shape[1]
    given = (own or max(total // 3, 1)) if text.has_targets else total
    room = total if given < total else min(given + NEW_TOKENS, max_tokens(loaded))
    if room <= given:
        raise UserError(f"the text has {given} tokens, which leaves no room for a continuation")
    prompt = row.tokens[:, :given]
    prefix = None if row.prefix is None else np.ones((1, given), bool)
    wrote = generate(
        bind(loaded.graphdef, loaded.params).model,
        greedy_settings(vocabulary, max_new_tokens=room - given),
        prompt=prompt,
        prefix=prefix,
        vocab_size=vocabulary.size,
    ).rows()[0]
    tokens = np.concatenate([prompt[0], wrote[:-1]]).astype(np.int32)[None]
    inputs = Batch(tokens, np.ones_like(tokens))
    if prefix is not None:
        inputs = inputs.replace(prefix=np.arange(tokens.shape[1])[None] < given)
    right = np.concatenate([prompt[0][1:], wrote]).astype(np.int32)
    chance = _probabilities(loaded, inputs, right)[given - 1 :]
    found = _output(loaded, wrote, chance) | {"kind": "continued"}
    found["input"] = token_strings(prompt[0], loaded.tokenizer)
    return found | (_difference(loaded, wrote, row.tokens[0, given:]) if text.has_targets else {})


def _probabilities(loaded: LoadedRun, row: Batch, targets: np.ndarray) -> np.ndarray:
    """Probability of each target given the tokens before it. [T]."""
    row = row.replace(targets=targets[None], weights=np.ones((1, len(targets)), np.float32))
    wide = _bucketed(loaded, row.replace(picked=None))
    return np.asarray(_target_probability(loaded.graphdef, loaded.params, wide))[0, : len(targets)]


def _bucketed(loaded: LoadedRun, row: Batch) -> Batch:
    """The row padded to a compiled length."""
    return pad_to_bucket(row, loaded.objective.vocabulary, max_tokens(loaded))


@partial(jax.jit, static_argnums=0)
def _target_probability(graphdef, params, batch: Batch):
    model = bind(graphdef, params).model
    chance = jax.nn.softmax(model.logits(model(batch)))
    return jnp.take_along_axis(chance, batch.targets[..., None], -1)[..., 0]


def _output(loaded: LoadedRun, wrote: np.ndarray, chance: np.ndarray) -> dict[str, Any]:
    return {
        "output": token_strings(wrote, loaded.tokenizer),
        "probability": [_round(p) for p in chance],
    }


def _difference(loaded: LoadedRun, wrote: np.ndarray, truth: np.ndarray) -> dict[str, Any]:
    """The target, and which tokens of output and target the alignment of both does not match."""
    truth = cut_at_eos(truth, loaded.objective.vocabulary.eos)
    inserted, deleted = np.ones(len(wrote), bool), np.ones(len(truth), bool)
    matcher = difflib.SequenceMatcher(None, truth.tolist(), wrote.tolist(), autojunk=False)
    for start, out, size in matcher.get_matching_blocks():
        deleted[start : start + size], inserted[out : out + size] = False, False
    return {
        "target": token_strings(truth, loaded.tokenizer),
        "inserted": inserted.tolist(),
        "deleted": deleted.tolist(),
    }


def _round(p: float) -> float:
    return round(float(p), 4)


PREDICTORS = {"encoder": masked, "decoder": continued, "seq2seq": seq2seq}
