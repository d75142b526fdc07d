"""The attention of a text: every head's weights, recomputed, and two numbers that sum each up."""

import base64
import dataclasses
from functools import partial
from typing import Any, Literal

import jax
import numpy as np
from jaxtyping import Float

from fxformer.errors import UserError
from fxformer.inference.loaded_run import Opened
from fxformer.inference.row_padding import Text, padded
from fxformer.inference.text_input import limit
from fxformer.inference.token_text import pieces
from fxformer.train.state import bind

Kind = Literal["encoder", "decoder", "cross"]
FINEST = 65535  # of the whole numbers that weights are sent as
LARGEST = 16_000_000  # weights of one answer, or of all in a file; two bytes each


@dataclasses.dataclass(frozen=True)
class Attention:
    """What the heads of one stack look at.

    queries, keys: ids of the tokens that look, and of those that are looked at
    weights: rows sum to 1
    """

    kind: Kind
    queries: np.ndarray
    keys: np.ndarray
    weights: Float[np.ndarray, "L H T S"]


def attention(opened: Opened, text: Text) -> list[Attention]:
    """The weights of the model's own forward pass over a text, in float32, nothing dropped."""
    row, vocabulary = text.batch, opened.objective.vocabulary
    wide = padded(row, vocabulary, max(limit(opened), row.tokens.shape[1]))
    inside = _inside(opened.shape, opened.params, _read(wide))
    tokens = row.tokens[0]
    if row.source is None:
        kind = opened.objective.model.architecture
        return [_cut(kind, tokens, tokens, inside.self_attention)]
    source, (encoder, decoder) = row.source[0], inside
    return [
        _cut("encoder", source, source, encoder.self_attention),
        _cut("decoder", tokens, tokens, decoder.self_attention),
        _cut("cross", tokens, source, decoder.cross_attention),
    ]


@partial(jax.jit, static_argnums=0)
def _inside(shape, params, batch):
    return bind(shape, params).model.intermediates(batch)


def _read(batch):
    """The batch without what a model does not read: how many targets there are decides nothing."""
    return batch.replace(targets=None, weights=None, picked=None, noise=None, balance=None)


def _cut(kind: Kind, queries: np.ndarray, keys: np.ndarray, weights) -> Attention:
    """Without the padding, of which there is none to see: the weights of what is left are whole."""
    return Attention(kind, queries, keys, np.asarray(weights)[:, 0, :, : len(queries), : len(keys)])


def entropy(weights: Float[np.ndarray, "L H T S"]) -> Float[np.ndarray, "L H"]:
    """Mean over queries of -Σ w log w, nats; 0: each looks at one token, log S: at all alike."""
    logs = np.log(np.where(weights > 0, weights, 1))
    return -(weights * logs).sum(-1).mean(-1)


def distance(weights: Float[np.ndarray, "L H T S"]) -> Float[np.ndarray, "L H"]:
    """Mean over the queries of Σ w |t - s|: how many tokens away a head looks."""
    T, S = weights.shape[2:]
    gap = np.abs(np.arange(T)[:, None] - np.arange(S)[None])
    return (weights * gap).sum(-1).mean(-1)


def payload(opened: Opened, text: Text) -> dict[str, Any]:
    """The attention of a text for the page. UserError where it is too much to send."""
    found = attention(opened, text)
    size = sum(one.weights.size for one in found)
    if size > LARGEST:
        raise UserError(
            f"{size / 1e6:.0f} million weights are more than a page shows "
            f"({LARGEST / 1e6:.0f} million): choose a shorter text"
        )
    kinds = [_plain(one, opened) for one in found]
    return {"run": opened.run.id, "step": opened.step, "note": text.note, "kinds": kinds}


def _plain(one: Attention, opened: Opened) -> dict[str, Any]:
    layers, heads = one.weights.shape[:2]
    tokenizer = opened.tokenizer
    read = tokenizer.of_source
    return {
        "kind": one.kind,
        "queries": pieces(one.queries, read if one.kind == "encoder" else tokenizer),
        "keys": pieces(one.keys, tokenizer if one.kind == "decoder" else read),
        "layers": layers,
        "heads": heads,
        "weights": encoded(one.weights),
        "entropy": np.round(entropy(one.weights), 4).tolist(),
        "distance": np.round(distance(one.weights), 3).tolist(),
    }


def encoded(weights: Float[np.ndarray, "L H T S"]) -> str:
    """As base64 of whole numbers of 1/65535, 16 bits each, the low byte first. They are rounded so
    that each row still sums to 1: those that lose most by rounding down are rounded up."""
    exact = weights.astype(np.float64) / weights.sum(-1, keepdims=True) * FINEST
    whole = np.floor(exact)
    lost = FINEST - whole.sum(-1, keepdims=True)
    order = np.argsort(np.argsort(whole - exact, axis=-1, kind="stable"), axis=-1, kind="stable")
    whole += order < np.rint(lost)
    return base64.b64encode(whole.astype("<u2").tobytes()).decode()
