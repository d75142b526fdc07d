"""The tokenizer that comes with published weights, in and out."""

import json
import shutil
from pathlib import Path
from typing import Any

from fxformer.bridge.sentencepiece_json import dict_of, tokenizer_json
from fxformer.data.tokenizer import Tokenizer
from fxformer.data.tokenizer_fast import FastTokenizer
from fxformer.data.tokenizer_file import File
from fxformer.data.tokenizer_sentencepiece import SentencePieceTokenizer

# What a folder of a published model may hold of a tokenizer; copied as they are on export.
FILES = (
    *("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"),
    *("vocab.txt", "vocab.json", "merges.txt", "spiece.model", "sentencepiece.bpe.model"),
    *("source.spm", "target.spm", "tokenizer.model", "spm.model", "prophetnet.tokenizer"),
)
READABLE = ("tokenizer.json", "vocab.txt", "spiece.model", "tokenizer.model", "spm.model")
LONGEST = 200_000_000


def read_tokenizer(folder: Path, rows: int | None = None) -> Tokenizer | None:
    """The tokenizer of a folder; None where there is none that this package reads.

    rows: of the word table; ValueError for an id that has none, before anything is made of it
    """
    names = [name for name in READABLE if (folder / name).is_file()]
    if not names and all((folder / name).is_file() for name in ("vocab.json", "merges.txt")):
        names = ["vocab.json"]
    if not names:
        return None
    file = folder / names[0]
    if file.stat().st_size > LONGEST:
        raise ValueError(f"{file} is larger than any tokenizer")
    if rows is not None and file.suffix == ".json":
        _check_ids(file, rows)
    lowercase = _settings(folder).get("do_lower_case", True) is not False
    return File(path=str(file), lowercase=lowercase).make([])


def _check_ids(file: Path, rows: int) -> None:
    """No id of a tokenizer.json or vocab.json is without a row."""
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
        if "model" in found and isinstance(found["model"], dict):
            vocab, added = found["model"]["vocab"], found.get("added_tokens") or []
            own = vocab.values() if isinstance(vocab, dict) else range(len(vocab))
            ids = [*own, *(token["id"] for token in added)]
        else:
            ids = list(found.values())
        highest = max(map(int, ids), default=0)
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
        raise ValueError(f"{file} holds no tokenizer: {error!r}") from None
    if highest >= rows:
        raise ValueError(f"{file} has an id {highest} and the word table {rows} rows")


def _settings(folder: Path) -> dict[str, Any]:
    file = folder / "tokenizer_config.json"
    if not file.is_file() or file.stat().st_size > LONGEST:
        return {}
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def copy_files(there: Path, here: Path) -> list[str]:
    """Copy a folder's tokenizer files; their names."""
    names = [name for name in FILES if (there / name).is_file()]
    for name in names:
        shutil.copyfile(there / name, here / name)
    return names


def write_tokenizer(tokenizer: Tokenizer, folder: Path) -> list[str]:
    """What transformers loads of a tokenizer of ours; the names of the files, [] if nothing does.

    The template becomes tokenizer.json's own post-processor, so both put the same marks around a
    text.
    """
    files, fast = [], None
    if isinstance(tokenizer, SentencePieceTokenizer):
        (folder / "spiece.model").write_bytes(tokenizer.model)
        files.append("spiece.model")
        fast = tokenizer_json(tokenizer.model, [f"<extra_id_{i}>" for i in _appended(tokenizer)])
    elif isinstance(tokenizer, FastTokenizer):
        import tokenizers

        fast = tokenizers.Tokenizer.from_str(tokenizer.text)
    if fast is None:
        return files
    names = {slot: _name(fast, tokenizer, slot) for slot in ("pad", "unk", "bos", "eos", "mask")}
    fast.post_processor = _around(fast, tokenizer)
    fast.save(str(folder / "tokenizer.json"))
    special = {f"{slot}_token": name for slot, name in names.items() if name}
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", **special}
    _write(folder / "tokenizer_config.json", settings)
    _write(folder / "special_tokens_map.json", special)
    return [*files, "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"]


def _appended(tokenizer: SentencePieceTokenizer) -> list[int]:
    """Which sentinels have ids after those of the model, in the order of these."""
    ids = tokenizer.ids.sentinels
    own = len(dict_of(tokenizer.model)["pieces"])
    return sorted((n for n, at in enumerate(ids) if at >= own), key=lambda n: ids[n])


def _name(fast, tokenizer: Tokenizer, slot: str) -> str | None:
    at = getattr(tokenizer.ids, slot)
    return None if at is None else fast.id_to_token(at)


def _around(fast, tokenizer: Tokenizer):
    """The template as a post-processor."""
    from tokenizers.processors import TemplateProcessing

    before = [fast.id_to_token(int(i)) for i in tokenizer.prefix]
    after = [fast.id_to_token(int(i)) for i in tokenizer.suffix]
    special = [(name, fast.token_to_id(name)) for name in dict.fromkeys(before + after)]
    one = [*before, "$A", *after]
    return TemplateProcessing(single=one, pair=[*one, "$B:1", *(f"{n}:1" for n in after)],
                              special_tokens=special)


def _write(path: Path, content: dict) -> None:
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
