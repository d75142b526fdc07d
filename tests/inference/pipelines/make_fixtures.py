"""Tiny models of transformers with random weights, and what its pipelines answer: fixtures.

    python make_fixtures.py        needs torch, transformers 4.46.3 and tokenizers 0.20.3

Each becomes fixtures/NAME with config.json, model.safetensors, the files of its tokenizer and
outputs.json, a list of {"task", "options", "input", "output"}.
"""

import json
import os
import shutil
import warnings
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"
import numpy as np
import tokenizers
import torch
import transformers
from inputs import CONTEXTS, LABELS, MASKED, PAIRS, PROMPTS, TAGS, TEXTS, TRAINING

FOLDER = Path(__file__).parent / "fixtures"
VOCABULARIES = Path(__file__).parents[2] / "hf" / "vocabularies"
BERT = dict(
    hidden_size=12,
    num_hidden_layers=2,
    num_attention_heads=2,
    intermediate_size=16,
    max_position_embeddings=96,
    pad_token_id=0,
)
ROBERTA = BERT | dict(
    max_position_embeddings=98, type_vocab_size=1, pad_token_id=1, bos_token_id=0, eos_token_id=2
)
BART = dict(
    d_model=12,
    encoder_layers=1,
    decoder_layers=1,
    encoder_attention_heads=2,
    decoder_attention_heads=2,
    encoder_ffn_dim=16,
    decoder_ffn_dim=16,
    max_position_embeddings=96,
    pad_token_id=1,
    bos_token_id=0,
    eos_token_id=2,
    decoder_start_token_id=2,
)


def wordpiece(cased: bool):
    """A tokenizer of BERT with a vocabulary of about 180 pieces."""
    fast = tokenizers.BertWordPieceTokenizer(lowercase=not cased)
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    fast.train_from_iterator(
        TRAINING, vocab_size=190, special_tokens=special, show_progress=False, limit_alphabet=60
    )
    words = [name for name, _ in sorted(fast.get_vocab().items(), key=lambda item: item[1])]
    file = FOLDER / "vocab.txt"
    file.write_text("".join(f"{word}\n" for word in words))
    made = transformers.BertTokenizerFast(vocab_file=str(file), do_lower_case=not cased)
    file.unlink()
    return made


def byte_level(kind: str):
    """A tokenizer of RoBERTa or GPT-2 with all bytes and about 60 merges."""
    fast = tokenizers.ByteLevelBPETokenizer()
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    special = ["<|endoftext|>"] if kind == "gpt2" else special
    fast.train_from_iterator(TRAINING, vocab_size=330, special_tokens=special, show_progress=False)
    fast.save_model(str(FOLDER))
    files = [str(FOLDER / name) for name in ("vocab.json", "merges.txt")]
    cls = {
        "gpt2": transformers.GPT2TokenizerFast,
        "roberta": transformers.RobertaTokenizerFast,
        "bart": transformers.BartTokenizerFast,
    }[kind]
    made = cls(*files)
    for file in files:
        os.unlink(file)
    return made


def randomise(model, seed: int, rare: range = range(0)) -> None:
    """Draw every parameter with a spread that makes answers differ from token to token.

    rare: ids with small embeddings, so that they are hardly generated
    """
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, value in model.named_parameters():
            noise = torch.randn(value.shape, generator=generator)
            if "norm" in name.lower() and name.endswith("weight"):
                value.copy_(1 + 0.1 * noise)
            else:
                value.copy_(noise * (0.6 if value.ndim > 1 else 0.2))
        model.get_input_embeddings().weight[rare.start : rare.stop] *= 0.1
        model.tie_weights()


def save(name: str, cls, config, tokenizer, files=("tokenizer.json",), rare=range(0)):
    """Write fixtures/NAME with a model of `config`; (that model, the tokenizer read back).

    The model is not read back: 4.46.3 loses the bias of RoBERTa's head when it loads a file.
    """
    folder = FOLDER / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    model = cls(config).eval()
    randomise(model, len(name), rare)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    keep = {"config.json", "generation_config.json", "model.safetensors"}
    keep |= {"tokenizer_config.json", "special_tokens_map.json", *files}
    for file in folder.iterdir():
        if file.name not in keep:
            file.unlink()
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    return model, tokenizer


def labels_of(names: list[str]) -> dict:
    """The fields of config.json that name the classes."""
    return {"id2label": dict(enumerate(names)), "label2id": {n: i for i, n in enumerate(names)}}


def plain(value, digits: int = 7):
    """JSON values, floats rounded to `digits` significant ones."""
    if isinstance(value, dict):
        return {key: plain(one, digits) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(one, digits) for one in value]
    if isinstance(value, (float, np.floating)):
        return float(f"{float(value):.{digits}g}")
    return int(value) if isinstance(value, np.integer) else value


