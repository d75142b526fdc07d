"""The tokenizer files of a published model: read them, copy them."""

import json
import shutil
from pathlib import Path

from fxformer.data.tokenizer import Tokenizer
from fxformer.data.tokenizer_file import File
from fxformer.data.tokenizer_marian import marian_files, target_vocabulary
from fxformer.data.tokenizer_settings import LONGEST, settings_of
from fxformer.errors import UserError

# What a folder of a published model may hold of a tokenizer; copied as they are on export.
FILES = (
    *("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"),
    *("vocab.txt", "vocab.json", "merges.txt", "spiece.model", "sentencepiece.bpe.model"),
    *("source.spm", "target.spm", "target_vocab.json"),
    *("tokenizer.model", "spm.model", "prophetnet.tokenizer"),
)
READABLE = (
    *("tokenizer.json", "vocab.txt", "prophetnet.tokenizer", "spiece.model", "tokenizer.model"),
    *("spm.model", "sentencepiece.bpe.model"),
)


def read_tokenizer(folder: Path, rows: int | None = None) -> Tokenizer | None:
    """The tokenizer of a folder; None where there is none that this package reads.

    rows: of the word table, of targets where there are two. UserError for an id that has none.
    """
    names = [name for name in READABLE if (folder / name).is_file()]
    marian = not names and marian_files(folder)
    merges = (folder / "vocab.json").is_file() and (folder / "merges.txt").is_file()
    names = ["vocab.json"] if marian or merges and not names else names
    if not names:
        return None
    file = folder / names[0]
    if file.stat().st_size > LONGEST:
        raise UserError(f"{file} is larger than any tokenizer")
    if rows is not None and file.suffix == ".json":
        _check_ids(target_vocabulary(folder, settings_of(folder)) if marian else file, rows)
    return File(path=str(file)).make([])


def _check_ids(file: Path, rows: int) -> None:
    """Raise unless every id of a tokenizer.json or vocab.json has a row in the embedding table."""
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
        raise UserError(f"{file} holds no tokenizer: {error!r}") from None
    if highest >= rows:
        raise UserError(f"{file} has an id {highest} and the word table {rows} rows")


def copy_files(there: Path, here: Path) -> list[str]:
    """Copy a folder's tokenizer files; their names."""
    names = [name for name in FILES if (there / name).is_file()]
    for name in names:
        shutil.copyfile(there / name, here / name)
    return names
