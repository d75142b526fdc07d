"""Published vocabularies of the `tokenizers` library's models, each as its family reads it."""

import functools
import json
import re
from pathlib import Path
from typing import Any

import numpy as np

from fxformer.data.special_tokens import SpecialIds
from fxformer.data.token_offsets import TokenOffsets, token_offsets
from fxformer.data.tokenizer import Tokenizer
from fxformer.data.tokenizer_settings import Settings
from fxformer.errors import UserError

BYTE_LEVEL = ("gpt2", "gpt_neo", "gptj", "gpt_neox", "roberta", "longformer", "bart", "led",
              "deberta", "bloom", "opt")  # fmt: skip
QWEN = ("qwen2", "qwen3")
# of Qwen2Tokenizer
QWEN_WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|"
    r"\s*[\r\n]+|\s+(?!\S)|\s+"
)


def wordpiece(file: Path, settings: Settings, lowercase: bool | None):
    """BERT's vocab.txt, a token a line.

    lowercase: None: as the settings say, else unless the vocabulary has capital letters
    """
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers

    settings.refuse(do_basic_tokenize=True, never_split=None)
    if settings.family in (*BYTE_LEVEL, *QWEN, "openai-gpt", "ctrl", "t5", "llama"):
        stated = settings.values.get("tokenizer_class")
        if stated is not None:
            raise UserError(
                f"{file} is a vocabulary of BERT's kind, and tokenizer_config.json says {stated}"
            )
    lines = file.read_text(encoding="utf-8").split("\n")
    vocab = {line.rstrip("\r"): i for i, line in enumerate(lines) if line}
    unknown = settings.names().get("unk") or "[UNK]"
    if unknown not in vocab:
        raise UserError(f"{file} has no {unknown} for words that it does not have")
    if lowercase is None:
        lowercase = settings.flag("do_lower_case", None)
    if lowercase is None:
        lowercase = not any(_cased(token) for token in vocab)
    fast = Tokenizer(models.WordPiece(vocab, unk_token=unknown))
    clean = normalizers.BertNormalizer(
        clean_text=True,
        handle_chinese_chars=bool(settings.flag("tokenize_chinese_chars", True)),
        strip_accents=settings.flag("strip_accents", None),
        lowercase=lowercase,
    )
    fast.normalizer = normalizers.Sequence([normalizers.NFC(), clean])
    fast.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    fast.decoder = decoders.WordPiece()
    return fast


def _cased(token: str) -> bool:
    """Whether a token shows that a vocabulary was not lower-cased; [CLS] and its like do not."""
    bracketed = token.startswith("[") and token.endswith("]")
    return not bracketed and any("A" <= letter <= "Z" for letter in token)


def byte_pairs(file: Path, vocab: dict[str, int], merges: Path, settings: Settings):
    """vocab.json with merges.txt: byte-level (GPT-2, Qwen) or of characters (openai-gpt)."""
    family = settings.family
    if family is None and not _byte_level(vocab):
        raise UserError(
            f"{file} is not the vocabulary of a byte-level BPE (GPT-2's), and nothing says whose "
            "it is: put the model's config.json with its model_type beside it"
        )
    if family == "openai-gpt":
        return _characters(vocab, _pairs(merges), settings)
    if family is not None and family not in (*BYTE_LEVEL, *QWEN):
        known = ", ".join((*BYTE_LEVEL, *QWEN, "openai-gpt", "ctrl"))
        raise UserError(
            f"{file}: how {family} reads a vocab.json with merges is not known here, "
            f"only how {known} do; a tokenizer.json would say it"
        )
    return _bytes(vocab, _pairs(merges), settings, qwen=family in QWEN)


def _bytes(vocab: dict[str, int], pairs: list[tuple[str, str]], settings: Settings, *, qwen: bool):
    from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers

    known = [pair for pair in pairs if "".join(pair) in vocab and set(pair) <= vocab.keys()]
    fast = Tokenizer(models.BPE(vocab=vocab, merges=known))
    prefix = bool(settings.flag("add_prefix_space", False))
    if qwen:
        fast.normalizer = normalizers.NFC()
        words = pre_tokenizers.Split(Regex(QWEN_WORDS), "isolated")
        letters = pre_tokenizers.ByteLevel(add_prefix_space=prefix, use_regex=False)
        fast.pre_tokenizer = pre_tokenizers.Sequence([words, letters])
    else:
        fast.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=prefix)
    fast.decoder = decoders.ByteLevel()
    return fast


def _characters(vocab: dict[str, int], pairs: list[tuple[str, str]], settings: Settings):
    """openai-gpt's: BERT's words in lower case, the last letter of each marked."""
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers

    unknown = settings.names().get("unk") or "<unk>"
    if unknown not in vocab:
        raise UserError(f"{settings.folder}: the vocabulary has no {unknown}")
    lost = next(("".join(p) for p in pairs if "".join(p) not in vocab), None)
    if lost is not None:
        raise UserError(f"{settings.folder}: merges.txt makes {lost!r}, which vocab.json lacks")
    model = models.BPE(vocab=vocab, merges=pairs, unk_token=unknown, end_of_word_suffix="</w>")
    fast = Tokenizer(model)
    clean = normalizers.BertNormalizer(lowercase=True)
    fast.normalizer = normalizers.Sequence([normalizers.NFC(), clean])
    fast.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    fast.decoder = decoders.BPEDecoder("</w>")
    return fast


def _byte_level(vocab: dict[str, int]) -> bool:
    """Whether every byte has its letter in a vocabulary."""
    from fxformer.data.tokenizer_fast import byte_letters

    return set(byte_letters()) <= vocab.keys()


