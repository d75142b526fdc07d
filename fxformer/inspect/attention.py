"""Attention weights of every head for a text, with the entropy and mean distance of each head."""

import base64
from typing import Any

import numpy as np
from jaxtyping import Float

from fxformer.errors import UserError
from fxformer.inference.attention import Attention
from fxformer.inference.loaded_run import LoadedRun
from fxformer.inference.row_padding import TextInput
from fxformer.inference.token_text import token_strings

SCALE = 65535  # weights are sent as integers in units of 1 / SCALE
MAX_WEIGHTS = 16_000_000  # per response; two bytes each


def attention(loaded: LoadedRun, text: TextInput) -> list[Attention]:
    """Attention weights of a forward pass over the text, float32, without dropout."""
    return loaded.model.attention_of_row(text.batch)


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
    check_size(sum(one.weights.size for one in found))
    kinds = [attention_json(one, loaded) for one in found]
    return {"run": loaded.run.id, "step": loaded.step, "note": text.note, "kinds": kinds}


def check_size(size: int) -> None:
    """Raise UserError where so many numbers of two bytes are too many for a response."""
    if size > MAX_WEIGHTS:
        raise UserError(
            f"{size / 1e6:.0f} million attention weights exceed the limit of "
            f"{MAX_WEIGHTS / 1e6:.0f} million: choose a shorter text"
        )


def attention_json(one: Attention, loaded: LoadedRun) -> dict[str, Any]:
    """One kind of attention as JSON: tokens, weights, entropy and distance of each head."""
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
