"""Tokenizers that others have trained: their usual files, recognised by name and by family."""

import dataclasses
import hashlib
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from fxformer import jsonl
from fxformer.data import tokenizer_families as published
from fxformer.data.special_tokens import SpecialIds, code_names
from fxformer.data.tokenizer import Tokenizer, is_saved, load
from fxformer.data.tokenizer_families import read_ctrl
from fxformer.data.tokenizer_fast import FastTokenizer, seal
from fxformer.data.tokenizer_marian import (
    SOURCE_MODEL,
    TARGET_MODEL,
    TARGET_VOCAB,
    MarianTokenizer,
    marian_files,
    marian_vocabularies,
)
from fxformer.data.tokenizer_sentencepiece import SentencePieceTokenizer
from fxformer.data.tokenizer_sentencepiece_variants import VariedSentencePiece, variation_of
from fxformer.data.tokenizer_settings import (
    FILES,
    Settings,
    check_unknown,
    check_vocabulary,
    guarded,
    settings_of,
)
from fxformer.errors import UserError
from fxformer.files import no_file
from fxformer.types import Natural

_KNOWN = {
    "pad": ("<pad>", "[PAD]"),
    "unk": ("<unk>", "[UNK]"),
    "bos": ("<s>", "[CLS]", "<bos>", "<|begin_of_text|>", "<|endoftext|>"),
    "eos": ("</s>", "[SEP]", "<eos>", "<|end_of_text|>", "<|endoftext|>"),
    "mask": ("<mask>", "[MASK]", "<mask_2>"),
}
_FORMS = ("tokenizer.json", "*.model", "vocab.json", "vocab.txt", "prophetnet.tokenizer")
T5_SENTINELS = 100  # where tokenizer_config.json does not say extra_ids


