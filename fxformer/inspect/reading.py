"""Rollout, flow, queries and keys, logit lens, head gradients of a text, as JSON for the page."""

import base64
from typing import Any

import numpy as np

from fxformer.errors import UserError
from fxformer.inference.attention import Attention
from fxformer.inference.interpret.head_importance import ExampleLoss, HeadGradients
from fxformer.inference.interpret.influence import Influence, flow_of, rollout_of
from fxformer.inference.interpret.logit_lens import LogitLens
from fxformer.inference.loaded_run import LoadedRun
from fxformer.inference.model import Model
from fxformer.inference.row_padding import TextInput
from fxformer.inference.token_text import token_strings
from fxformer.inspect.attention import attention, attention_json, check_size

CANDIDATES = 5  # most probable tokens at each position of the logit lens
FLOW_TOKENS = 40  # input tokens of a flow that the page computes


def payload(loaded: LoadedRun, text: TextInput) -> dict[str, Any]:
    """{"rollout": kinds, "lens": {…} or {"why"}, "gradients": {kind: [blocks, H]} or None}.

    gradients: |∂L/∂ξ| of each head for the loss of this text
    """
    rollout = rollout_of(attention(loaded, text))
    found: dict[str, Any] = {"rollout": [_influence(one, loaded) for one in rollout]}
    targets = known_targets(loaded, text)
    try:
        loaded.model.check_head()
    except UserError as error:
        return found | {"lens": {"why": str(error)}, "gradients": None}
    (lens,) = loaded.model.logit_lens_of_rows([text.batch], [targets], k=CANDIDATES)
    gradients = head_gradients(loaded.model, text, targets) if (targets >= 0).any() else None
    return found | {"lens": _lens(lens, loaded), "gradients": gradients}


def flow_payload(loaded: LoadedRun, text: TextInput) -> dict[str, Any]:
    """{"kinds"}: attention flow. UserError for more than FLOW_TOKENS input tokens."""
    batch = text.batch
    count = batch.tokens.shape[1] + (0 if batch.source is None else batch.source.shape[1])
    if count > FLOW_TOKENS:
        raise UserError(
            f"attention flow solves a maximum flow for each pair of tokens: {count} input tokens "
            f"exceed the limit of {FLOW_TOKENS} of this page; choose a shorter text"
        )
    return {"kinds": [_influence(one, loaded) for one in flow_of(attention(loaded, text))]}


def products_payload(loaded: LoadedRun, text: TextInput) -> dict[str, Any]:
    """{"kinds"}: queries and keys of each kind of attention, float32 in base64 [L, T, H, K]."""
    found = loaded.model.queries_keys_of_row(text.batch)
    check_size(2 * sum(one.q.size + one.k.size for one in found))
    kinds = []
    for one in found:
        made = attention_json(one.attention, loaded)
        made |= {"channels": one.q.shape[-1], "q": _floats(one.q), "k": _floats(one.k)}
        kinds.append(made)
    return {"kinds": kinds}


def known_targets(loaded: LoadedRun, text: TextInput) -> np.ndarray:
    """The right id at each position, -1 where there is none. [t] int64.

    Those that the text comes with (a held-out text); else of a decoder stack the next token, and of
    an encoder the token itself where it is not masked.
    """
    batch, tokens = text.batch, np.asarray(text.batch.tokens)[0]
    found = np.full(len(tokens), -1, np.int64)
    if text.has_targets and batch.targets is not None:
        scored = np.asarray(batch.weights)[0] > 0
        at = np.flatnonzero(scored) if batch.picked is None else np.asarray(batch.picked)[0][scored]
        found[at] = np.asarray(batch.targets)[0][scored]
    elif loaded.model.architecture == "encoder":
        found = np.where(tokens == loaded.objective.vocabulary.mask, -1, tokens).astype(np.int64)
    else:
        found[:-1] = tokens[1:]
    return found


def head_gradients(model: Model, text: TextInput, targets: np.ndarray) -> dict[str, list]:
    """{kind: |∂L/∂ξ| of each head [blocks, H]} for the mean loss of a text's targets, in nats."""
    at = np.flatnonzero(targets >= 0)
    row = text.batch.replace(
        picked=at[None].astype(np.int32),
        targets=targets[at][None].astype(np.int32),
        weights=np.ones((1, len(at)), np.float32),
        **{"noise": None, "balance": None},
    )
    ((_, slopes),) = model.run_rows(HeadGradients(ExampleLoss()), [row], 4 * model.module.vocab)
    return {kind: np.round(np.abs(slope), 6).tolist() for kind, slope in slopes.items()}


def _influence(one: Influence, loaded: LoadedRun) -> dict[str, Any]:
    """As an attention of one head; `source`: how many columns are of the source."""
    weights = one.weights[:, None].astype(np.float32)
    made = attention_json(Attention(one.kind, one.queries, one.keys, weights), loaded)
    if one.source:
        read = loaded.tokenizer.of_source
        source = token_strings(one.keys[: one.source], read)
        made["keys"] = source + token_strings(one.keys[one.source :], loaded.tokenizer)
    return made | {"source": one.source}


def _lens(lens: LogitLens, loaded: LoadedRun) -> dict[str, Any]:
    layers, positions, count = lens.tokens.shape
    names = token_strings(lens.tokens.reshape(-1), loaded.tokenizer)
    rows = np.array(names, object).reshape(layers, positions, count).tolist()
    known = lens.targets >= 0
    targets = token_strings(np.maximum(lens.targets, 0), loaded.tokenizer)
    return {
        "queries": token_strings(lens.queries, loaded.tokenizer),
        "targets": [name if ok else None for name, ok in zip(targets, known, strict=True)],
        "tokens": rows,
        "probabilities": np.round(lens.probabilities.astype(np.float64), 4).tolist(),
        "losses": np.round(lens.losses, 4).tolist(),
        "loss": np.round(lens.loss, 4).tolist(),
    }


def _floats(array: np.ndarray) -> dict[str, str]:
    """float32 as base64; the key is one that no redaction reads."""
    return {"weights": base64.b64encode(array.astype("<f4").tobytes()).decode()}
