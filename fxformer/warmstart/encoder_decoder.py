"""An encoder-decoder out of two models that exist. Rothe et al. 2020 (BERT2BERT and its kin).

The encoder is that of the one, the decoder that of the other, which may be an encoder too: it
turns causal and looks at the memory with an attention that begins afresh. What both sides share
is one array.
"""

from functools import cache
from typing import Any, Literal

import numpy as np

from fxformer.config.options import composed, option, plain
from fxformer.config.target import ConfigError, locate
from fxformer.hf.canonical_config import WORDS as TABLE
from fxformer.hf.conversion_report import Line
from fxformer.hf.convert import Arrays, Shapes, WeightMismatch
from fxformer.warmstart.checkpoint_source import HEADS, Origin
from fxformer.warmstart.config_references import referenced

Share = Literal["none", "embeddings", "all"]
Model = dict[str, Any]
WORDS, SOURCE, CROSS = "words/embedding", "source_words/embedding", "/cross/"
PLAIN = "fxformer.nn.attention.MultiHeadAttention"


def model_of_two(encoder: Origin, decoder: Origin, share: Share, vocab_multiple: int) -> Model:
    """The `model` node of the two, with references. ConfigError where they cannot be one model."""
    for side, origin in (("encoder", encoder), ("decoder", decoder)):
        if origin.settled.get("words", TABLE).get("_target_") != TABLE["_target_"]:
            raise ConfigError(
                f"init.{side}: {origin.place.name} has word vectors in several tables, which an "
                "encoder-decoder has not: take a model with one (BERT, GPT-2, BART …)"
            )
    reads, writes = _encoder(encoder), _decoder(decoder)
    if reads["dim"] != writes["dim"]:
        raise ConfigError(
            f"init.encoder gives vectors {reads['dim']} wide and init.decoder is {writes['dim']} "
            "wide: take two checkpoints of one width"
        )
    taken = ("network", "encoder", "decoder")
    body = {"words": TABLE} | {k: v for k, v in decoder.settled.items() if k not in taken}
    network = _seq2seq()["network"] | {
        "encoder": reads,
        "decoder": writes,
        "words": TABLE,
        "head": _head(decoder),
        "classifiers": {},
        "source_vocab": source_rows(encoder) if share == "none" else None,
        "tie_stacks": share == "all",
        "vocab_multiple": vocab_multiple,
    }
    if share != "none" and _width(reads) != _width(writes):
        raise ConfigError(
            f"init.share={share}: the encoder's word vectors are {_width(reads)} wide, the "
            f"decoder's {_width(writes)}; write init.share=none"
        )
    return referenced(
        {
            **_seq2seq(),
            **body,
            "classifiers": {},
            "head": network["head"],
            "encoder": reads,
            "decoder": writes,
            "network": network,
        }
    )


def weights_of_two(
    encoder: Origin, decoder: Origin, shapes: Shapes, share: Share, prefer: str | None
) -> tuple[Arrays, list[Line]]:
    """Arrays by path in the model of the two, and the bill of materials.

    prefer: whose numbers a shared array begins with, where the two differ
    Raises WeightMismatch where one is not whole, or a shared array would begin as two.
    """
    arrays, lines = {}, []
    for side, origin in (("decoder", decoder), ("encoder", encoder)):
        names = _places(side, origin, shapes, share)
        there = {name: shapes[path] for path, name in names.items()}
        found, bill = origin.load(there, _spare(side, origin))
        ours = {name: path for path, name in names.items()}
        mine = {ours[name]: array for name, array in found.items()}
        both = mine.keys() & arrays.keys()
        _check_same(sorted(both), mine, arrays, share, prefer)
        kept = arrays if prefer != "encoder" else {}
        arrays |= {path: array for path, array in mine.items() if path not in kept}
        lines += [_line(line, ours, both, side) for line in bill if line.what != "fresh"]
    lines += [Line("fresh", "", path, shapes[path]) for path in shapes if path not in arrays]
    return {path: arrays[path] for path in shapes if path in arrays}, lines


def check_of_two(
    encoder: Origin, decoder: Origin, shapes: Shapes, share: Share, prefer: str | None
) -> None:
    """Raise what `weights_of_two` would. Weights are read only where both sides share some."""
    for side, origin in (("decoder", decoder), ("encoder", encoder)):
        names = _places(side, origin, shapes, share)
        try:
            origin.check({n: shapes[p] for p, n in names.items()}, _spare(side, origin))
        except WeightMismatch as error:
            raise WeightMismatch(f"init.{side}: {error}") from None
    if share != "none" and prefer is None:
        weights_of_two(encoder, decoder, shapes, share, prefer)


