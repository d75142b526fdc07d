"""An exported model answers transformers' own calls as it answers ours."""

import json

import numpy as np
import pytest
import tokenizers

from fxformer.data.tokenizer import load
from fxformer.hf.export_model import export_model
from fxformer.inference.loaded_run import load_run
from fxformer.inference.text_input import prediction_input
from fxformer.inference.token_text import token_strings
from fxformer.inspect.predictions import payload
from tests.hf.random_run import random_run
from tests.hf.test_transformers import ask, pythons

SIZE = ("tokenizer.vocab_size=320", "tokenizer.specials.sentinels=4")
TEXTS = {
    "fill-mask": ["She looked at {mask} and said nothing.", "The wind {mask} to the north"],
    "text-generation": ["The ship left", "Nobody had slept that night. She"],
    "summarization": [
        "She looked at him and said <mask>.",
        "The wind had turned <mask> it was cold",
    ],
}
MODELS = {
    "mlm": ("bert roberta distilbert albert electra modernbert deberta deberta_v3 longformer"),
    "clm": ("openai_gpt gpt2 gpt_neo gpt_neox gptj ctrl bloom llama qwen2 qwen3"),
    "denoise": "bart mbart marian m2m100 pegasus led t5",
    "prophetnet": "prophetnet",
}
# transformers reads these with the positions of the padding, or without a mask of it
UNPADDED = ("openai_gpt", "ctrl")
TOKENIZERS = ("unigram", "bytebpe", "bpe", "wordpiece", "byte", "char")


def cases():
    """Every family with a tokenizer, all tokenizers among them."""
    pairs = [(m, o) for o, models in MODELS.items() for m in models.split()]
    return [(m, o, TOKENIZERS[n % len(TOKENIZERS)]) for n, (m, o) in enumerate(pairs)]


def exported(folder, model, objective, tokenizer, *words):
    """(run, folder of the export)."""
    run = random_run(
        folder,
        f"model={model}",
        f"objective={objective}",
        f"tokenizer={tokenizer}",
        *(SIZE if tokenizer not in ("byte",) else SIZE[1:]),
        *words,
        contrast=4.0,
    )
    family = model if model.startswith("qwen") else None  # llama would be tried first
    return run, export_model(run, folder / "out", family=family).folder


@pytest.mark.parametrize(
    ("model", "objective", "prompts"), [("gpt2", "clm", True), ("bert", "mlm", False)]
)
@pytest.mark.sample(2)
def test_only_prompts_of_a_decoder_are_left_open(model, objective, prompts, tmp_path):
    run, folder = exported(
        tmp_path, model, objective, "unigram", "model.dim=8", "model.heads=1", "model.layers=1"
    )
    ours = load(run.folder / "tokenizer")
    theirs = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
    suffix = [] if prompts else ours.suffix.tolist()
    for text in TEXTS["text-generation"]:
        wanted = [*ours.prefix.tolist(), *ours.encode(text).tolist(), *suffix]
        assert theirs.encode(text).ids == wanted
        assert theirs.decode(theirs.encode(text).ids) == text
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    assert ("token_type_ids" in settings["model_input_names"]) == (model == "bert")
    assert settings.get("padding_side", "right") == ("left" if prompts else "right")
    assert (folder / "generation_config.json").is_file() == prompts


def same(said, loaded, kind, unpadded=False) -> list[str]:
    """What transformers says otherwise than our own answers. unpadded: each text by itself."""
    wrong = []
    for n, text in enumerate(TEXTS[kind]):
        ours = payload(loaded, prediction_input(loaded, text.format(mask="<mask>")))
        if kind == "fill-mask":
            named = token_strings(np.array([i for i, _ in said["best"][n]]), loaded.tokenizer)
            for name, (_, p), (own, q) in zip(
                named, said["best"][n], ours["masked"][0]["candidates"], strict=True
            ):
                if name != own or abs(p - q) > 2e-4:
                    wrong.append(f"{name} {p}, ours {own} {q}")
            continue
        for way in ("ids",) if unpadded else ("ids", "batch"):
            wrote = token_strings(np.array(said[way][n], int), loaded.tokenizer)
            if not wrote or wrote != ours["output"][: len(wrote)]:
                wrong.append(f"{way}: {wrote}, ours {ours['wrote'][:12]}")
        text = loaded.tokenizer.decode(np.array(said["ids"][n], int)).strip()
        # bytes that are no text: the library shows a whole run of them as \ufffd, SentencePiece one
        if "\ufffd" not in text and said.get("pipeline", [text] * 2)[n].strip() != text:
            wrong.append(f"pipeline: {said['pipeline'][n]!r}, ours {text!r}")
    return wrong


@pytest.mark.slow
@pytest.mark.parametrize("kind", MODELS)
def test_transformers_answers_as_we_do(kind, tmp_path):
    asking, made, wrong = pythons(), {}, []
    for model, objective, tokenizer in (one for one in cases() if one[1] == kind):
        run, folder = exported(tmp_path / model, model, objective, tokenizer)
        made[str(folder)] = (run, objective, f"{model} {tokenizer}")
    file = tmp_path / "texts.json"
    for python in asking:
        file.write_text(json.dumps(TEXTS))
        for folder, said in ask(python, str(file), *made, script="ask_answers.py").items():
            run, objective, name = made[folder]
            kind = {"mlm": "fill-mask", "clm": "text-generation"}.get(objective, "summarization")
            unpadded = name.split()[0] in UNPADDED
            found = said.get("failed") or same(said, load_run(run, 0), kind, unpadded)
            wrong += [(python, name, found)] if found else []
    assert not wrong
