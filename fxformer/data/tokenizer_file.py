"""Tokenizers that others have trained: their usual files, recognised by name."""

import dataclasses
import hashlib
import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from fxformer import jsonl
from fxformer.data.specials import SpecialIds, code_names
from fxformer.data.tokenizer import Tokenizer, is_saved, load
from fxformer.data.tokenizer_fast import FastTokenizer, bert_style, seal
from fxformer.data.tokenizer_sentencepiece import SentencePieceTokenizer
from fxformer.files import no_file
from fxformer.types import Natural

_KNOWN = {
    "pad": ("<pad>", "[PAD]"),
    "unk": ("<unk>", "[UNK]"),
    "bos": ("<s>", "[CLS]", "<bos>", "<|endoftext|>"),
    "eos": ("</s>", "[SEP]", "<eos>", "<|endoftext|>"),
    "mask": ("<mask>", "[MASK]"),
}
_FORMS = ("tokenizer.json", "*.model", "vocab.json", "vocab.txt")


@dataclasses.dataclass(frozen=True, kw_only=True)
class File:
    """Recipe that reads a SentencePiece .model, tokenizer.json, BERT's vocab.txt, GPT-2's
    vocab.json with merges, or a folder that holds one of them or a tokenizer saved by a run.

    merges: for vocab.json; None looks for merges.txt beside it
    lowercase: for vocab.txt, which does not say it
    template: None puts bos and eos where the vocabulary has them
    added: names of special tokens to append to the vocabulary, e.g. a mask for masked LM
    sentinels: how many <extra_id_i> to append, counted downwards as T5 does
    codes: control codes to append; data.code gives them where none are named
    """

    path: str | None
    merges: str | None = None
    lowercase: bool = True
    template: str | None = None
    added: tuple[str, ...] = ()
    sentinels: Natural = 0
    codes: Sequence[str] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "codes", tuple(self.codes))
        object.__setattr__(self, "added", tuple(self.added))  # a list, where it comes from yaml

    def key(self) -> str:
        paths = [self._file()] + ([] if self.merges is None else [Path(self.merges)])
        if is_saved(paths[0].parent):
            return load(paths[0].parent).hash
        digests = [hashlib.blake2b(p.read_bytes(), digest_size=16).hexdigest() for p in paths]
        told = [digests, self.lowercase, self.template, self.added, self.sentinels]
        return json.dumps(told + [self.codes] * bool(self.codes))

    def make(self, documents: Iterable[str]) -> Tokenizer:
        file = self._file()
        if is_saved(file.parent):
            return load(file.parent)
        more = [*self.added, *(f"<extra_id_{i}>" for i in reversed(range(self.sentinels)))]
        more += code_names(len(self.codes))
        try:
            if file.suffix == ".model":
                return self._sentencepiece(file, more)
            text = seal(self._fast(file), more)
        except (OSError, ValueError):
            raise
        except Exception as problem:  # both libraries raise bare Exceptions for damaged files
            raise ValueError(f"tokenizer.path={file} cannot be read: {problem}") from problem
        vocab = _vocab(json.loads(text))
        ids = self._detect(vocab)
        return FastTokenizer(text, ids, self._template(ids))

    def _file(self) -> Path:
        if self.path is None:
            raise ValueError("tokenizer.path is not given: e.g. tokenizer.path=tokenizer.json")
        path = Path(self.path).expanduser()
        if path.is_dir():
            if is_saved(path):
                return path / "saved"
            found = [file for form in _FORMS for file in sorted(path.glob(form))]
            if not found:
                raise ValueError(f"tokenizer.path={path} holds none of {', '.join(_FORMS)}")
            return found[0]
        if not path.is_file():
            wrong = no_file(path) or "is no file or folder"
            raise ValueError(f"tokenizer.path={path}: {wrong}")
        return path

    def _sentencepiece(self, file: Path, more: list[str]) -> SentencePieceTokenizer:
        import sentencepiece

        sp = sentencepiece.SentencePieceProcessor(model_file=str(file))
        names = [sp.id_to_piece(i) for i in range(len(sp))] + more
        ids = self._detect({name: i for i, name in enumerate(names)})
        return SentencePieceTokenizer(file.read_bytes(), ids, self._template(ids))

    def _fast(self, file: Path):
        import tokenizers

        if file.name == "vocab.txt" or file.suffix == ".txt":
            lines = file.read_text(encoding="utf-8").split("\n")
            vocab = {line.rstrip("\r"): i for i, line in enumerate(lines) if line}
            return _bert(vocab, self.lowercase)
        try:
            content = jsonl.parse(file.read_text(encoding="utf-8"))
        except ValueError as problem:
            raise ValueError(f"tokenizer.path={file} is not JSON: {problem}") from None
        if "model" in content and isinstance(content["model"], dict):
            return tokenizers.Tokenizer.from_file(str(file))
        merges = Path(self.merges) if self.merges else file.with_name("merges.txt")
        if not merges.is_file():
            raise ValueError(f"{file} needs its merges and {merges} is no file: tokenizer.merges=…")
        return _byte_level(content, merges)

    def _detect(self, vocab: dict[str, int]) -> SpecialIds:
        names = zip(self.codes, code_names(len(self.codes)), strict=True)
        return dataclasses.replace(detect(vocab), codes={code: vocab[name] for code, name in names})

    def _template(self, ids: SpecialIds) -> str:
        if self.template is not None:
            return self.template
        # GPT-2's one marker ends a text; in front of it, it would say nothing.
        begin = "{bos} " if ids.bos is not None and ids.bos != ids.eos else ""
        return begin + "{text}" + (" {eos}" if ids.eos is not None else "")


def detect(vocab: dict[str, int]) -> SpecialIds:
    """The special tokens of a vocabulary, by the names in common use."""
    found = {
        slot: next((vocab[name] for name in names if name in vocab), None)
        for slot, names in _KNOWN.items()
    }
    sentinels, i = [], 0
    while (name := f"<extra_id_{i}>") in vocab:
        sentinels.append(vocab[name])
        i += 1
    spare = next((found[s] for s in ("pad", "eos", "bos", "unk") if found[s] is not None), 0)
    return SpecialIds(**found | {"pad": spare}, sentinels=tuple(sentinels))


def _vocab(card: dict) -> dict[str, int]:
    """Names and ids of a tokenizer.json, tokens added later included."""
    own = card["model"]["vocab"]
    own = dict(own) if isinstance(own, dict) else {name: i for i, (name, _) in enumerate(own)}
    return own | {token["content"]: token["id"] for token in card["added_tokens"]}


def _bert(vocab: dict[str, int], lowercase: bool):
    from tokenizers import Tokenizer, models

    fast = Tokenizer(models.WordPiece(vocab, unk_token="[UNK]"))
    fast.add_special_tokens([name for name in vocab if name in sum(_KNOWN.values(), ())])
    return bert_style(fast, lowercase)


def _byte_level(vocab: dict[str, int], merges: Path):
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    lines = merges.read_text(encoding="utf-8").split("\n")
    pairs = [tuple(line.split(" ")) for line in lines if line and not line.startswith("#version")]
    known = [pair for pair in pairs if "".join(pair) in vocab and set(pair) <= vocab.keys()]
    fast = Tokenizer(models.BPE(vocab=vocab, merges=known))
    fast.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    fast.decoder = decoders.ByteLevel()
    fast.add_special_tokens([name for name in vocab if name in sum(_KNOWN.values(), ())])
    return fast
