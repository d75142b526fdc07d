"""Encoder-decoder initialised from two checkpoints (BERT2BERT). Rothe et al. 2020.

The encoder comes from one checkpoint, the decoder from the other. An encoder used as the decoder
becomes causal and gets freshly initialised cross-attention. Parameters shared by both sides are
one array.
"""

from functools import cache
from typing import Any, Literal

import numpy as np

from fxformer.config.options import composed, option, plain
from fxformer.config.target import ConfigError, locate
from fxformer.hf.conversion_report import ReportLine
from fxformer.hf.convert import Arrays, Converted, Shapes, WeightMismatch
from fxformer.warmstart.checkpoint_source import HEADS, CheckpointSource
from fxformer.warmstart.config_references import referenced

Share = Literal["none", "embeddings", "all"]
RandomSides = Literal["none", "encoder", "decoder", "all"]
Model = dict[str, Any]
WORDS, SOURCE, CROSS = (
    "token_embedding/embedding",
    "source_embedding/embedding",
    "/cross_attention/",
)
PLAIN = "fxformer.nn.attention.MultiHeadAttention"
TABLE = {"_target_": "fxformer.nn.core.Embedding", "_partial_": True}


def encoder_decoder_model(
    encoder: CheckpointSource, decoder: CheckpointSource, share: Share, vocab_multiple: int
) -> Model:
    """The `model` node of the encoder-decoder, with references.

    Raises ConfigError if the two checkpoints cannot be combined.
    """
    for side, source in (("encoder", encoder), ("decoder", decoder)):
        if source.resolved_model.get("embedding", TABLE).get("_target_") != TABLE["_target_"]:
            raise ConfigError(
                f"warm_start.{side}: {source.folder.name} has several token embedding tables "
                "(adaptive input), which an encoder-decoder does not support: choose a model with "
                "one table (BERT, GPT-2, BART …)"
            )
    reads, writes = _encoder(encoder), _decoder(decoder)
    if reads["dim"] != writes["dim"]:
        raise ConfigError(
            f"warm_start.encoder has width {reads['dim']} and warm_start.decoder width "
            f"{writes['dim']}: choose two checkpoints of the same width"
        )
    taken = ("network", "encoder", "decoder", "sequence_head", "token_head")
    kept = {k: v for k, v in decoder.resolved_model.items() if k not in taken}
    body = {"embedding": TABLE} | kept
    network = _seq2seq()["network"] | {
        "encoder": reads,
        "decoder": writes,
        "embedding": TABLE,
        "head": _head(decoder),
        "task_heads": {},
        "source_vocab": source_vocab_rows(encoder) if share == "none" else None,
        "tie_encoder_decoder": share == "all",
        "vocab_multiple": vocab_multiple,
    }
    if share != "none" and _width(reads) != _width(writes):
        raise ConfigError(
            f"warm_start.share={share}: the encoder's token embeddings have width "
            f"{_width(reads)}, the decoder's {_width(writes)}; write warm_start.share=none"
        )
    return referenced(
        {
            **_seq2seq(),
            **body,
            "task_head": {},
            "head": network["head"],
            "encoder": reads,
            "decoder": writes,
            "network": network,
        }
    )


def encoder_decoder_weights(
    encoder: CheckpointSource,
    decoder: CheckpointSource,
    shapes: Shapes,
    share: Share,
    prefer: str | None,
    random: RandomSides = "none",
) -> Converted:
    """({path: array} for the encoder-decoder, conversion report).

    prefer: the side whose values initialise a shared array when the two differ
    random: sides of which nothing is read; a shared embedding comes from the other
    Raises WeightMismatch if a checkpoint is incomplete, or if the values of a shared array differ
    and `prefer` is None.
    """
    arrays, lines = {}, []
    for side, source in (("decoder", decoder), ("encoder", encoder)):
        if random in (side, "all"):
            continue
        names = _places(side, source, shapes, share)
        there = {name: shapes[path] for path, name in names.items()}
        found, report = source.load(there, _optional(side, source))
        ours = {name: path for path, name in names.items()}
        mine = {ours[name]: array for name, array in found.items()}
        both = mine.keys() & arrays.keys()
        _check_same(sorted(both), mine, arrays, share, prefer)
        kept = arrays if prefer != "encoder" else {}
        arrays |= {path: array for path, array in mine.items() if path not in kept}
        lines += [_line(line, ours, both, side) for line in report if line.status != "fresh"]
    lines += [ReportLine("fresh", "", path, shapes[path]) for path in shapes if path not in arrays]
    return {path: arrays[path] for path in shapes if path in arrays}, lines


