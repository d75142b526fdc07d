"""A tokenizer of ours as the files that transformers loads."""

import json
from pathlib import Path

from fxformer.data.special_tokens import Specials, code_names
from fxformer.data.tokenizer import Tokenizer
from fxformer.data.tokenizer_basic import ByteTokenizer, CharTokenizer
from fxformer.data.tokenizer_fast import FastTokenizer, byte_letters
from fxformer.data.tokenizer_marian import MarianTokenizer
from fxformer.data.tokenizer_sentencepiece import SentencePieceTokenizer
from fxformer.data.tokenizer_sentencepiece_variants import VariedSentencePiece
from fxformer.hf.sentencepiece_json import dict_of, tokenizer_json
from fxformer.hf.tokenizer_export_slow import template_caveat, write_slow_tokenizer

SLOTS = ("pad", "unk", "bos", "eos", "mask")


def write_tokenizer(
    tokenizer: Tokenizer, folder: Path, *, prompts: bool = False, token_types: bool = False
) -> list[str]:
    """Write what transformers loads; the names of the files, [] for a tokenizer that it has no
    counterpart of.

    tokenizer.json where the `tokenizers` library has a counterpart; the template becomes its own
    post-processor, so both put the same special tokens around a text. Otherwise the vocabulary
    files of the family's class.

    prompts: texts are the beginnings of what a decoder continues. Nothing is put after them (an
        eos would end the text there) and they are padded on the left.
    token_types: the model has token types: 0 for the first text of a pair, 1 for the second
    """
    files = []
    if type(tokenizer) is SentencePieceTokenizer:
        (folder / "spiece.model").write_bytes(tokenizer.model)
        files.append("spiece.model")
    fast = _fast(tokenizer)
    if fast is None:
        return [*files, *write_slow_tokenizer(tokenizer, folder)]
    names = {slot: _name(fast, tokenizer, slot) for slot in SLOTS}
    fast.post_processor = _around(fast, tokenizer, prompts)
    card = json.loads(fast.to_str())
    by_letter = isinstance(tokenizer, (ByteTokenizer, CharTokenizer))
    for token in card["added_tokens"]:
        if token["content"] == names["mask"] and not by_letter:
            token["lstrip"] = True  # the space before a mask belongs to the word it stands for
    _write(folder / "tokenizer.json", card)
    special = {f"{slot}_token": name for slot, name in names.items() if name}
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "clean_up_tokenization_spaces": False,  # some versions of transformers do by default
        "model_input_names": ["input_ids", *["token_type_ids"] * token_types, "attention_mask"],
        **({"padding_side": "left"} if prompts else {}),
        **special,
    }
    _write(folder / "tokenizer_config.json", settings)
    _write(folder / "special_tokens_map.json", special)
    return [*files, "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"]


def tokenizer_caveats(tokenizer: Tokenizer, folder: Path, files: list[str]) -> list[str]:
    """Warnings about what `write_tokenizer` wrote to a folder: a tokenizer that is missing, or that
    is read by a class with a template of its own."""
    if "tokenizer_config.json" not in files:
        return [
            f"the export has no tokenizer: transformers has no counterpart of this run's "
            f"{type(tokenizer).__name__}; encode texts with the run"
        ]
    said = template_caveat(tokenizer, folder)
    return [] if said is None else [said]


def _fast(tokenizer: Tokenizer):
    """The tokenizers.Tokenizer that encodes and decodes alike; None where there is none."""
    import tokenizers

    if isinstance(tokenizer, MarianTokenizer):
        return None  # it is of two, for sources and targets
    if isinstance(tokenizer, VariedSentencePiece):
        if tokenizer.variation.steps:
            return None  # what ALBERT does to a text has no counterpart
        moved = {name: i for i, name in enumerate(tokenizer.pieces) if name}
        return tokenizer_json(tokenizer.model, [], moved)
    if isinstance(tokenizer, SentencePieceTokenizer):
        return tokenizer_json(tokenizer.model, _appended(tokenizer))
    if isinstance(tokenizer, FastTokenizer):
        return tokenizers.Tokenizer.from_str(tokenizer.text)
    if isinstance(tokenizer, CharTokenizer):
        return _characters(tokenizer)
    if isinstance(tokenizer, ByteTokenizer):
        return _bytes(tokenizer)
    return None


def _characters(tokenizer: CharTokenizer):
    """Of a CharTokenizer."""
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers

    names = _special_names(tokenizer)
    vocab = {name: i for i, name in enumerate([*names, *tokenizer.characters])}
    fast = Tokenizer(models.WordLevel(vocab, unk_token=Specials().unk))
    fast.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), "isolated")
    fast.decoder = decoders.Fuse()
    fast.add_special_tokens(names)
    return fast


def _bytes(tokenizer: ByteTokenizer):
    """Of a ByteTokenizer: byte-level BPE without merges."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    names = _special_names(tokenizer)
    vocab = {name: i for i, name in enumerate([*names, *byte_letters()])}
    fast = Tokenizer(models.BPE(vocab=vocab, merges=[]))
    fast.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    fast.decoder = decoders.ByteLevel()
    fast.add_special_tokens(names)
    return fast


def _special_names(tokenizer: CharTokenizer | ByteTokenizer) -> list[str]:
    """Names of special tokens that have ids only, in the order of the ids."""
    ids = tokenizer.ids
    return Specials(sentinels=len(ids.sentinels), codes=tuple(ids.codes)).names()


def _appended(tokenizer: SentencePieceTokenizer) -> list[str]:
    """Names of the special tokens whose ids follow those of the model."""
    ids, usual = tokenizer.ids, Specials()
    names = {one: f"<extra_id_{n}>" for n, one in enumerate(ids.sentinels)}
    names |= dict(zip(ids.codes.values(), code_names(len(ids.codes)), strict=True))
    names |= {getattr(ids, slot): getattr(usual, slot) for slot in SLOTS}
    own = len(dict_of(tokenizer.model)["pieces"])
    return [names.get(i, f"<added_{i}>") for i in range(own, tokenizer.vocabulary.size)]


def _name(fast, tokenizer: Tokenizer, slot: str) -> str | None:
    at = getattr(tokenizer.ids, slot)
    return None if at is None else fast.id_to_token(at)


def _around(fast, tokenizer: Tokenizer, prompts: bool):
    """The template as a post-processor; without what ends a text where `prompts`."""
    from tokenizers.processors import TemplateProcessing

    before = [fast.id_to_token(int(i)) for i in tokenizer.prefix]
    after = [] if prompts else [fast.id_to_token(int(i)) for i in tokenizer.suffix]
    special = [(name, fast.token_to_id(name)) for name in dict.fromkeys(before + after)]
    one = [*before, "$A", *after]
    return TemplateProcessing(
        single=one, pair=[*one, "$B:1", *(f"{n}:1" for n in after)], special_tokens=special
    )


def _write(path: Path, content: dict) -> None:
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
