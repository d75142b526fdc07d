"""Tiny models of transformers with random weights, and what they answer: fixtures for the tests.

    python tests/bridge/make_fixtures.py [NAME ...]        needs torch and transformers 5

Each becomes tests/bridge/fixtures/NAME with config.json, model.safetensors and reference.npz, whose
arrays are `in.KEYWORD` and `out.OUTPUT`. No weight keeps a trivial value (norms of 1, biases of 0,
an epsilon too small to see), so a weight or a field that is not carried over shows.
"""

import sys
from pathlib import Path

import numpy as np
import torch
import transformers

FOLDER = Path(__file__).parent / "fixtures"
VOCAB, WIDTH, BATCH, LENGTH = 23, 8, 2, 6
EPS = 3e-3
OLD = {"Conv1D"}  # keeps its kernel [in, out]

BERT = dict(
    vocab_size=VOCAB, hidden_size=WIDTH, num_hidden_layers=2, num_attention_heads=2,
    intermediate_size=12, max_position_embeddings=8, layer_norm_eps=EPS, pad_token_id=0,
)
GPT2 = dict(
    vocab_size=VOCAB, n_embd=WIDTH, n_layer=2, n_head=2, n_positions=8, n_inner=12,
    layer_norm_epsilon=EPS, pad_token_id=0, bos_token_id=1, eos_token_id=2,
)
T5 = dict(
    vocab_size=VOCAB, d_model=WIDTH, d_kv=5, d_ff=12, num_layers=2, num_decoder_layers=1,
    num_heads=2, relative_attention_num_buckets=8, relative_attention_max_distance=10,
    layer_norm_epsilon=EPS, pad_token_id=0, eos_token_id=1, decoder_start_token_id=0,
)
BART = dict(
    vocab_size=VOCAB, d_model=WIDTH, encoder_layers=1, decoder_layers=2, encoder_attention_heads=2,
    decoder_attention_heads=4, encoder_ffn_dim=12, decoder_ffn_dim=10, max_position_embeddings=8,
    pad_token_id=1, bos_token_id=0, eos_token_id=2, decoder_start_token_id=2,
    forced_eos_token_id=None,
)
LABELS = dict(num_labels=3)
GATED = dict(feed_forward_proj="gated-gelu")

# name: (class, its config's arguments)
MODELS = {
    "bert": ("BertForPreTraining", BERT),
    "bert_relu_tokens": ("BertForTokenClassification", {**BERT, **LABELS, "hidden_act": "relu"}),
    "bert_classes": ("BertForSequenceClassification", BERT | LABELS),
    "bert_span": ("BertForQuestionAnswering", BERT),
    "bert_body": ("BertModel", BERT),
    "gpt2": ("GPT2LMHeadModel", GPT2),
    "gpt2_by_depth": (
        "GPT2LMHeadModel",
        GPT2 | dict(scale_attn_by_inverse_layer_idx=True, tie_word_embeddings=False),
    ),
    "gpt2_classes": ("GPT2ForSequenceClassification", GPT2 | LABELS),
    "t5": ("T5ForConditionalGeneration", T5),
    "t5_gated": ("T5ForConditionalGeneration", T5 | GATED | dict(tie_word_embeddings=False)),
    "t5_classes": ("T5ForSequenceClassification", T5 | LABELS),
    "mt5": ("MT5ForConditionalGeneration", T5 | GATED | dict(tie_word_embeddings=False)),
    "bart": ("BartForConditionalGeneration", BART),
    "bart_scaled_body": (
        "BartModel",
        BART | dict(scale_embedding=True, activation_function="relu"),
    ),
    "bart_classes": ("BartForSequenceClassification", BART | LABELS),
}
ENCODER_DECODER = ("t5", "mt5", "bart", "mbart", "marian", "m2m_100", "pegasus")


def build(name: str):
    """The model, its weights drawn anew."""
    kind, arguments = MODELS[name]
    cls = getattr(transformers, kind)
    seed = sum(map(ord, name))
    torch.manual_seed(seed)
    config = cls.config_class(**arguments)
    model = cls._from_config(config, attn_implementation="eager").eval().float()
    draw = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for module in model.modules():
            for key, weight in module.named_parameters(recurse=False):
                if weight.requires_grad:
                    weight.copy_(fresh(module, key, weight, draw))
        for key, buffer in model.named_buffers():
            if key.endswith("final_logits_bias"):
                buffer.copy_(0.3 * torch.randn(buffer.shape, generator=draw))
    return model


def fresh(module, key: str, weight, draw):
    """Norms near ±1, biases of 0.2, kernels that keep a vector's length, loud tables."""
    noise = torch.randn(weight.shape, generator=draw)
    if weight.dim() == 1:
        sign = torch.randint(0, 2, weight.shape, generator=draw) * 2.0 - 1
        return (1 + 0.2 * noise) * sign if key == "weight" else 0.2 * noise
    if isinstance(module, torch.nn.Embedding):
        return 0.5 * noise
    inputs = weight.shape[0] if type(module).__name__ in OLD else weight.shape[-1]
    return noise / inputs**0.5


def inputs_of(model) -> dict[str, np.ndarray]:
    """Two rows, the second shorter; an encoder's second row is padded on the left."""
    config = model.config
    rng = np.random.default_rng(7)
    ids = rng.integers(5, VOCAB - 3, (BATCH, LENGTH))
    mask = np.ones_like(ids)
    left = not (config.is_encoder_decoder or "GPT" in type(model).__name__)
    hidden = slice(0, 2) if left and config.model_type in ("bert",) else slice(LENGTH - 2, LENGTH)
    mask[1, hidden], ids[1, hidden] = 0, config.pad_token_id
    found = {"input_ids": ids, "attention_mask": mask}
    if getattr(config, "type_vocab_size", 0) > 1:
        found["token_type_ids"] = rng.integers(0, config.type_vocab_size, ids.shape)
    if config.is_encoder_decoder:
        for row, length in enumerate(mask.sum(1)):
            ids[row, length - 1] = config.eos_token_id
        if "Classification" not in type(model).__name__:
            words = rng.integers(5, VOCAB - 3, (BATCH, LENGTH - 2))
            words[:, 0] = config.decoder_start_token_id
            found |= {"decoder_input_ids": words, "decoder_attention_mask": np.ones_like(words)}
    return found


def outputs_of(model, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """What the model answers; the states of all layers as one array."""
    with torch.no_grad():
        given = {key: torch.as_tensor(value) for key, value in inputs.items()}
        made = model(**given, output_hidden_states=True, return_dict=True)
    found = {}
    for key, value in made.items():
        key = {"prediction_logits": "logits"}.get(key, key)
        if isinstance(value, tuple) and key.endswith("hidden_states"):
            found[key] = torch.stack(value).numpy()
        elif torch.is_tensor(value):
            found[key] = value.numpy()
    return found


def make(name: str) -> None:
    """Write one fixture."""
    model = build(name)
    folder = FOLDER / name
    model.save_pretrained(folder)
    (folder / "generation_config.json").unlink(missing_ok=True)
    inputs = inputs_of(model)
    arrays = {f"in.{key}": value for key, value in inputs.items()}
    arrays |= {f"out.{key}": value for key, value in outputs_of(model, inputs).items()}
    np.savez_compressed(folder / "reference.npz", **arrays)


if __name__ == "__main__":
    for name in sys.argv[1:] or MODELS:
        make(name)
        print(name, sum(f.stat().st_size for f in (FOLDER / name).iterdir()), "bytes")
