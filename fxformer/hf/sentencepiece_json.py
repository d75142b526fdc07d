"""A SentencePiece model as a tokenizer.json, as fast readers want it; tried out before it is given.

The model file is a protocol buffer of which a few fields matter; they are read here, so that
neither its schema nor a library for it is needed.
"""

from collections.abc import Iterator
from typing import Any

from fxformer.errors import UserError

UNIGRAM, BPE = 1, 2
MOST_SPACES = 1_000_000  # at the beginning of a decoded text
NORMAL, UNKNOWN, CONTROL, USER, BYTE = 1, 2, 3, 4, 6
PROBES = (
    "Hello  world!",
    " two words ",
    "naïve café — £5 ½",
    "日本語のテキスト 東京都",
    "a\tb\nc",
    "ﬁne №5 ＡＢＣ",
    "😀 done",
    "1,000,000 x_y",
    "",
)


def tokenizer_json(model: bytes, added: list[str], moved: dict[str, int] | None = None):
    """A tokenizers.Tokenizer that encodes and decodes as the SentencePiece model does; None where
    it would not.

    added: names of special tokens whose ids follow the model's own
    moved: {piece or special token: id} of a family whose ids are not those of the model
    """
    import sentencepiece

    parts = dict_of(model)
    fast = _built(parts if moved is None else _moved(parts, moved), added)
    if fast is None:
        return None
    slow = sentencepiece.SentencePieceProcessor(model_proto=model)
    for text in PROBES:
        ids = slow.encode(text)
        if moved is not None:
            unknown = slow.id_to_piece(slow.unk_id())
            ids = [moved.get(slow.id_to_piece(i), moved[unknown]) for i in ids]
        if fast.encode(text, add_special_tokens=False).ids != ids:
            return None
        own = slow.encode(text)
        if any(map(slow.is_unknown, own)):
            continue  # each shows those in its own way
        if fast.decode(ids, skip_special_tokens=False) != slow.decode(own):
            return None
    return fast


def _moved(parts: dict[str, Any], ids: dict[str, int]) -> dict[str, Any]:
    """The parts with each piece at its id; ids without a piece are control tokens."""
    known = {text: (text, score, kind) for text, score, kind in parts["pieces"]}
    names = {i: name for name, i in ids.items()}
    pieces = []
    for i in range(max(names) + 1):
        name = names.get(i, f"<added_{i}>")
        pieces.append(known.get(name, (name, 0.0, CONTROL)))
    ranks = {text: rank for rank, (text, _, _) in enumerate(parts["pieces"])}
    return parts | {"pieces": pieces, "ranks": ranks}


def _built(parts: dict[str, Any], added: list[str]):
    """The Tokenizer; None for a kind of model that the library has no counterpart of."""
    from tokenizers import AddedToken, Tokenizer, models

    pieces, kind = parts["pieces"], parts["kind"]
    unknown = next((i for i, piece in enumerate(pieces) if piece[2] == UNKNOWN), 0)
    spelled = parts["byte_fallback"]
    if kind == UNIGRAM:
        scored = [(text, score) for text, score, _ in pieces]
        model = models.Unigram(scored, unk_id=unknown, byte_fallback=spelled)
    elif kind == BPE:
        vocab = {text: i for i, (text, _, _) in enumerate(pieces)}
        name = pieces[unknown][0]
        ranks = {piece: rank for piece, rank in parts.get("ranks", vocab).items() if piece in vocab}
        model = models.BPE(
            vocab, merges_of(ranks), unk_token=name, fuse_unk=True, byte_fallback=spelled
        )
    else:
        return None
    fast = Tokenizer(model)
    fast.normalizer, split = _spaces(parts)
    if split is not None:
        fast.pre_tokenizer = split
    fast.decoder = _decoder(parts)
    marks = [text for text, _, kind in pieces if kind in (UNKNOWN, CONTROL)]
    fast.add_special_tokens([AddedToken(m, special=True, normalized=False) for m in marks])
    fast.add_special_tokens([AddedToken(m, special=True, normalized=False) for m in added])
    fast.encode_special_tokens = True
    return fast


