"""Forward pass with the input and output names of transformers, for parity tests."""

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from flax import nnx
from jaxtyping import Array

from fxformer.batch import Batch
from fxformer.hf.published_model import PublishedModel
from fxformer.model.ngram import NgramDecoder
from fxformer.nn.head import ReplacedTokenHead

# transformers' names for outputs of task heads
OUTPUT_NAMES = {
    "next_sentence": "seq_relationship_logits",
    "classification": "logits",
    "multiple_choice": "logits",
    "token_classification": "logits",
    "pooler": "pooler_output",
}


def batch_of(published: PublishedModel, inputs: dict[str, np.ndarray], *, seq2seq: bool) -> Batch:
    """Keyword inputs of transformers as a Batch. Padding has segment 0.

    An encoder-decoder without decoder_input_ids gets its own input shifted right, as for the
    classification heads of BART and T5.
    """
    ids = _int(inputs["input_ids"])
    mask = _int(inputs.get("attention_mask", np.ones_like(ids)))
    chosen = inputs.get("global_attention_mask")
    chosen = None if chosen is None else np.asarray(chosen) > 0
    if not seq2seq:
        return Batch(
            ids,
            mask,
            types=None if "token_type_ids" not in inputs else _int(inputs["token_type_ids"]),
            positions=_positions(published, inputs, ids),
            global_tokens=chosen,
        )
    if "decoder_input_ids" in inputs:
        tokens = _int(inputs["decoder_input_ids"])
        segments = _int(inputs.get("decoder_attention_mask", np.ones_like(tokens)))
    else:
        start = published.config["decoder_start_token_id"]
        tokens = np.concatenate([np.full_like(ids[:, :1], start), ids[:, :-1]], axis=1)
        segments = mask
    return Batch(tokens, segments, source=ids, source_segments=mask, global_tokens=chosen)


def run(published: PublishedModel, model: Any, inputs: dict[str, np.ndarray]) -> dict[str, Array]:
    """Logits, hidden states and outputs of task heads by transformers' names. float32.

    model: a LanguageModel or Seq2Seq
    inputs: [B, T]; for multiple choice [B, choices, T], whose hidden states are [B·choices, T, D]
    """
    graphdef, state = nnx.split(model)
    shape = np.shape(inputs["input_ids"])
    inputs = {name: np.reshape(array, (-1, array.shape[-1])) for name, array in inputs.items()}
    batch = batch_of(published, inputs, seq2seq=model.architecture == "seq2seq")
    names = {**OUTPUT_NAMES, **published.family.output_names}
    made = jax.jit(lambda state, batch: _outputs(nnx.merge(graphdef, state), batch, names))
    found = made(state, batch)
    if len(shape) == 3:
        found["logits"] = found["logits"].reshape(shape[:2])
    return found


def _outputs(model: Any, batch: Batch, names: Mapping[str, str]) -> dict[str, Array]:
    if model.architecture == "seq2seq":
        encoder, states = model.hidden_states(batch)
        found = {
            "encoder_last_hidden_state": encoder[-1],
            "encoder_hidden_states": encoder,
            "decoder_hidden_states": states,
        }
    else:
        states = model.hidden_states(batch)
        found = {"hidden_states": states}
    found["last_hidden_state"] = states[-1]
    if hasattr(model.head, "score"):
        decoder = model.decoder if model.architecture == "seq2seq" else model.transformer
        streams = isinstance(decoder, NgramDecoder)
        found["logits"] = model.logits(model(batch) if streams else states[-1])
    elif isinstance(model.head, ReplacedTokenHead):
        found["logits"] = model.head(states[-1])
    for name, head in model.task_heads.items():
        made = head(states[-1], batch.segments)
        if name == "span":
            found["start_logits"], found["end_logits"] = made[..., 0], made[..., 1]
        else:
            found[names[name]] = made
        if name == "next_sentence":
            found["pooler_output"] = head.pooled(states[-1], batch.segments)
    return found


def _positions(published: PublishedModel, inputs: dict, ids: np.ndarray) -> np.ndarray | None:
    if "position_ids" in inputs:
        return _int(inputs["position_ids"])
    if published.family.positions == "segments":
        return None
    return np.broadcast_to(np.arange(ids.shape[1], dtype=np.int32), ids.shape)


def _int(array) -> np.ndarray:
    return np.asarray(array, np.int32)
