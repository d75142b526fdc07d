"""Tiny models of transformers with random weights, and what they answer: fixtures for the tests.

    python tests/hf/make_fixtures.py [NAME ...]        needs torch and transformers 5
    python tests/hf/make_fixtures.py transfo_xl transfo_xl_shared transfo_xl_classes    4.57

Each becomes tests/hf/fixtures/NAME with config.json, model.safetensors and reference.npz, whose
arrays are `in.KEYWORD` and `out.OUTPUT`, and of decoders `gen.greedy.sequences`, which they write
after `gen.in.input_ids`. No weight keeps a trivial value (norms of 1, biases of 0,
an epsilon too small to see), so a weight or a field that is not carried over shows.

Transformer-XL, which transformers 5 has no more, reads a text in two segments, `in.input_ids.0` and
`.1`, the second remembering the first. ProphetNet's predicting streams are made right before they
are asked (see the bridge's prophetnet.py): `ahead.logits` holds all of them, `fixed.logits` the
first, which generates.
"""

import contextlib
import sys
from pathlib import Path

import numpy as np
import torch
import transformers
from safetensors.torch import save_file

FOLDER = Path(__file__).parent / "fixtures"
VOCAB, WIDTH, BATCH, CHOICES, LENGTH = 23, 8, 2, 3, 6
EPS = 3e-3
OLD = {"Conv1D"}  # keeps its kernel [in, out]

