"""Default generation settings of a model: its special ids, and those of a published folder."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fxformer.batch import Vocabulary
from fxformer.errors import UserError
from fxformer.files import read_text
from fxformer.inference.decoding.config import GenerationConfig

FILE = "generation_config.json"
LONGEST = 1_000_000  # bytes
# Of config.json only ids: lengths and beams there belong to one task (transformers issue 5674).
IDS = (
    *("eos_token_id", "pad_token_id", "bos_token_id", "decoder_start_token_id"),
    *("forced_bos_token_id", "forced_eos_token_id"),
)


def published_settings(folder: Path, config: Mapping[str, Any]) -> dict[str, Any]:
    """generation_config.json of a published folder over the special ids of its config.json.

    Raises UserError for a file that is no JSON object.
    """
    ids = {name: config[name] for name in IDS if config.get(name) is not None}
    return ids | _read(folder / FILE)


def own_settings(vocabulary: Vocabulary, start: int | None) -> dict[str, Any]:
    """Special ids of a model that was trained here, by transformers' names.

    start: first decoder token of an encoder-decoder
    """
    ids = {
        "eos_token_id": vocabulary.eos,
        "pad_token_id": vocabulary.pad,
        "bos_token_id": vocabulary.bos,
        "decoder_start_token_id": start,
    }
    return {name: value for name, value in ids.items() if value is not None}


def generation_config(
    settings: Mapping[str, Any], start: int | None, task: Mapping[str, Any]
) -> GenerationConfig:
    """The settings of a model, with those of a task in front of them.

    settings: by transformers' names
    start: first decoder token of an encoder-decoder
    task: of `task_specific_params` of config.json; what generation has not (prefix) has no effect
    Raises UserError for settings that are not implemented.
    """
    first = {} if start is None else {"decoder_start_token_id": start}
    return GenerationConfig.from_hf({**first, **settings, **task})


def _read(file: Path) -> dict[str, Any]:
    if not file.is_file():
        return {}
    if file.stat().st_size > LONGEST:
        raise UserError(f"{file} is larger than {LONGEST:,} bytes: no generation settings")
    try:
        found = json.loads(read_text(file))
    except (ValueError, RecursionError) as error:
        raise UserError(f"{file} cannot be read: {error}") from None
    if not isinstance(found, dict):
        raise UserError(f"{file} is not a JSON object")
    return found
