"""Where a checkpoint lies: a folder, or a name on the Hugging Face hub fetched into its cache."""

import re
from pathlib import Path

from fxformer.errors import UserError

# What is fetched: configs, tokenizers and safetensors, never a pickle.
WANTED = ["*.json", "*.safetensors", "*.txt", "*.model", "*.spm"]


def folder_of(which: str) -> Path:
    """The folder of a path or of a hub id `owner/name`.

    Raises UserError where there is none, where huggingface_hub is not installed, or where the hub
    cannot be reached.
    """
    path = Path(which).expanduser()
    if path.is_dir():
        return path
    if path.exists() or not re.fullmatch(r"[\w.-]+(/[\w.-]+)?", which) or which[0] in "./~":
        raise UserError(f"{which} is no folder with a config.json")
    try:
        from huggingface_hub import snapshot_download
    except ImportError:
        raise UserError(
            f"{which} is no folder; to fetch it from the hub: pip install 'fxformer[hf]'"
        ) from None
    try:
        return Path(snapshot_download(which, allow_patterns=WANTED))
    except Exception as error:  # the library raises its own, those of requests and of httpx
        reason = str(error).strip().splitlines()[0] if str(error).strip() else repr(error)
        raise UserError(
            f"{which} is no folder here, and the hub does not give it: {reason}\n"
            f"where there is a network, `hf download {which} --local-dir DIR` makes a folder of "
            "it: then write its folder"
        ) from None