BERT = dict(
    vocab_size=VOCAB,
    hidden_size=WIDTH,
    num_hidden_layers=2,
    num_attention_heads=2,
    intermediate_size=12,
    max_position_embeddings=8,
    layer_norm_eps=EPS,
    pad_token_id=0,
)
GPT2 = dict(
    vocab_size=VOCAB,
    n_embd=WIDTH,
    n_layer=2,
    n_head=2,
    n_positions=8,
    n_inner=12,
    layer_norm_epsilon=EPS,
    pad_token_id=0,
    bos_token_id=1,
    eos_token_id=2,
)
T5 = dict(
    vocab_size=VOCAB,
    d_model=WIDTH,
    d_kv=5,
    d_ff=12,
    num_layers=2,
    num_decoder_layers=1,
    num_heads=2,
    relative_attention_num_buckets=8,
    relative_attention_max_distance=10,
    layer_norm_epsilon=EPS,
    pad_token_id=0,
    eos_token_id=1,
    decoder_start_token_id=0,
)
BART = dict(
    vocab_size=VOCAB,
    d_model=WIDTH,
    encoder_layers=1,
    decoder_layers=2,
    encoder_attention_heads=2,
    decoder_attention_heads=4,
    encoder_ffn_dim=12,
    decoder_ffn_dim=10,
    max_position_embeddings=12,
    pad_token_id=1,
    bos_token_id=0,
    eos_token_id=2,
    decoder_start_token_id=2,
    forced_eos_token_id=None,
)
MODERNBERT = dict(
    vocab_size=VOCAB,
    hidden_size=WIDTH,
    num_hidden_layers=4,
    num_attention_heads=2,
    intermediate_size=10,
    local_attention=4,
    global_attn_every_n_layers=2,
    norm_eps=EPS,
    pad_token_id=0,
    bos_token_id=1,
    eos_token_id=2,
    cls_token_id=1,
    sep_token_id=2,
)
DEBERTA = BERT | dict(relative_attention=True, type_vocab_size=0)
V2 = DEBERTA | dict(
    max_relative_positions=9,
    position_buckets=4,
    norm_rel_ebd="layer_norm",
    share_att_key=True,
    position_biased_input=False,
    legacy=False,
    pos_att_type="c2p|p2c",
)
LABELS = dict(num_labels=3)
SHALLOW = dict(num_hidden_layers=1)
ROBERTA = BERT | dict(
    type_vocab_size=1, pad_token_id=1, bos_token_id=0, eos_token_id=2, max_position_embeddings=10
)
DISTILBERT = dict(
    vocab_size=VOCAB,
    dim=WIDTH,
    n_layers=2,
    n_heads=2,
    hidden_dim=12,
    max_position_embeddings=8,
    pad_token_id=0,
)
LONGFORMER = ROBERTA | dict(attention_window=[4, 8], sep_token_id=2, max_position_embeddings=14)
ALBERT = BERT | dict(embedding_size=6, num_hidden_layers=3, hidden_act="gelu_new")
ELECTRA = BERT | dict(embedding_size=6)
LLAMA = dict(
    vocab_size=VOCAB,
    hidden_size=WIDTH,
    intermediate_size=12,
    num_hidden_layers=2,
    num_attention_heads=2,
    num_key_value_heads=1,
    max_position_embeddings=8,
    rms_norm_eps=EPS,
    pad_token_id=0,
    bos_token_id=1,
    eos_token_id=2,
)
LONG = dict(
    rope_type="llama3",
    rope_theta=5000.0,
    factor=8.0,
    low_freq_factor=1.0,
    high_freq_factor=4.0,
    original_max_position_embeddings=8,
)
NEOX = dict(
    vocab_size=VOCAB,
    hidden_size=WIDTH,
    intermediate_size=12,
    num_hidden_layers=2,
    num_attention_heads=2,
    max_position_embeddings=8,
    layer_norm_eps=EPS,
    rotary_pct=0.5,
    rotary_emb_base=300,
    pad_token_id=0,
    bos_token_id=1,
    eos_token_id=2,
)
NEO = dict(
    vocab_size=VOCAB,
    hidden_size=WIDTH,
    intermediate_size=12,
    num_layers=2,
    num_heads=2,
    max_position_embeddings=8,
    layer_norm_epsilon=EPS,
    attention_types=[[["global", "local"], 1]],
    window_size=3,
    pad_token_id=0,
    bos_token_id=1,
    eos_token_id=2,
)
GPT = dict(
    vocab_size=VOCAB,
    n_embd=WIDTH,
    n_layer=2,
    n_head=2,
    n_positions=8,
    layer_norm_epsilon=EPS,
    pad_token_id=0,
    bos_token_id=1,
    eos_token_id=2,
)
BLOOM = dict(  # three heads: slopes that are no plain series
    vocab_size=VOCAB,
    hidden_size=12,
    n_layer=2,
    n_head=3,
    layer_norm_epsilon=EPS,
    pad_token_id=0,
    bos_token_id=1,
    eos_token_id=2,
)
TXL = dict(
    vocab_size=VOCAB,
    cutoffs=[7, 15],
    d_model=WIDTH,
    d_embed=6,
    n_head=2,
    d_head=5,
    d_inner=12,
    div_val=2,
    n_layer=2,
    mem_len=4,
    clamp_len=5,
    layer_norm_epsilon=EPS,
    eos_token_id=0,
)
PROPHETNET = dict(
    vocab_size=VOCAB,
    hidden_size=WIDTH,
    num_encoder_layers=1,
    num_decoder_layers=2,
    num_encoder_attention_heads=4,
    num_decoder_attention_heads=2,
    encoder_ffn_dim=12,
    decoder_ffn_dim=10,
    max_position_embeddings=16,
    ngram=3,
    num_buckets=4,
    relative_max_distance=6,
    pad_token_id=0,
    bos_token_id=1,
    eos_token_id=2,
    decoder_start_token_id=1,
    use_cache=False,
)
SCALED = BART | dict(scale_embedding=True)
MARIAN = SCALED | dict(
    activation_function="swish",
    eos_token_id=0,
    bos_token_id=None,
    pad_token_id=VOCAB - 1,
    decoder_start_token_id=VOCAB - 1,
    share_encoder_decoder_embeddings=True,
)
EVEN = dict(encoder_layers=2)  # a decoder's cache has as many layers as the absent encoder
GATED = dict(feed_forward_proj="gated-gelu")