def ask(name: str, loaded, task: str, cases) -> None:
    """Append what the pipeline of `task` says of (input, options) to fixtures/NAME/outputs.json."""
    model, tokenizer = loaded
    made = transformers.pipeline(task, model=model, tokenizer=tokenizer, device="cpu")
    file = FOLDER / name / "outputs.json"
    found = json.loads(file.read_text()) if file.is_file() else []
    for given, options in cases:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            said = (
                made(**given, **options) if task == "question-answering" else made(given, **options)
            )
        case = {
            "task": task,
            "options": options,
            "input": given,
            "output": plain(said, 5 if task == "feature-extraction" else 7),
        }
        found.append(case)
    lines = ",\n".join(json.dumps(case, ensure_ascii=False) for case in found)
    file.write_text(f"[\n{lines}\n]\n")


def fill_mask() -> None:
    for name, kind, cls, config, mask in (
        ("bert_mlm", wordpiece(False), "BertForMaskedLM", "Bert", "[MASK]"),
        ("roberta_mlm", byte_level("roberta"), "RobertaForMaskedLM", "Roberta", "<mask>"),
    ):
        base = BERT if config == "Bert" else ROBERTA
        made = getattr(transformers, f"{config}Config")(vocab_size=len(kind), **base)
        loaded = save(name, getattr(transformers, cls), made, kind)
        texts = [text.replace("MASK", mask) for text in MASKED]
        cases = [(text, {"top_k": 6}) for text in texts]
        target = ["the", "harbour", "ship"] if config == "Bert" else [" the", " s", " h"]
        names = target if config == "Bert" else [one.replace(" ", "Ġ") for one in target]
        names = [one for one in names if one in kind.get_vocab()]
        cases.append((texts[0], {"targets": names}))
        cases.append((texts, {"top_k": 2}))
        ask(name, loaded, "fill-mask", cases)
        layered = [(text, {}) for text in TEXTS[:2]]
        if config == "Bert":
            ask(name, (loaded[0].bert, loaded[1]), "feature-extraction", layered)


def classify() -> None:
    for name, tokenizer, config, base in (
        ("bert_classes", wordpiece(False), "Bert", BERT),
        ("roberta_classes", byte_level("roberta"), "Roberta", ROBERTA),
        ("bart_classes", byte_level("bart"), "Bart", BART),
    ):
        cls = getattr(transformers, f"{config}ForSequenceClassification")
        labels = dict(
            id2label=dict(enumerate(LABELS)), label2id={n: i for i, n in enumerate(LABELS)}
        )
        made = getattr(transformers, f"{config}Config")(vocab_size=len(tokenizer), **base, **labels)
        loaded = save(name, cls, made, tokenizer)
        cases = [(text, {}) for text in TEXTS]
        cases += [(text, {"top_k": None}) for text in TEXTS[:3]]
        cases += [(TEXTS[0], {"top_k": 2}), (TEXTS, {"top_k": 1}), (TEXTS, {})]
        cases += [(TEXTS[1], {"function_to_apply": one, "top_k": None}) for one in
                  ("sigmoid", "softmax", "none")]  # fmt: skip
        cases += [({"text": a, "text_pair": b}, {"top_k": None}) for a, b in PAIRS]
        ask(name, loaded, "text-classification", cases)
        zero = [
            (text, {"candidate_labels": ["ships", "cold weather", "naïve café"], **more})
            for text in TEXTS[:3]
            for more in ({}, {"multi_label": True}, {"hypothesis_template": "It is about {}!"})
        ]
        zero += [(TEXTS[:2], {"candidate_labels": "ships, towns"}),
                 (TEXTS[0], {"candidate_labels": ["ships"]})]  # fmt: skip
        ask(name, loaded, "zero-shot-classification", zero)
    for name, problem, count in (
        ("bert_multilabel", "multi_label_classification", 4),
        ("bert_regression", "regression", 1),
    ):
        tokenizer = wordpiece(True)
        config = transformers.BertConfig(
            vocab_size=len(tokenizer), problem_type=problem, num_labels=count, **BERT
        )
        loaded = save(name, transformers.BertForSequenceClassification, config, tokenizer)
        raw = {"function_to_apply": "none"}
        ask(name, loaded, "text-classification",
            [(t, {"top_k": None, **(raw if count == 1 else {})}) for t in TEXTS])  # fmt: skip


def tag() -> None:
    for name, tokenizer, config, base in (
        ("bert_tokens", wordpiece(True), "Bert", BERT),
        ("roberta_tokens", byte_level("roberta"), "Roberta", ROBERTA),
    ):
        cls = getattr(transformers, f"{config}ForTokenClassification")
        labels = labels_of(TAGS)
        made = getattr(transformers, f"{config}Config")(vocab_size=len(tokenizer), **base, **labels)
        loaded = save(name, cls, made, tokenizer)
        ask(name, loaded, "token-classification", [
            (text, {"aggregation_strategy": how, **more})
            for text in TEXTS
            for how in ("none", "simple", "first", "average", "max")
            for more in ({}, {"ignore_labels": []})
        ])  # fmt: skip


