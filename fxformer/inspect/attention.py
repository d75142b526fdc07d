"""Attention weights of every head for a text, with the entropy and mean distance of each head."""

import base64
import dataclasses
from functools import partial
from typing import Any, Literal

import jax
import numpy as np
from jaxtyping import Float

from fxformer.errors import UserError
from fxformer.inference.loaded_run import LoadedRun
from fxformer.inference.row_padding import TextInput, pad_to_bucket
from fxformer.inference.text_input import max_tokens
from fxformer.inference.token_text import token_strings
from fxformer.train.state import bind

Kind = Literal["encoder", "decoder", "cross"]
SCALE = 65535  # weights are sent as integers in units of 1 / SCALE
MAX_WEIGHTS = 16_000_000  # per response; two bytes each


@dataclasses.dataclass(frozen=True)
class Attention:
    """Attention weights of one stack.

    queries: token ids of the attending positions [T]
    keys: token ids of the attended positions [S]
    weights: rows sum to 1
    """

    kind: Kind
    queries: np.ndarray
    keys: np.ndarray
    weights: Float[np.ndarray, "L H T S"]


def attention(loaded: LoadedRun, text: TextInput) -> list[Attention]:
    """Attention weights of a forward pass over the text, float32, without dropout."""
    row, vocabulary = text.batch, loaded.objective.vocabulary
    wide = pad_to_bucket(row, vocabulary, max(max_tokens(loaded), row.tokens.shape[1]))
    inside = _intermediates(loaded.graphdef, loaded.params, _read(wide))
    tokens = row.tokens[0]
    if row.source is None:
        kind = loaded.objective.model.architecture
        return [_unpadded(kind, tokens, tokens, inside.self_attention)]
    source, (encoder, decoder) = row.source[0], inside
    return [
        _unpadded("encoder", source, source, encoder.self_attention),
        _unpadded("decoder", tokens, tokens, decoder.self_attention),
        _unpadded("cross", tokens, source, decoder.cross_attention),
    ]


@partial(jax.jit, static_argnums=0)
def _intermediates(graphdef, params, batch):
    return bind(graphdef, params).model.intermediates(batch)


def _read(batch):
    """The batch without targets and the like, so that their shapes cause no compilation."""
    return batch.replace(targets=None, weights=None, picked=None, noise=None, balance=None)


def _unpadded(kind: Kind, queries: np.ndarray, keys: np.ndarray, weights) -> Attention:
    """Remove padding; padded keys have weight 0, so the remaining rows still sum to 1."""
    return Attention(kind, queries, keys, np.asarray(weights)[:, 0, :, : len(queries), : len(keys)])


def entropy(weights: Float[np.ndarray, "L H T S"]) -> Float[np.ndarray, "L H"]:
    """Mean over queries of -Σ w log w, in nats; 0: one key each, log S: uniform attention."""
    logs = np.log(np.where(weights > 0, weights, 1))
    return -(weights * logs).sum(-1).mean(-1)


def distance(weights: Float[np.ndarray, "L H T S"]) -> Float[np.ndarray, "L H"]:
    """Mean over queries of Σ w |t - s|: mean attention distance in tokens."""
    T, S = weights.shape[2:]
    gap = np.abs(np.arange(T)[:, None] - np.arange(S)[None])
    return (weights * gap).sum(-1).mean(-1)


def payload(loaded: LoadedRun, text: TextInput) -> dict[str, Any]:
    """Attention of a text as JSON for the dashboard. UserError if it is too large to send."""
    found = attention(loaded, text)
    size = sum(one.weights.size for one in found)
    if size > MAX_WEIGHTS:
        raise UserError(
            f"{size / 1e6:.0f} million attention weights exceed the limit of "
            f"{MAX_WEIGHTS / 1e6:.0f} million: choose a shorter text"
        )
    kinds = [_as_json(one, loaded) for one in found]
    return {"run": loaded.run.id, "step": loaded.step, "note": text.note, "kinds": kinds}


def _as_json(one: Attention, loaded: LoadedRun) -> dict[str, Any]:
    layers, heads = one.weights.shape[:2]
    tokenizer = loaded.tokenizer
    read = tokenizer.of_source
    return {
        "kind": one.kind,
        "queries": token_strings(one.queries, read if one.kind == "encoder" else tokenizer),
        "keys": token_strings(one.keys, tokenizer if one.kind == "decoder" else read),
        "layers": layers,
        "heads": heads,
        "weights": encoded(one.weights),
        "entropy": np.round(entropy(one.weights), 4).tolist(),
        "distance": np.round(distance(one.weights), 3).tolist(),
    }


def encoded(weights: Float[np.ndarray, "L H T S"]) -> str:
    """Weights as base64 of little-endian uint16 in units of 1/65535.

    Rounded so that each row still sums to 1 (largest remainder method).
    """
    exact = weights.astype(np.float64) / weights.sum(-1, keepdims=True) * SCALE
    whole = np.floor(exact)
    lost = SCALE - whole.sum(-1, keepdims=True)
    order = np.argsort(np.argsort(whole - exact, axis=-1, kind="stable"), axis=-1, kind="stable")
    whole += order < np.rint(lost)
    return base64.b64encode(whole.astype("<u2").tobytes()).decode()