# name: (class, its config's arguments)
MODELS = {
    "bert": ("BertForPreTraining", BERT),
    "bert_relu_tokens": ("BertForTokenClassification", {**BERT, **LABELS, "hidden_act": "relu"}),
    "bert_classes": ("BertForSequenceClassification", BERT | LABELS),
    "bert_span": ("BertForQuestionAnswering", BERT),
    "bert_body": ("BertModel", BERT),
    "bert_causal": ("BertLMHeadModel", BERT | dict(is_decoder=True)),
    "roberta_causal": ("RobertaForCausalLM", ROBERTA | dict(is_decoder=True)),
    "gpt2": ("GPT2LMHeadModel", GPT2),
    "gpt2_by_depth": (
        "GPT2LMHeadModel",
        GPT2 | dict(scale_attn_by_inverse_layer_idx=True, tie_word_embeddings=False),
    ),
    "gpt2_body": ("GPT2Model", GPT2),
    "gpt2_classes": ("GPT2ForSequenceClassification", GPT2 | LABELS),
    "t5": ("T5ForConditionalGeneration", T5),
    "t5_gated": ("T5ForConditionalGeneration", T5 | GATED | dict(tie_word_embeddings=False)),
    "t5_classes": ("T5ForSequenceClassification", T5 | LABELS),
    "t5_span": ("T5ForQuestionAnswering", T5),
    "t5_body": ("T5Model", T5 | GATED | dict(tie_word_embeddings=False)),
    "t5_encoder": ("T5EncoderModel", T5),
    "mt5_encoder_tokens": ("MT5ForTokenClassification", T5 | GATED | LABELS),
    "mt5": ("MT5ForConditionalGeneration", T5 | GATED | dict(tie_word_embeddings=False)),
    "bart": ("BartForConditionalGeneration", BART),
    "bart_scaled_body": (
        "BartModel",
        BART | dict(scale_embedding=True, activation_function="relu"),
    ),
    "bart_causal": ("BartForCausalLM", BART | EVEN | dict(activation_function="relu")),
    "mbart_causal": ("MBartForCausalLM", SCALED | EVEN | dict(tie_word_embeddings=False)),
    "pegasus_causal": (
        "PegasusForCausalLM",
        SCALED
        | EVEN
        | dict(activation_function="relu", pad_token_id=0, eos_token_id=1, bos_token_id=2),
    ),
    "marian_causal": ("MarianForCausalLM", MARIAN | EVEN),
    "bart_classes": ("BartForSequenceClassification", BART | LABELS),
    "roberta": ("RobertaForMaskedLM", ROBERTA | dict(hidden_act="relu")),
    "roberta_classes": ("RobertaForSequenceClassification", ROBERTA | LABELS),
    "xlm_roberta": ("XLMRobertaForMaskedLM", ROBERTA),
    "distilbert": ("DistilBertForMaskedLM", DISTILBERT),
    "distilbert_classes": ("DistilBertForSequenceClassification", DISTILBERT | LABELS),
    "albert": ("AlbertForPreTraining", ALBERT),
    "albert_groups": (
        "AlbertForMaskedLM",
        ALBERT | dict(num_hidden_groups=2, inner_group_num=2, num_hidden_layers=4),
    ),
    "electra_generator": ("ElectraForMaskedLM", ELECTRA | dict(hidden_act="relu")),
    "electra_discriminator": ("ElectraForPreTraining", ELECTRA | dict(embedding_size=WIDTH)),
    "electra_classes": ("ElectraForSequenceClassification", ELECTRA | LABELS),
    "llama": ("LlamaForCausalLM", LLAMA),
    "llama_long": (
        "LlamaForCausalLM",
        LLAMA
        | dict(tie_word_embeddings=True, attention_bias=True, mlp_bias=True, rope_parameters=LONG),
    ),
    "llama_classes": ("LlamaForSequenceClassification", LLAMA | LABELS),
    "qwen2": (
        "Qwen2ForCausalLM",
        LLAMA | dict(use_sliding_window=True, sliding_window=3, max_window_layers=1),
    ),
    "qwen3": ("Qwen3ForCausalLM", LLAMA | dict(head_dim=6, tie_word_embeddings=True)),
    "mbart": ("MBartForConditionalGeneration", SCALED | dict(decoder_start_token_id=VOCAB - 2)),
    "pegasus": (
        "PegasusForConditionalGeneration",
        SCALED
        | dict(
            activation_function="relu",
            pad_token_id=0,
            eos_token_id=1,
            bos_token_id=None,
            decoder_start_token_id=0,
        ),
    ),
    "marian": ("MarianMTModel", MARIAN),
    "marian_two_tables": (
        "MarianMTModel",
        MARIAN | dict(share_encoder_decoder_embeddings=False, decoder_vocab_size=VOCAB),
    ),
    "m2m_100": ("M2M100ForConditionalGeneration", SCALED | dict(activation_function="relu")),
    "llama_span": ("LlamaForQuestionAnswering", LLAMA),
    "gpt_neox": ("GPTNeoXForCausalLM", NEOX),
    "gpt_neox_sequential": (
        "GPTNeoXForCausalLM",
        NEOX | dict(use_parallel_residual=False, hidden_act="gelu_new", tie_word_embeddings=True),
    ),
    "gptj": ("GPTJForCausalLM", GPT | dict(rotary_dim=2, n_inner=12)),
    "gpt_neo": ("GPTNeoForCausalLM", NEO),
    "openai_gpt": ("OpenAIGPTLMHeadModel", GPT),
    "ctrl": ("CTRLLMHeadModel", GPT | dict(dff=12)),
    "ctrl_classes": ("CTRLForSequenceClassification", GPT | LABELS | dict(dff=12)),
    "bloom": ("BloomForCausalLM", BLOOM),
    "bloom_body": ("BloomModel", BLOOM),
    "modernbert": ("ModernBertForMaskedLM", MODERNBERT),
    "modernbert_mean_biased": (
        "ModernBertForSequenceClassification",
        MODERNBERT
        | LABELS
        | dict(classifier_pooling="mean", attention_bias=True, mlp_bias=True, norm_bias=True),
    ),
    "modernbert_span": ("ModernBertForQuestionAnswering", MODERNBERT),
    "deberta": (
        "DebertaForMaskedLM",
        DEBERTA
        | dict(
            max_relative_positions=5,
            position_biased_input=False,
            legacy=False,
            pos_att_type="c2p|p2c",
        ),
    ),
    "deberta_biased": (
        "DebertaForTokenClassification",
        DEBERTA | LABELS | dict(max_relative_positions=4, type_vocab_size=2, pos_att_type="p2c"),
    ),
    "deberta_v2_conv": (
        "DebertaV2ForMaskedLM",
        V2 | dict(conv_kernel_size=3, conv_act="tanh", tie_word_embeddings=True),
    ),
    "deberta_v2_unshared": (
        "DebertaV2ForMaskedLM",
        V2 | dict(share_att_key=False, norm_rel_ebd="none", legacy=True, position_buckets=-1),
    ),
    "deberta_v3_classes": ("DebertaV2ForSequenceClassification", V2 | LABELS),
    "longformer": ("LongformerForMaskedLM", LONGFORMER),
    "longformer_classes": ("LongformerForSequenceClassification", LONGFORMER | LABELS),
    "led": (
        "LEDForConditionalGeneration",
        {key: value for key, value in BART.items() if key != "max_position_embeddings"}
        | dict(
            encoder_layers=2,
            attention_window=[4, 8],
            max_encoder_position_embeddings=12,
            max_decoder_position_embeddings=8,
        ),
    ),
    "transfo_xl": ("TransfoXLLMHeadModel", TXL),
    "transfo_xl_shared": (  # what every layer has in common lies in the file once for each
        "TransfoXLLMHeadModel",
        TXL
        | dict(
            d_embed=WIDTH,
            div_val=1,
            untie_r=False,
            pre_lnorm=True,
            same_length=False,
            clamp_len=-1,
            d_head=4,
        ),
    ),
    "transfo_xl_classes": (
        "TransfoXLForSequenceClassification",
        TXL | LABELS | dict(d_embed=WIDTH, pad_token_id=0, same_length=False),
    ),
    "prophetnet": ("ProphetNetForConditionalGeneration", PROPHETNET),
    "prophetnet_causal": (
        "ProphetNetForCausalLM",
        PROPHETNET | dict(num_encoder_layers=2, use_cache=True),
    ),
    "bert_multiple_choice": ("BertForMultipleChoice", BERT | SHALLOW),
    "roberta_multiple_choice": ("RobertaForMultipleChoice", ROBERTA | SHALLOW),
    "albert_multiple_choice": ("AlbertForMultipleChoice", ALBERT | SHALLOW),
    "electra_multiple_choice": ("ElectraForMultipleChoice", ELECTRA | SHALLOW),
    "distilbert_multiple_choice": ("DistilBertForMultipleChoice", DISTILBERT | dict(n_layers=1)),
    "deberta_v3_multiple_choice": ("DebertaV2ForMultipleChoice", V2 | SHALLOW),
    "longformer_multiple_choice": (
        "LongformerForMultipleChoice",
        LONGFORMER | SHALLOW | dict(attention_window=[4]),
    ),
    "modernbert_multiple_choice": (
        "ModernBertForMultipleChoice",
        MODERNBERT | dict(num_hidden_layers=2, classifier_pooling="mean"),
    ),
    "prophetnet_body": ("ProphetNetModel", PROPHETNET | dict(ngram=1, pad_token_id=1)),
}
# Absolute positions that count padding too: such rows may be padded on the left.
COUNTED = ("bert", "distilbert", "albert", "electra", "modernbert", "deberta", "deberta-v2")
# Decoders whose positions count padding: written after prompts without any.
UNPADDED = (
    *("BartForCausalLM", "MBartForCausalLM", "PegasusForCausalLM", "MarianForCausalLM"),
    "ProphetNetForCausalLM",
)


