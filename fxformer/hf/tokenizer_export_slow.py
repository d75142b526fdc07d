"""Tokenizers without a tokenizer.json, as the vocabulary files that transformers' classes read."""

import json
from pathlib import Path
from typing import Any

from fxformer.data.language_codes import M2M100
from fxformer.data.tokenizer import Tokenizer
from fxformer.data.tokenizer_families import CtrlTokenizer
from fxformer.data.tokenizer_marian import (
    SOURCE_MODEL,
    TARGET_MODEL,
    TARGET_VOCAB,
    VOCAB,
    MarianTokenizer,
)
from fxformer.data.tokenizer_sentencepiece_variants import VariedSentencePiece

# The template of our own that each class of transformers has fixed; None: another one.
TEMPLATES = {
    "AlbertTokenizer": "{bos} {text} {eos}",
    "DebertaV2Tokenizer": "{bos} {text} {eos}",
    "CTRLTokenizer": "{text}",
    "MarianTokenizer": "{text} {eos}",
    "M2M100Tokenizer": None,
}


def write_slow_tokenizer(tokenizer: Tokenizer, folder: Path) -> list[str]:
    """Write the vocabulary and the settings of a tokenizer; the names of the files, [] for one
    that no class of transformers reads."""
    if isinstance(tokenizer, MarianTokenizer):
        files, settings = _marian(tokenizer)
    elif isinstance(tokenizer, CtrlTokenizer):
        files, settings = tokenizer.files(), _named("CTRLTokenizer", tokenizer, "unk")
    elif isinstance(tokenizer, VariedSentencePiece) and tokenizer.variation.family in FAMILIES:
        files, settings = FAMILIES[tokenizer.variation.family](tokenizer)
    else:
        return []
    files["tokenizer_config.json"] = _json(settings)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return list(files)


def template_caveat(tokenizer: Tokenizer, folder: Path) -> str | None:
    """A warning where the class that reads an exported tokenizer puts other special tokens around
    a text than the model was trained with; None where it does not."""
    settings = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))
    name = settings["tokenizer_class"]
    if name not in TEMPLATES or TEMPLATES[name] == " ".join(tokenizer.template.split()):
        return None
    return (
        f"transformers' {name} puts its own special tokens around a text, and this model was "
        f"trained with {tokenizer.template!r}: encode with add_special_tokens=False and add them"
    )


Files = tuple[dict[str, bytes], dict[str, Any]]


def _albert(tokenizer: VariedSentencePiece) -> Files:
    steps = tokenizer.variation.steps
    settings = {
        "do_lower_case": "lower" in steps,
        "remove_space": "squeeze" in steps,
        "keep_accents": "accents" not in steps,
    }
    named = _named("AlbertTokenizer", tokenizer, "pad", "unk", "bos", "eos", "mask", cls=True)
    return {"spiece.model": tokenizer.model, **_added(tokenizer)}, named | settings


def _deberta(tokenizer: VariedSentencePiece) -> Files:
    named = _named("DebertaV2Tokenizer", tokenizer, "pad", "unk", "bos", "eos", "mask", cls=True)
    files = {"spm.model": tokenizer.model, **_added(tokenizer)}
    return files, named | {"do_lower_case": "lower" in tokenizer.variation.steps}


def _m2m100(tokenizer: VariedSentencePiece) -> Files:
    """The languages follow the vocabulary by themselves."""
    marks = {f"__{code}__" for code in M2M100}
    vocab = {name: i for i, name in enumerate(tokenizer.pieces) if name and name not in marks}
    files = {"sentencepiece.bpe.model": tokenizer.model, VOCAB: _json(vocab)}
    return files, _named("M2M100Tokenizer", tokenizer, "pad", "unk", "bos", "eos")


def _marian(tokenizer: MarianTokenizer) -> Files:
    source = tokenizer.of_source
    assert isinstance(source, MarianTokenizer)
    files = {SOURCE_MODEL: source.model, TARGET_MODEL: tokenizer.model, VOCAB: _json(source.vocab)}
    settings: dict[str, Any] = {"separate_vocabs": source.vocab != tokenizer.vocab}
    if settings["separate_vocabs"]:
        files[TARGET_VOCAB] = _json(tokenizer.vocab)
    return files, _named("MarianTokenizer", tokenizer, "pad", "unk", "eos") | settings


FAMILIES = {"albert": _albert, "deberta-v2": _deberta, "m2m_100": _m2m100}


def _named(kind: str, tokenizer: Tokenizer, *slots: str, cls: bool = False) -> dict[str, Any]:
    """tokenizer_config.json with the names of these special tokens.

    cls: bos and eos are also cls and sep
    """
    found: dict[str, Any] = {"tokenizer_class": kind, "clean_up_tokenization_spaces": False}
    for slot in slots:
        at = getattr(tokenizer.ids, slot)
        name = None if at is None else tokenizer.name_of(at)
        found[f"{slot}_token"] = name
        if cls and slot in ("bos", "eos"):
            found[{"bos": "cls_token", "eos": "sep_token"}[slot]] = name
    return found


def _added(tokenizer: VariedSentencePiece) -> dict[str, bytes]:
    """added_tokens.json with what follows the pieces of the model."""
    names = tokenizer.variation.names
    return {"added_tokens.json": _json(names)} if names else {}


def _json(content: dict[str, Any]) -> bytes:
    return (json.dumps(content, indent=2, ensure_ascii=False) + "\n").encode()
