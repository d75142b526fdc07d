"""What a model answers to a text: its guesses at hidden tokens, its rewriting, its continuation."""

import difflib
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from fxformer.batch import Batch
from fxformer.errors import UserError
from fxformer.inference.decoding.greedy import continue_prefix, continue_text
from fxformer.inference.loaded_run import Opened
from fxformer.inference.row_padding import Text, padded
from fxformer.inference.text_input import WRITES, limit, until, written
from fxformer.inference.token_text import pieces
from fxformer.objective.electra import ReplacedTokenDetection
from fxformer.train.state import bind

BEST = 5  # guesses at a token


def payload(opened: Opened, text: Text) -> dict[str, Any]:
    """What the page shows of an answer: {"what": masked, replaced, rewritten or continued, …}."""
    objective = opened.objective
    if isinstance(objective, ReplacedTokenDetection):
        made = replaced(opened, text)
    else:
        made = KINDS[objective.model.architecture](opened, text)
    return {"run": opened.run.id, "step": opened.step, "note": text.note} | made


def masked(opened: Opened, text: Text) -> dict[str, Any]:
    """An encoder: for each hidden token the likeliest ones. p: probability; rank: of the right
    one, from 1. UserError for a model that gives words no probability."""
    if not hasattr(opened.objective.model.head, "table"):
        raise UserError(f"the head of {opened.run.id} gives words no probability")
    row, size = text.batch, opened.objective.vocabulary.size
    made = _guesses(opened.shape, opened.params, _wide(opened, row), size)
    best, chances, right, rank = map(np.asarray, made)
    places = np.arange(row.tokens.shape[1]) if row.picked is None else row.picked[0]
    shown = []
    for slot in text.marked:
        names = pieces(best[0, slot], opened.tokenizer)
        one: dict[str, Any] = {"at": int(places[slot])}
        one["best"] = [[name, _round(p)] for name, p in zip(names, chances[0, slot], strict=True)]
        if text.known:
            truth = pieces(row.targets[0, slot : slot + 1], opened.tokenizer)[0]
            one |= {"right": truth, "p": _round(right[0, slot]), "rank": int(rank[0, slot])}
        shown.append(one)
    return {"what": "masked", "read": pieces(row.tokens[0], opened.tokenizer), "hidden": shown}


@partial(jax.jit, static_argnums=(0, 3))
def _guesses(shape, params, batch: Batch, size: int):
    """(ids [B M best], their probabilities, that of the target [B M], its rank [B M])."""
    model = bind(shape, params).model
    hidden = model(batch)
    if batch.picked is not None:
        hidden = jnp.take_along_axis(hidden, batch.picked[..., None], axis=1)
    chance = jax.nn.softmax(model.logits(hidden)[..., :size])
    chances, best = jax.lax.top_k(chance, min(BEST, size))
    right = jnp.take_along_axis(chance, batch.targets[..., None], -1)
    return best, chances, right[..., 0], 1 + (chance > right).sum(-1)


def replaced(opened: Opened, text: Text) -> dict[str, Any]:
    """ELECTRA: the text with the generator's tokens, and for each the discriminator's probability
    that it was replaced."""
    read, chance, truth = _detected(opened.shape, opened.params, text.batch)
    read, truth = np.asarray(read)[0], np.asarray(truth)[0]
    return {
        "what": "replaced",
        "read": pieces(read, opened.tokenizer),
        "p": [_round(p) for p in np.asarray(chance)[0]],
        "truth": pieces(truth, opened.tokenizer),
    }


@partial(jax.jit, static_argnums=0)
def _detected(shape, params, batch: Batch):
    objective = bind(shape, params)
    read, _, truth = objective.answer(batch)
    drawn = objective.drawn(batch, *objective.proposals(batch))
    return read, jax.nn.sigmoid(objective.detect(batch, drawn)), truth


def rewritten(opened: Opened, text: Text) -> dict[str, Any]:
    """A seq2seq model: what it read, what it wrote, what is right."""
    row = text.batch
    wrote = written(opened, row.source[0], int(row.tokens[0, 0]), row.tokens.shape[1])
    tokens = np.concatenate([row.tokens[0, :1], wrote[:-1]]).astype(np.int32)[None]
    heard = row.replace(tokens=tokens, segments=np.ones_like(tokens), positions=None)
    chance = _chances(opened, heard, wrote)
    found = _told(opened, wrote, chance) | {"what": "rewritten"}
    found["read"] = pieces(row.source[0], opened.tokenizer.of_source)
    return found | (_beside(opened, wrote, row.targets[0]) if text.known else {})