def build(name: str):
    """The model, its weights drawn anew."""
    kind, arguments = MODELS[name]
    cls = getattr(old_models() if kind.startswith("TransfoXL") else transformers, kind)
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


def old_models():
    """Transformer-XL of transformers 4.57, which calls `type_as` in a way that torch has not."""
    from transformers.models.deprecated import transfo_xl

    as_torch_has_it = torch.Tensor.type_as

    def type_as(self, other=None, dtype=None):
        return self.to(dtype) if dtype is not None else as_torch_has_it(self, other)

    torch.Tensor.type_as = type_as
    return transfo_xl


def fresh(module, key: str, weight, draw):
    """Norms near ±1, biases of 0.2, kernels that keep a vector's length, loud tables."""
    noise = torch.randn(weight.shape, generator=draw)
    if weight.dim() == 1:
        sign = torch.randint(0, 2, weight.shape, generator=draw) * 2.0 - 1
        return (1 + 0.2 * noise) * sign if key == "weight" else 0.2 * noise
    if "Sinusoidal" in type(module).__name__:
        return weight
    if isinstance(module, torch.nn.Embedding):
        return 0.5 * noise
    inputs = weight.shape[0] if type(module).__name__ in OLD else weight.shape[-1]
    return noise / inputs**0.5


def inputs_of(model) -> dict[str, np.ndarray]:
    """Two rows, the second shorter, padded on the left where positions allow it."""
    config = model.config
    rng = np.random.default_rng(7)
    if config.model_type == "transfo-xl":  # knows no padding
        return {"input_ids": rng.integers(1, VOCAB, (BATCH, LENGTH))}
    choices = (CHOICES,) if "MultipleChoice" in type(model).__name__ else ()
    ids = rng.integers(5, VOCAB - 3, (BATCH, *choices, LENGTH))
    mask = np.ones_like(ids)
    left = config.model_type in COUNTED and not choices
    hidden = slice(0, 2) if left else slice(LENGTH - 2, LENGTH)
    mask[1, ..., hidden], ids[1, ..., hidden] = 0, config.pad_token_id
    found = {"input_ids": ids, "attention_mask": mask}
    if hasattr(config, "attention_window") and "Classification" not in type(model).__name__:
        found["global_attention_mask"] = np.zeros_like(ids)  # else the model chooses
        found["global_attention_mask"][0, ..., [0, 3]] = 1
        found["global_attention_mask"][1, ..., 1] = 1
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