def answer() -> None:
    for name, tokenizer, config, base in (
        ("bert_span", wordpiece(False), "Bert", BERT),
        ("roberta_span", byte_level("roberta"), "Roberta", ROBERTA),
    ):
        cls = getattr(transformers, f"{config}ForQuestionAnswering")
        made = getattr(transformers, f"{config}Config")(vocab_size=len(tokenizer), **base)
        loaded = save(name, cls, made, tokenizer)
        usual = {"max_answer_len": 30, "max_seq_len": 96, "doc_stride": 24}
        ask(name, loaded, "question-answering", [
            ({"question": question, "context": context}, {**usual, **more})
            for question, context in CONTEXTS
            for more in (
                {"top_k": 20},
                {"top_k": 20, "align_to_words": False},
                {"top_k": 1, "handle_impossible_answer": True},
                {"top_k": 20, "align_to_words": False, "handle_impossible_answer": True},
            )
        ])  # fmt: skip


def generate() -> None:
    tokenizer = byte_level("gpt2")
    config = transformers.GPT2Config(
        vocab_size=len(tokenizer), n_embd=12, n_layer=2, n_head=2, n_positions=96, n_inner=16,
        bos_token_id=0, eos_token_id=0,
    )  # fmt: skip
    loaded = save("gpt2_text", transformers.GPT2LMHeadModel, config, tokenizer)
    beams = {"num_beams": 3, "num_return_sequences": 2}
    ask("gpt2_text", loaded, "text-generation", [
        (prompt, {"max_new_tokens": 12, "do_sample": False, **more})
        for prompt in PROMPTS
        for more in ({}, {"return_full_text": False}, beams)
    ])  # fmt: skip
    tokenizer = byte_level("bart")
    config = transformers.BartConfig(vocab_size=len(tokenizer), forced_eos_token_id=2, **BART)
    loaded = save("bart_text", transformers.BartForConditionalGeneration, config, tokenizer)
    cases = [
        (text, {"max_new_tokens": 12, "do_sample": False, **more})
        for text in TEXTS[:5]
        for more in ({}, beams)
    ]
    ask("bart_text", loaded, "text2text-generation", cases)
    ask("bart_text", loaded, "summarization", [(text, o | {"min_length": 0}) for text, o in cases])
    t5()
    languages()


def t5() -> None:
    """T5 with the prefixes of its tasks."""
    tokenizer = transformers.T5Tokenizer(str(VOCABULARIES / "t5.model"), extra_ids=4, legacy=True)
    specific = {
        "summarization": {"prefix": "summarize: ", "min_length": 2, "max_length": 14},
        "translation_en_to_fr": {"prefix": "translate English to French: ", "max_length": 14},
    }
    config = transformers.T5Config(
        vocab_size=len(tokenizer), d_model=12, d_kv=6, d_ff=16, num_layers=1, num_heads=2,
        decoder_start_token_id=0, task_specific_params=specific,
    )  # fmt: skip
    loaded = save("t5_text", transformers.T5ForConditionalGeneration, config, tokenizer,
                  ("spiece.model",))  # fmt: skip
    more = {"max_new_tokens": 12}
    ask("t5_text", loaded, "summarization", [(t, more | {"min_length": 0}) for t in TEXTS[:3]])
    ask("t5_text", loaded, "translation_en_to_fr", [(text, more) for text in TEXTS[:3]])
    ask("t5_text", loaded, "text2text-generation", [(text, more) for text in TEXTS[:3]])


def languages() -> None:
    """mBART-25, whose first generated token names the language."""
    tokenizer = transformers.MBartTokenizer(str(VOCABULARIES / "plain.model"), src_lang="en_XX")
    config = transformers.MBartConfig(vocab_size=len(tokenizer), **BART)
    config.decoder_start_token_id = None
    loaded = save("mbart_text", transformers.MBartForConditionalGeneration, config, tokenizer,
                  ("sentencepiece.bpe.model",))  # fmt: skip
    cases = [
        (text, {"src_lang": "en_XX", "tgt_lang": code, "max_new_tokens": 12})
        for text in TEXTS[:3]
        for code in ("fr_XX", "ro_RO")
    ]
    ask("mbart_text", loaded, "translation", cases)
    m2m100()


def m2m100() -> None:
    """M2M100, whose vocabulary also has an ordinary token that is spelled like a code: en."""
    files = [str(VOCABULARIES / name) for name in ("m2m100.json", "plain.model")]
    tokenizer = transformers.M2M100Tokenizer(*files, src_lang="en")
    marks = list(tokenizer.lang_token_to_id)  # as in the published special_tokens_map.json
    tokenizer.add_special_tokens({"additional_special_tokens": marks})
    rows = 1 + max(tokenizer.lang_token_to_id.values())
    config = transformers.M2M100Config(vocab_size=rows, **BART)
    loaded = save("m2m100_text", transformers.M2M100ForConditionalGeneration, config, tokenizer,
                  ("sentencepiece.bpe.model", "vocab.json"),
                  range(min(tokenizer.lang_token_to_id.values()), rows))  # fmt: skip
    cases = [
        (text, {"src_lang": "en", "tgt_lang": code, "max_new_tokens": 12})
        for text in TEXTS[:3]
        for code in ("fr", "de")
    ]
    ask("m2m100_text", loaded, "translation", cases)


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for make in (fill_mask, classify, tag, answer, generate):
        make()
