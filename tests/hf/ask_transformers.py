"""Loads what we exported with transformers and says what it found, as JSON. Run by its own python.

python ask_transformers.py FOLDER REFERENCE [FOLDER REFERENCE ...]
"""

import json
import os
import sys

os.environ["HF_HUB_OFFLINE"] = "1"
import numpy as np
import torch
import transformers

transformers.logging.set_verbosity_error()


def class_of(name: str):
    """A class by its name; None where this release has it no more."""
    if not name.startswith("TransfoXL"):
        return getattr(transformers, name)
    try:
        from make_fixtures import old_models

        return getattr(old_models(), name)
    except ImportError:
        return None


def ask(folder: str, reference: str) -> dict:
    config = json.load(open(os.path.join(folder, "config.json")))
    cls = class_of(config["architectures"][0])
    if cls is None:
        return {"gone": f"not in transformers {transformers.__version__}"}
    model, info = cls.from_pretrained(
        folder, attn_implementation="eager", output_loading_info=True, dtype=torch.float32
    )
    arrays = dict(np.load(reference))
    given = {k[3:]: torch.as_tensor(v) for k, v in arrays.items() if k.startswith("in.")}
    if "input_ids.0" in given:  # the first of two segments
        given = {"input_ids": given["input_ids.0"]}
        arrays["out.prediction_scores"] = arrays["out.logprobs.0"]
    with torch.no_grad():
        made = model.eval()(**given, return_dict=True)
    far = {}
    for name, value in arrays.items():
        key = {"out.logits": "prediction_logits"}.get(name, name[4:])
        got = made.get(key, made.get(name[4:]))
        if name.startswith(("out.", "cls.")) and torch.is_tensor(got):
            far[name[4:]] = float(np.abs(got.numpy() - value).max())
    keys = ("missing_keys", "unexpected_keys", "mismatched_keys")
    lost = {key: sorted(map(str, info[key])) for key in keys}
    return {"version": transformers.__version__, "far": far} | lost


if __name__ == "__main__":
    pairs = list(zip(sys.argv[1::2], sys.argv[2::2], strict=True))
    said = {}
    for folder, reference in pairs:
        try:
            said[folder] = ask(folder, reference)
        except Exception as error:
            said[folder] = {"version": transformers.__version__, "failed": repr(error)}
    print(json.dumps(said))
