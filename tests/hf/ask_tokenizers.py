"""Encodes texts with tokenizers that we exported, as transformers reads them; by its own python.

python ask_tokenizers.py TEXTS.json FOLDER [FOLDER ...]       prints {folder: {reader: ids}}
"""

import json
import os
import sys

os.environ["HF_HUB_OFFLINE"] = "1"
import transformers

transformers.logging.set_verbosity_error()


def ask(folder: str, texts: list[str]) -> dict:
    """Ids with and without the special tokens around a text, the text of these ids again, and what
    the SentencePiece model gives by itself; by the slow class where there is no tokenizer.json."""
    whole = os.path.isfile(os.path.join(folder, "tokenizer.json"))
    fast = transformers.AutoTokenizer.from_pretrained(folder, use_fast=whole)
    said = {
        "plain": [fast(text, add_special_tokens=False)["input_ids"] for text in texts],
        "around": [fast(text)["input_ids"] for text in texts],
        "special": {slot: getattr(fast, f"{slot}_token_id") for slot in ("pad", "eos", "mask")},
    }
    said["decoded"] = [fast.decode(ids, skip_special_tokens=True) for ids in said["around"]]
    pieces = os.path.join(folder, "spiece.model")
    if os.path.isfile(pieces):
        import sentencepiece

        slow = sentencepiece.SentencePieceProcessor(model_file=pieces)
        said["pieces"] = [slow.encode(text) for text in texts]
    return said


if __name__ == "__main__":
    with open(sys.argv[1], encoding="utf-8") as file:
        texts = json.load(file)
    print(json.dumps({folder: ask(folder, texts) for folder in sys.argv[2:]}))
