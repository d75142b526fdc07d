"""Locating a checkpoint: a local folder, or a Hugging Face hub id downloaded to its cache."""

import re
from pathlib import Path

from fxformer.errors import UserError

# Downloaded files: configs, tokenizers and safetensors, never pickles.
ALLOWED_PATTERNS = ["*.json", "*.safetensors", "*.txt", "*.model", "*.spm"]


def folder_of(which: str) -> Path:
    """The local folder of a path or of a hub id `owner/name`.

    Raises UserError if there is none, if huggingface_hub is not installed, or if the hub cannot be
    reached.
    """
    path = Path(which).expanduser()
    if path.is_dir():
        return path
    if path.exists() or not re.fullmatch(r"[\w.-]+(/[\w.-]+)?", which) or which[0] in "./~":
        raise UserError(f"{which} is not a folder with a config.json")
    try:
        from huggingface_hub import snapshot_download
    except ImportError:
        raise UserError(
            f"{which} is not a folder; to download it from the hub: pip install 'fxformer[hf]'"
        ) from None
    try:
        return Path(snapshot_download(which, allow_patterns=ALLOWED_PATTERNS))
    except Exception as error:  # huggingface_hub, requests and httpx each raise their own types
        reason = str(error).strip().splitlines()[0] if str(error).strip() else repr(error)
        raise UserError(
            f"{which} is not a local folder, and downloading it from the hub failed: {reason}\n"
            f"on a machine with network access, run `hf download {which} --local-dir DIR` and give "
            "that folder"
        ) from None