def check_encoder_decoder(
    encoder: CheckpointSource,
    decoder: CheckpointSource,
    shapes: Shapes,
    share: Share,
    prefer: str | None,
) -> None:
    """Raise what `encoder_decoder_weights` would; reads weights only if some are shared."""
    for side, source in (("decoder", decoder), ("encoder", encoder)):
        names = _places(side, source, shapes, share)
        try:
            source.check({n: shapes[p] for p, n in names.items()}, _optional(side, source))
        except WeightMismatch as error:
            raise WeightMismatch(f"warm_start.{side}: {error}") from None
    if share != "none" and prefer is None:
        encoder_decoder_weights(encoder, decoder, shapes, share, prefer)


def source_vocab_rows(encoder: CheckpointSource) -> int:
    """Number of rows of the embedding table that the encoder reads."""
    return encoder.resolved_model["network"].get("source_vocab") or encoder.vocab_rows


def _encoder(source: CheckpointSource) -> Model:
    """The encoder stack of an encoder or of an encoder-decoder."""
    node = source.resolved_model.get("encoder")
    if node is None or node.get("causal"):
        raise ConfigError(
            f"warm_start.encoder: {source.folder.name} is a decoder (causal): choose an encoder "
            "(BERT, RoBERTa …) or an encoder-decoder, of which the encoder is used"
        )
    return node


def _decoder(source: CheckpointSource) -> Model:
    """The decoder stack; that of an encoder becomes causal."""
    node = source.resolved_model.get("decoder") or source.resolved_model["encoder"] | {
        "causal": True
    }
    if node.get("convolution") is not None:
        raise ConfigError(
            f"warm_start.decoder: {source.folder.name} has a convolution, which is not causal: "
            "choose a model without one (BERT, RoBERTa, a decoder, an encoder-decoder)"
        )
    attention = node.get("attention") or {}
    if _single(source) and attention.get("_target_", PLAIN) != PLAIN:
        # relative positions between two texts have no meaning
        node = node | {"cross_attention": option("model/attention", "multihead")}
    return node


def _head(source: CheckpointSource) -> Model:
    """The decoder's language-model head; the default head of its architecture if it has none."""
    head = source.resolved_model["head"]
    if hasattr(locate(head["_target_"]), "output_matrix"):
        return head
    if "decoder" not in source.model:
        return option("model/head", "mlm")
    alike = _width(_decoder(source)) == source.resolved_model["dim"]
    return option("model/head", "tied" if alike else "untied")


def _places(side: str, source: CheckpointSource, shapes: Shapes, share: Share) -> dict[str, str]:
    """{path in the encoder-decoder: path in the source} of the arrays from one side."""
    there, names = "transformer/" if _single(source) else f"{side}/", {}
    fresh = CROSS if _single(source) or side == "encoder" else "\0"
    here = "decoder/" if share == "all" else f"{side}/"  # shared stacks are stored under decoder/
    for path in shapes:
        if path.startswith(here) and fresh not in path:
            names[path] = there + path.removeprefix(here)
        elif side == "decoder" and (path == WORDS or path.startswith(HEADS)):
            names[path] = path
    if side == "encoder":
        own = (
            not _single(source) and source.resolved_model["network"].get("source_vocab") is not None
        )
        names[SOURCE if share == "none" else WORDS] = SOURCE if own else WORDS
    return names


def _optional(side: str, source: CheckpointSource) -> tuple[str, ...]:
    """Path prefixes of a source that this side does not use."""
    if _single(source):
        return HEADS
    other = "encoder/" if side == "decoder" else "decoder/"
    return (*HEADS, other, "source_embedding/" if side == "decoder" else WORDS)


def _check_same(both: list[str], one: Arrays, other: Arrays, share: Share, prefer) -> None:
    differ = [path for path in both if not np.array_equal(one[path], other[path])]
    if differ and prefer is None:
        raise WeightMismatch(
            f"warm_start.share={share}: {len(differ)} of {len(both)} shared arrays differ between "
            f"the two checkpoints (first: {differ[0]}); write warm_start.share=none, "
            "warm_start.prefer=encoder or decoder, or use one checkpoint for both"
        )


def _line(line: ReportLine, ours: dict[str, str], both: set[str], side: str) -> ReportLine:
    """A line of one source's report with the paths of the encoder-decoder."""
    paths = [ours.get(path, path) for path in line.path.split(", ")]
    status = "shared" if side == "encoder" and set(paths) & both else line.status
    return ReportLine(status, f"{side}: {line.tensor}", ", ".join(paths), line.shape, line.layers)


def _single(source: CheckpointSource) -> bool:
    """Whether the model has one stack (encoder or decoder only)."""
    return "transformer" in source.model["network"]


def _width(stack: Model) -> int:
    """Width of the token embeddings of a stack."""
    stack = stack.get("transformer", stack)
    return stack["input"].get("width") or stack["dim"]


@cache
def _seq2seq() -> Model:
    return plain(composed(None, ["+model=seq2seq"]).model)