def segments_of(model) -> dict[str, np.ndarray]:
    """What Transformer-XL answers to a text in two segments, and its loss on the first."""
    rng, found, memory = np.random.default_rng(7), {}, None
    for part, length in (("0", LENGTH), ("1", LENGTH - 1)):
        ids = rng.integers(0, VOCAB, (BATCH, length))
        with torch.no_grad():
            made = model(torch.as_tensor(ids), mems=memory, output_hidden_states=True)
            scored = model(torch.as_tensor(ids), labels=torch.as_tensor(ids))
        memory = made.mems
        found[f"in.input_ids.{part}"] = ids
        found[f"out.logprobs.{part}"] = made.prediction_scores.numpy()
        found[f"out.hidden_states.{part}"] = torch.stack(made.hidden_states).numpy()
        found.setdefault("loss", scored.loss.numpy())
    return found


@contextlib.contextmanager
def ordered_streams():
    """ProphetNet gathers the biases of its predicting streams in their order."""
    from transformers.models.prophetnet import modeling_prophetnet as there

    def ordered(self, hidden_states, attn_weights, position_ids, buckets):
        made = self.relative_pos_embeddings(hidden_states)  # [B T n buckets·heads]
        made = made.unflatten(-1, (self.num_buckets, self.num_attn_heads)).permute(0, 2, 4, 1, 3)
        if buckets is None:  # one token after those of a cache, which it is right about
            return before(self, hidden_states, attn_weights, position_ids, buckets)
        places = buckets.long()[:, None, None]
        return made.gather(-1, places.expand(*made.shape[:3], *buckets.shape[1:]))

    attention = there.ProphetNetNgramSelfAttention
    before = attention.get_predict_relative_pos_embeddings
    attention.get_predict_relative_pos_embeddings = ordered
    yield
    attention.get_predict_relative_pos_embeddings = before


