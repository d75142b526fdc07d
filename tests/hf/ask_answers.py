"""Answers of models that we exported, by transformers' own calls; run by its own python.

    python ask_answers.py TEXTS.json FOLDER [FOLDER ...]     prints {folder: answers}

TEXTS.json: {"fill-mask": [texts with {mask}], "text-generation": […], "summarization": […]}
"""

import json
import os
import sys

os.environ["HF_HUB_OFFLINE"] = "1"
import torch
import transformers

transformers.logging.set_verbosity_error()
torch.set_num_threads(1)  # small models; threads wait for each other where others use the machine
NEW = 12  # tokens that are written


def ask(folder: str, texts: dict[str, list[str]]) -> dict:
    """What the pipeline of a model says, and the ids of what it generates."""
    config = transformers.AutoConfig.from_pretrained(folder)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    cls = getattr(transformers, config.architectures[0])
    model = cls.from_pretrained(folder, dtype=torch.float32).eval()
    if config.architectures[0].endswith("ForMaskedLM") or "PreTraining" in config.architectures[0]:
        return fill(model, tokenizer, texts["fill-mask"])
    if config.is_encoder_decoder:
        return write(model, tokenizer, texts["summarization"], "summarization")
    return write(model, tokenizer, texts["text-generation"], "text-generation")


def fill(model, tokenizer, texts: list[str]) -> dict:
    """The five likeliest tokens of each text's mask, with their probabilities."""
    asking = transformers.pipeline("fill-mask", model=model, tokenizer=tokenizer)
    found = [asking(text.format(mask=tokenizer.mask_token)) for text in texts]
    return {"best": [[[one["token"], one["score"]] for one in row] for row in found]}


def write(model, tokenizer, texts: list[str], task: str) -> dict:
    """What is generated, one by one and as one padded batch, and the pipeline's text."""
    knobs = {"max_new_tokens": NEW, "do_sample": False, "num_beams": 1}
    one_by_one = [generated(model, tokenizer, [text], task, knobs)[0] for text in texts]
    said = {"ids": one_by_one, "batch": generated(model, tokenizer, texts, task, knobs)}
    said["plain"] = [tokenizer.decode(row, skip_special_tokens=True) for row in one_by_one]
    if task == "summarization" and int(transformers.__version__.split(".")[0]) >= 5:
        return said  # there is no such pipeline any more
    asking = transformers.pipeline(task, model=model, tokenizer=tokenizer)
    if task == "text-generation":
        knobs["return_full_text"] = False
    rows = [asking(text, **knobs) for text in texts]
    said["pipeline"] = [row[0].get("generated_text", row[0].get("summary_text")) for row in rows]
    return said


def generated(model, tokenizer, texts: list[str], task: str, knobs: dict) -> list[list[int]]:
    """Ids after the prompt, or after the decoder's start, up to the first eos."""
    given = tokenizer(texts, return_tensors="pt", padding=True)
    with torch.no_grad():
        ids = model.generate(**given, **knobs)
    rows = ids[:, given["input_ids"].shape[1] if task == "text-generation" else 1 :].tolist()
    eos = tokenizer.eos_token_id
    return [row[: row.index(eos) + 1] if eos in row else row for row in rows]


if __name__ == "__main__":
    with open(sys.argv[1], encoding="utf-8") as file:
        texts = json.load(file)
    said = {}
    for folder in sys.argv[2:]:
        try:
            said[folder] = ask(folder, texts)
        except Exception as error:
            said[folder] = {"failed": f"{type(error).__name__}: {str(error)[:600]}"}
    print(json.dumps(said))