def source_rows(encoder: Origin) -> int:
    """Rows of the table that an encoder's words are in."""
    return encoder.settled["network"].get("source_vocab") or encoder.rows


def _encoder(origin: Origin) -> Model:
    """The stack of an encoder, or of a seq2seq model's encoder."""
    node = origin.settled.get("encoder")
    if node is None or node.get("causal"):
        raise ConfigError(
            f"init.encoder: {origin.place.name} is a decoder, which has learned to see no later "
            "token: take an encoder (BERT, RoBERTa …) or a seq2seq model (its encoder)"
        )
    return node


def _decoder(origin: Origin) -> Model:
    """The stack of a decoder; an encoder's turns causal."""
    node = origin.settled.get("decoder") or origin.settled["encoder"] | {"causal": True}
    if node.get("local") is not None:
        raise ConfigError(
            f"init.decoder: {origin.place.name} has a convolution, which sees later tokens: take "
            "a model without one (BERT, RoBERTa, a decoder, a seq2seq model)"
        )
    attention = node.get("attention") or {}
    if _single(origin) and attention.get("_target_", PLAIN) != PLAIN:
        # distances to another text say nothing
        node = node | {"memory_attention": option("model/attention", "multihead")}
    return node


def _head(origin: Origin) -> Model:
    """The decoder's head; where it is none over words, the one its kind has."""
    head = origin.settled["head"]
    if hasattr(locate(head["_target_"]), "table"):
        return head
    if "decoder" not in origin.model:
        return option("model/head", "mlm")
    alike = _width(_decoder(origin)) == origin.settled["dim"]
    return option("model/head", "tied" if alike else "untied")


def _places(side: str, origin: Origin, shapes: Shapes, share: Share) -> dict[str, str]:
    """{path here: its name in the origin} of what one side gives."""
    there, names = "transformer/" if _single(origin) else f"{side}/", {}
    fresh = CROSS if _single(origin) or side == "encoder" else "\0"
    here = "decoder/" if share == "all" else f"{side}/"  # one set of arrays, under this name
    for path in shapes:
        if path.startswith(here) and fresh not in path:
            names[path] = there + path.removeprefix(here)
        elif side == "decoder" and (path == WORDS or path.startswith(HEADS)):
            names[path] = path
    if side == "encoder":
        own = not _single(origin) and origin.settled["network"].get("source_vocab") is not None
        names[SOURCE if share == "none" else WORDS] = SOURCE if own else WORDS
    return names


def _spare(side: str, origin: Origin) -> tuple[str, ...]:
    """What of an origin this side has no use for."""
    if _single(origin):
        return HEADS
    other = "encoder/" if side == "decoder" else "decoder/"
    return (*HEADS, other, "source_words/" if side == "decoder" else WORDS)


def _check_same(both: list[str], one: Arrays, other: Arrays, share: Share, prefer) -> None:
    differ = [path for path in both if not np.array_equal(one[path], other[path])]
    if differ and prefer is None:
        raise WeightMismatch(
            f"init.share={share}: {len(differ)} of {len(both)} shared arrays differ in the two "
            f"checkpoints, {differ[0]} first, and one array cannot begin as both; write "
            "init.share=none, init.prefer=encoder or decoder, or one checkpoint for both"
        )


def _line(line: Line, ours: dict[str, str], both: set[str], side: str) -> Line:
    """A line of one origin's bill, in the words of the two."""
    paths = [ours.get(path, path) for path in line.path.split(", ")]
    what = "shared" if side == "encoder" and set(paths) & both else line.what
    return Line(what, f"{side}: {line.file}", ", ".join(paths), line.shape, line.layers)


def _single(origin: Origin) -> bool:
    """Whether it is one stack."""
    return "transformer" in origin.model["network"]


def _width(stack: Model) -> int:
    """Of the word vectors a stack reads."""
    stack = stack.get("transformer", stack)
    return stack["embed"].get("width") or stack["dim"]


@cache
def _seq2seq() -> Model:
    return plain(composed(None, ["+model=seq2seq"]).model)