@dataclasses.dataclass(frozen=True, kw_only=True)
class File:
    """Recipe that reads a SentencePiece .model, tokenizer.json, BERT's vocab.txt, a vocab.json with
    merges or with Marian's two SentencePiece models, or a folder that holds one of them or a
    tokenizer saved by a run.

    What lies beside the file (config.json, tokenizer_config.json, special_tokens_map.json,
    added_tokens.json) says whose it is, how it is set and which tokens are special.

    merges: for vocab.json; None looks for merges.txt beside it
    lowercase: for vocab.txt; None: as tokenizer_config.json says, else unless it has capitals
    template: None puts bos and eos where the vocabulary has them
    added: names of special tokens to append to the vocabulary, e.g. a mask for masked LM
    sentinels: how many <extra_id_i> to append, counted downwards as T5 does
    codes: control codes to append; data.code gives them where none are named
    """

    path: str | None
    merges: str | None = None
    lowercase: bool | None = None
    template: str | None = None
    added: tuple[str, ...] = ()
    sentinels: Natural = 0
    codes: Sequence[str] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "codes", tuple(self.codes))
        object.__setattr__(self, "added", tuple(self.added))  # a list, where it comes from yaml

    def key(self) -> str:
        file = self._file()
        if is_saved(file.parent):
            return load(file.parent).hash
        more = ("merges.txt", "vocab.json", SOURCE_MODEL, TARGET_MODEL, TARGET_VOCAB)
        beside = [file.with_name(name) for name in (*FILES, *more)]
        paths = [file, *(p for p in beside if p.is_file() and p != file)]
        paths += [] if self.merges is None else [Path(self.merges)]
        digests = [hashlib.blake2b(p.read_bytes(), digest_size=16).hexdigest() for p in paths]
        told = [digests, self.lowercase, self.template, self.added, self.sentinels]
        return json.dumps(told + [self.codes] * bool(self.codes))

    def make(self, documents: Iterable[str]) -> Tokenizer:
        file = self._file()
        if is_saved(file.parent):
            return load(file.parent)
        settings = settings_of(file.parent)
        with guarded(f"tokenizer.path={file}"):
            if file.suffix == ".model":
                return self._sentencepiece(file, settings)
            if file.name == "vocab.json" and marian_files(file.parent):
                return self._marian(file.parent, settings)
            if file.suffix == ".json" and settings.family == "ctrl":
                vocab = self._listed(file)
                if vocab is not None:
                    return self._ctrl(file, vocab, settings)
            return self._made(self._fast(file, settings), settings)

    def _file(self) -> Path:
        if self.path is None:
            raise UserError("tokenizer.path is not given: e.g. tokenizer.path=tokenizer.json")
        path = Path(self.path).expanduser()
        if path.is_dir():
            if is_saved(path):
                return path / "saved"
            found = [file for form in _FORMS for file in sorted(path.glob(form))]
            if not found:
                raise UserError(f"tokenizer.path={path} holds none of {', '.join(_FORMS)}")
            return found[0]
        if not path.is_file():
            wrong = no_file(path) or "no such file or folder"
            raise UserError(f"tokenizer.path={path}: {wrong}")
        return path

    def _more(self) -> list[str]:
        """Names of the tokens that the recipe appends."""
        marks = [f"<extra_id_{i}>" for i in reversed(range(self.sentinels))]
        return [*self.added, *marks, *code_names(len(self.codes))]

    def _made(self, fast, settings: Settings) -> FastTokenizer:
        """A FastTokenizer with the tokens that are added to its vocabulary."""
        import tokenizers

        for name, (at, special) in settings.added.items():
            token = tokenizers.AddedToken(name, special=special, normalized=not special)
            (fast.add_special_tokens if special else fast.add_tokens)([token])
            _same_id(settings, name, at, fast.token_to_id(name))
        known = fast.get_vocab()
        stated = [name for name in settings.names().values() if name in known]
        marks = [name for name in known if name in sum(_KNOWN.values(), ())]
        text = seal(fast, [*dict.fromkeys(marks + stated), *self._more()])
        vocab = _vocab(json.loads(text))
        ids = self._detect(vocab, settings)
        made = FastTokenizer(text, ids, self._template(ids))
        check_unknown(made)
        return made

    def _sentencepiece(self, file: Path, settings: Settings) -> SentencePieceTokenizer:
        import sentencepiece

        settings.refuse(sp_model_kwargs=None)
        sp = sentencepiece.SentencePieceProcessor(model_file=str(file))
        pieces = [sp.id_to_piece(i) for i in range(len(sp))]
        varied = variation_of(file, pieces, settings)
        if varied is None:
            vocab = {name: i for i, name in enumerate(pieces)}
        else:
            own = range(len(pieces)) if varied.ids is None else varied.ids
            vocab = {name: i for name, i in zip(pieces, own, strict=True) if i >= 0} | varied.names
        size = max(vocab.values()) + 1
        for name in self._beside(vocab, settings):
            vocab[name], size = size, size + 1
        for name, (at, _) in settings.added.items():
            if vocab.setdefault(name, at) != at:
                _same_id(settings, name, at, vocab[name])
        check_vocabulary(str(file), vocab)
        ids = self._detect(vocab, settings)
        content, template = file.read_bytes(), self._template(ids)
        if varied is None:
            return SentencePieceTokenizer(content, ids, template)
        names = {**varied.names, **{n: i for n, i in vocab.items() if i >= len(pieces)}}
        if varied.ids is not None:
            names = {n: i for n, i in vocab.items() if n in varied.names or i not in varied.ids}
        return VariedSentencePiece(content, ids, template, dataclasses.replace(varied, names=names))

    def _beside(self, vocab: dict[str, int], settings: Settings) -> list[str]:
        """Tokens that follow those of a SentencePiece model: T5's sentinels and the recipe's."""
        more, marked = self._more(), "<extra_id_0>" in vocab or self.sentinels
        if settings.family not in ("t5", "mt5") or marked or settings.added:
            return more
        count = settings.values.get("extra_ids", T5_SENTINELS if settings.family == "t5" else 0)
        return [*(f"<extra_id_{i}>" for i in reversed(range(int(count)))), *more]

    def _ctrl(self, file: Path, vocab: dict[str, int], settings: Settings) -> Tokenizer:
        size = max(vocab.values()) + 1
        vocab = vocab | {name: size + i for i, name in enumerate(self._more())}
        ids = self._detect(vocab, settings)
        return read_ctrl(file, vocab, self._merges(file), ids, self._template(ids))

    def _marian(self, folder: Path, settings: Settings) -> Tokenizer:
        """The tokenizer of targets with that of sources; alone for a decoder without an encoder."""
        if self._more():
            raise UserError(
                f"tokenizer.path={folder}: tokens cannot be added to the tokenizer of a Marian "
                "model; leave out tokenizer.added, tokenizer.sentinels and tokenizer.codes"
            )
        made = []
        vocabularies = marian_vocabularies(folder, settings)
        for name, vocab in zip((SOURCE_MODEL, TARGET_MODEL), vocabularies, strict=True):
            ids = self._detect(vocab, settings)
            model = (folder / name).read_bytes()
            made.append(MarianTokenizer(model, vocab, ids, self._template(ids)))
        source, target = made
        if settings.model.get("is_encoder_decoder", True):
            target.source = source
        return target

    def _listed(self, file: Path) -> dict[str, int] | None:
        """The vocabulary of a vocab.json; None for a tokenizer.json. UserError for a bad one."""
        try:
            content = jsonl.value(file.read_text(encoding="utf-8"))
        except ValueError as problem:
            raise UserError(f"tokenizer.path={file} is not JSON: {problem}") from None
        if isinstance(content, dict) and isinstance(content.get("model"), dict):
            return None
        return check_vocabulary(str(file), content)

    def _fast(self, file: Path, settings: Settings):
        """The tokenizers.Tokenizer of a file."""
        import tokenizers

        if file.suffix in (".txt", ".tokenizer"):
            return published.wordpiece(file, settings, self.lowercase)
        vocab = self._listed(file)
        if vocab is None:
            card = json.loads(file.read_text(encoding="utf-8"))
            check_vocabulary(str(file), _vocab(card))
            return tokenizers.Tokenizer.from_str(published.adjusted(card, settings))
        return published.byte_pairs(file, vocab, self._merges(file), settings)

    def _merges(self, file: Path) -> Path:
        merges = Path(self.merges) if self.merges else file.with_name("merges.txt")
        if not merges.is_file():
            raise UserError(f"{file} needs its merges and {merges} is no file: tokenizer.merges=…")
        return merges

    def _detect(self, vocab: dict[str, int], settings: Settings) -> SpecialIds:
        names = zip(self.codes, code_names(len(self.codes)), strict=True)
        found = detect(vocab, settings)
        return dataclasses.replace(found, codes={code: vocab[name] for code, name in names})

    def _template(self, ids: SpecialIds) -> str:
        if self.template is not None:
            return self.template
        # GPT-2's one marker ends a text; in front of it, it would say nothing.
        begin = "{bos} " if ids.bos is not None and ids.bos != ids.eos else ""
        return begin + "{text}" + (" {eos}" if ids.eos is not None else "")