def continued(opened: Opened, text: Text) -> dict[str, Any]:
    """A decoder: what it read, what it wrote after that, how the text went on."""
    vocabulary = opened.objective.vocabulary
    row, own = text.batch, None if text.batch.prefix is None else int(text.batch.prefix.sum())
    total = row.tokens.shape[1]
    given = (own or max(total // 3, 1)) if text.known else total
    room = total if given < total else min(given + WRITES, limit(opened))
    if room <= given:
        raise UserError(f"the text is {given} tokens long, which leaves no room to go on")
    prompt = row.tokens[:, :given]
    prefix = None if row.prefix is None else np.ones((1, given), bool)
    knobs = (room, vocabulary.eos, vocabulary.pad)
    counts = np.array([given], np.int32)
    whole = np.asarray(_continue(opened.shape, knobs, opened.params, prompt, counts, prefix))[0]
    wrote = until(whole[given:], vocabulary.eos)
    tokens = np.concatenate([prompt[0], wrote[:-1]]).astype(np.int32)[None]
    heard = Batch(tokens, np.ones_like(tokens))
    if prefix is not None:
        heard = heard.replace(prefix=np.arange(tokens.shape[1])[None] < given)
    right = np.concatenate([prompt[0][1:], wrote]).astype(np.int32)
    chance = _chances(opened, heard, right)[given - 1 :]
    found = _told(opened, wrote, chance) | {"what": "continued"}
    found["read"] = pieces(prompt[0], opened.tokenizer)
    return found | (_beside(opened, wrote, row.tokens[0, given:]) if text.known else {})


@partial(jax.jit, static_argnums=(0, 1))
def _continue(shape, knobs, params, prompt, given, prefix):
    length, eos, pad = knobs
    model = bind(shape, params).model
    if prefix is None:
        return continue_text(model, prompt, given, length=length, eos=eos, pad=pad)
    return continue_prefix(model, prompt, given, prefix, length=length, eos=eos, pad=pad)


def _chances(opened: Opened, row: Batch, targets: np.ndarray) -> np.ndarray:
    """p of each target given what is read before it. [T]."""
    row = row.replace(targets=targets[None], weights=np.ones((1, len(targets)), np.float32))
    wide = _wide(opened, row.replace(picked=None))
    return np.asarray(_chance(opened.shape, opened.params, wide))[0, : len(targets)]


def _wide(opened: Opened, row: Batch) -> Batch:
    """The row at a length that is compiled for many."""
    return padded(row, opened.objective.vocabulary, limit(opened))


@partial(jax.jit, static_argnums=0)
def _chance(shape, params, batch: Batch):
    model = bind(shape, params).model
    chance = jax.nn.softmax(model.logits(model(batch)))
    return jnp.take_along_axis(chance, batch.targets[..., None], -1)[..., 0]


def _told(opened: Opened, wrote: np.ndarray, chance: np.ndarray) -> dict[str, Any]:
    return {"wrote": pieces(wrote, opened.tokenizer), "p": [_round(p) for p in chance]}


def _beside(opened: Opened, wrote: np.ndarray, truth: np.ndarray) -> dict[str, Any]:
    """The right text, and which tokens of either have no equal in the other."""
    truth = until(truth, opened.objective.vocabulary.eos)
    other, lost = np.ones(len(wrote), bool), np.ones(len(truth), bool)
    matcher = difflib.SequenceMatcher(None, truth.tolist(), wrote.tolist(), autojunk=False)
    for there, here, size in matcher.get_matching_blocks():
        lost[there : there + size], other[here : here + size] = False, False
    return {
        "truth": pieces(truth, opened.tokenizer),
        "other": other.tolist(),
        "lost": lost.tolist(),
    }


def _round(p: float) -> float:
    return round(float(p), 4)


KINDS = {"encoder": masked, "decoder": continued, "seq2seq": rewritten}