def _spaces(parts: dict[str, Any]):
    """(normaliser, pre-tokenizer): what becomes of a text, above all of its spaces.

    Where spaces are kept as they are, a mark is put even before a leading space, which Metaspace
    does not do.
    """
    from tokenizers import Regex, normalizers, pre_tokenizers

    steps = [normalizers.Precompiled(parts["charsmap"])] if parts["charsmap"] else []
    if parts["squeeze"]:
        ends = normalizers.Replace(Regex(r"\A +| +\z"), "")  # spaces, not every white space
        steps += [ends, normalizers.Replace(Regex(" {2,}"), " ")]
        scheme = "always" if parts["prefix"] else "never"
        split = parts["kind"] == UNIGRAM
        return normalizers.Sequence(steps), pre_tokenizers.Metaspace("▁", scheme, split)
    steps += [normalizers.Prepend("▁")] if parts["prefix"] else []
    return normalizers.Sequence([*steps, normalizers.Replace(" ", "▁")]), None


def _decoder(parts: dict[str, Any]):
    """Spaces, then bytes, then one text, at whose beginning spaces are removed as SentencePiece
    does: all of them where encoding removes them, otherwise the one that encoding puts there.

    Spaces come first because they are looked for token by token, and a fused text is one token.
    """
    from tokenizers import decoders

    steps = [decoders.Replace("▁", " ")]
    steps += [decoders.ByteFallback()] if parts["byte_fallback"] else []
    steps += [decoders.Fuse()]
    removed = MOST_SPACES if parts["squeeze"] else int(parts["prefix"])
    return decoders.Sequence([*steps, decoders.Strip(" ", removed, 0)] if removed else steps)


def merges_of(vocab: dict[str, int]) -> list[tuple[str, str]]:
    """The pairs that make each piece out of two others, in the order of the pieces made.

    Ids of a SentencePiece BPE rank its merges; of several ways to make a piece the one of the
    likelier halves comes first.
    """
    found = []
    for piece, rank in vocab.items():
        halves = [(piece[:n], piece[n:]) for n in range(1, len(piece))]
        known = [pair for pair in halves if pair[0] in vocab and pair[1] in vocab]
        found += [(rank, vocab[a], vocab[b], a, b) for a, b in known]
    return [(a, b) for *_, a, b in sorted(found)]


def dict_of(model: bytes) -> dict[str, Any]:
    """The fields of a model file that decide how it encodes.

    Field numbers are those of sentencepiece_model.proto.
    """
    parts: dict[str, Any] = {"pieces": [], "kind": UNIGRAM, "byte_fallback": False}
    parts |= {"charsmap": b"", "prefix": True, "squeeze": True}
    for number, value in fields(model):
        if number == 1:
            own = dict(fields(value))
            parts["pieces"].append((own[1].decode(), _float(own.get(2)), own.get(3, NORMAL)))
        elif number == 2:
            own = dict(fields(value))
            parts |= {"kind": own.get(3, UNIGRAM), "byte_fallback": bool(own.get(35, 0))}
        elif number == 3:
            own = dict(fields(value))
            parts |= {"charsmap": own.get(2, b""), "prefix": bool(own.get(3, 1))}
            parts["squeeze"] = bool(own.get(4, 1))
    return parts


def fields(data: bytes) -> Iterator[tuple[int, Any]]:
    """(number, value) of a protocol buffer message: ints, or bytes. UserError for a bad one."""
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        number, wire = tag >> 3, tag & 7
        if wire == 0:
            value, at = _varint(data, at)
        elif wire in (1, 5):
            size = 8 if wire == 1 else 4
            value, at = data[at : at + size], at + size
        elif wire == 2:
            size, at = _varint(data, at)
            value, at = data[at : at + size], at + size
        else:
            raise UserError(f"no SentencePiece model: wire type {wire}")
        if at > len(data):
            raise UserError("no SentencePiece model: it ends too early")
        yield number, value


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while at < len(data):
        byte, at = data[at], at + 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
        shift += 7
    raise UserError("no SentencePiece model: it ends too early")


def _float(raw: bytes | None) -> float:
    import struct

    return 0.0 if raw is None else struct.unpack("<f", raw)[0]