def detect(vocab: dict[str, int], settings: Settings | None = None) -> SpecialIds:
    """The special tokens of a vocabulary: as its settings name them, then by the ids of the model's
    config.json, then by the names in common use. UserError for a name that it does not have."""
    stated = {} if settings is None else settings.names()
    numbers = {} if settings is None else settings.ids()
    known = set(vocab.values())
    found: dict[str, Any] = {}
    for slot, names in _KNOWN.items():
        name = stated.get(slot)
        if name in vocab:
            found[slot] = vocab[name]
        elif (
            settings and name is not None and slot != "pad"
        ):  # a pad of its own is often added later
            raise UserError(
                f"{settings.folder}: the vocabulary has no {name!r}, which the "
                f"tokenizer's settings name as its {slot}"
            )
        elif slot in stated and slot != "pad":
            found[slot] = None
        elif numbers.get(slot) in known:
            found[slot] = numbers[slot]
        else:
            found[slot] = next((vocab[name] for name in names if name in vocab), None)
    sentinels, i = [], 0
    while (name := f"<extra_id_{i}>") in vocab:
        sentinels.append(vocab[name])
        i += 1
    spare = next((found[s] for s in ("pad", "eos", "bos", "unk") if found[s] is not None), 0)
    found["pad"] = spare
    return SpecialIds(**found, sentinels=tuple(sentinels))


def _same_id(settings: Settings, name: str, wanted: int, found: int) -> None:
    if wanted != found:
        raise UserError(
            f"{settings.folder}: {name!r} has the id {wanted} among the added tokens "
            f"and {found} in the vocabulary"
        )


def _vocab(card: dict) -> dict[str, int]:
    """Names and ids of a tokenizer.json, tokens added later included."""
    own = card["model"]["vocab"]
    own = dict(own) if isinstance(own, dict) else {name: i for i, (name, _) in enumerate(own)}
    return own | {token["content"]: token["id"] for token in card.get("added_tokens") or []}