def _pairs(merges: Path) -> list[tuple[str, str]]:
    """The merges of a merges.txt, the first first."""
    lines = merges.read_text(encoding="utf-8").split("\n")
    found = [tuple(line.split(" ")) for line in lines if line and not line.startswith("#version")]
    wrong = next((pair for pair in found if len(pair) != 2), None)
    if wrong is not None:
        raise UserError(f"{merges}: {' '.join(wrong)!r} is no pair")
    return [(left, right) for left, right in found]


def adjusted(card: dict[str, Any], settings: Settings) -> str:
    """tokenizer.json with the settings that transformers gives precedence over it."""
    _normalizer(card.get("normalizer"), settings)
    prefix = settings.flag("add_prefix_space", None)
    for step in _steps(card.get("pre_tokenizer"), "pretokenizers"):
        if step.get("type") == "ByteLevel" and prefix is not None:
            step["add_prefix_space"] = prefix
    return json.dumps(card)


def _normalizer(node: Any, settings: Settings) -> None:
    for step in _steps(node, "normalizers"):
        if step.get("type") == "BertNormalizer":
            told = {
                "lowercase": "do_lower_case",
                "strip_accents": "strip_accents",
                "handle_chinese_chars": "tokenize_chinese_chars",
            }
            for key, name in told.items():
                if name in settings.values:
                    step[key] = settings.flag(name, None)


def _steps(node: Any, parts: str) -> list[dict[str, Any]]:
    """The steps of a part of a tokenizer.json, which may be a sequence."""
    if not isinstance(node, dict):
        return []
    return [node, *(s for one in node.get(parts) or () for s in _steps(one, parts))]


WORD, END, MORE = re.compile(r"\S+\n?"), "</w>", "@@"


class CtrlTokenizer(Tokenizer):
    """vocab.json with merges.txt as CTRL reads them: a piece that goes on is written piece@@.

    Merges may pass through pieces that the vocabulary lacks; what they end with is unk then.
    """

    def __init__(self, vocab: dict[str, int], merges: str, ids: SpecialIds, template: str):
        self.vocab, self.merges, self.ids, self.template = vocab, merges, ids, template
        lines = merges.split("\n")
        pairs = [tuple(line.split()) for line in lines if line and not line.startswith("#version")]
        self._ranks = {pair: rank for rank, pair in enumerate(pairs)}
        size = max(*vocab.values(), *ids.all()) + 1
        self._names = [""] * size
        for name, i in vocab.items():
            self._names[i] = name
        self._pieces = functools.lru_cache(100_000)(self._cut)
        # a piece looks the same at the beginning of a word; one that ends a word has a space behind
        spelt = [n.removesuffix(MORE) if n.endswith(MORE) else f"{n} " for n in self._names]
        self.vocabulary = ids.vocabulary([one.encode() for one in spelt])

    def encode(self, text: str) -> np.ndarray:
        found = [i for word in WORD.findall(text) for i, _ in self._pieces(word)]
        return np.array(found, np.int32)

    def encode_offsets(self, text: str) -> TokenOffsets:
        ids, spans = [], []
        for match in WORD.finditer(text):
            at = match.start()
            for i, size in self._pieces(match.group()):
                ids.append(i)
                spans.append((at, at + size))
                at += size
        return token_offsets(text, np.array(ids, np.int32), spans)

    def decode(self, ids: np.ndarray) -> str:
        return " ".join(self._names[i] for i in self.spoken(ids)).replace(f"{MORE} ", "").strip()

    def name_of(self, i: int) -> str:
        return (self._names[i] if i < len(self._names) else "") or super().name_of(i)

    def id_of(self, name: str) -> int | None:
        return self.vocab.get(name)

    def files(self) -> dict[str, bytes]:
        vocab = json.dumps(self.vocab, ensure_ascii=False)
        return {"vocab.json": vocab.encode(), "merges.txt": self.merges.encode()}

    @classmethod
    def from_files(cls, files, ids, template):
        return cls(json.loads(files["vocab.json"]), files["merges.txt"].decode(), ids, template)

    def _cut(self, word: str) -> tuple[tuple[int, int], ...]:
        """(id, number of characters) of each piece of one word."""
        parts = [*word[:-1], word[-1] + END] if len(word) > 1 else [word]
        while len(parts) > 1:
            pairs = list(zip(parts, parts[1:], strict=False))
            best = min(pairs, key=lambda pair: self._ranks.get(pair, len(self._ranks)))
            if best not in self._ranks:
                break
            parts = _merged(parts, best)
        if len(word) > 1:
            parts[-1] = parts[-1].removesuffix(END)
        # the reference cuts at spaces once more, so a piece that holds one would be two
        named = [*(part + MORE for part in parts[:-1]), parts[-1]]
        return tuple(
            (self.vocab.get(name, self.ids.unk or 0), len(part))
            for name, part in zip(named, parts, strict=True)
        )


def _merged(parts: list[str], pair: tuple[str, ...]) -> list[str]:
    """`parts` with each occurrence of `pair`, from the left, made one."""
    made, at = [], 0
    while at < len(parts):
        both = tuple(parts[at : at + 2]) == pair
        made.append("".join(pair) if both else parts[at])
        at += 2 if both else 1
    return made


def read_ctrl(file: Path, vocab: dict[str, int], merges: Path, ids: SpecialIds, template: str):
    """A CtrlTokenizer of these files. UserError for a vocabulary without unk."""
    if ids.unk is None:
        raise UserError(f"{file} has no <unk> for what it does not have")
    return CtrlTokenizer(vocab, merges.read_text(encoding="utf-8"), ids, template)