def writings_of(model) -> dict[str, np.ndarray]:
    """What a decoder writes after two prompts, the likeliest token each time."""
    config = model.config
    if config.is_encoder_decoder or not model.can_generate():
        return {}
    ids = np.array([[7, 12, 9], [config.pad_token_id, 11, 6]])
    if type(model).__name__ in UNPADDED:
        ids[1, 0] = 8
    given = {"input_ids": ids, "attention_mask": (ids != config.pad_token_id).astype(np.int64)}
    asked = {key: torch.as_tensor(value) for key, value in given.items()}
    written = model.generate(**asked, max_new_tokens=5, do_sample=False, num_beams=1).numpy()
    return {f"gen.in.{k}": v for k, v in given.items()} | {"gen.greedy.sequences": written}


def save(model, folder: Path) -> None:
    """config.json and model.safetensors. What layers share transformers does not save this way:
    then every name has its copy, as in the pickles it used to write."""
    if getattr(model.config, "untie_r", True):
        return model.save_pretrained(folder)
    model.config.architectures = [type(model).__name__]
    model.config.save_pretrained(folder)
    tensors = {name: tensor.clone().contiguous() for name, tensor in model.state_dict().items()}
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


def make(name: str) -> None:
    """Write one fixture."""
    model = build(name)
    folder = FOLDER / name
    save(model, folder)
    (folder / "generation_config.json").unlink(missing_ok=True)
    inputs = inputs_of(model)
    arrays = {f"in.{key}": value for key, value in inputs.items()}
    if type(model).__name__ == "TransfoXLLMHeadModel":
        arrays = segments_of(model)
    elif model.config.model_type == "prophetnet":
        with ordered_streams():
            made = outputs_of(model, inputs)
            arrays |= writings_of(model)
        ahead = [made.pop("logits")[:, None], made.pop("logits_ngram")] if "logits" in made else []
        arrays |= {f"out.{key}": value for key, value in made.items() if "ngram" not in key}
        if ahead:
            arrays["ahead.logits"] = np.concatenate(ahead, axis=1)
            arrays["fixed.logits"] = arrays["ahead.logits"][:, 0]
    else:
        arrays |= {f"out.{key}": value for key, value in outputs_of(model, inputs).items()}
    if model.config.model_type != "prophetnet":
        arrays |= writings_of(model)
    np.savez_compressed(folder / "reference.npz", **arrays)


if __name__ == "__main__":
    for name in sys.argv[1:] or MODELS:
        make(name)
        print(name, sum(f.stat().st_size for f in (FOLDER / name).iterdir()), "bytes")
