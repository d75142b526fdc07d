"""Each family at its published size, described by its config.json, has the published parameters.

Counted from shapes: no weight is made. Positions that a family's files hold and that are computed
here are added where the published figure counts them.
"""

import jax
import pytest
from flax import nnx

from fxformer.config.build import build
from fxformer.config.options import composed
from fxformer.hf.config_map import COMMON
from fxformer.hf.family import family_of

BERT = dict(model_type="bert", vocab_size=30522)
ROBERTA = dict(max_position_embeddings=514, type_vocab_size=1, layer_norm_eps=1e-5)
T5 = dict(model_type="t5", vocab_size=32128)
T5_SMALL = dict(d_model=512, num_layers=6, num_heads=8, d_ff=2048, d_kv=64)
V11_SMALL = dict(
    d_model=512,
    num_layers=8,
    num_heads=6,
    d_ff=1024,
    d_kv=64,
    feed_forward_proj="gated-gelu",
    tie_word_embeddings=False,
)
BART_BASE = dict(
    d_model=768,
    encoder_layers=6,
    decoder_layers=6,
    encoder_attention_heads=12,
    decoder_attention_heads=12,
    encoder_ffn_dim=3072,
    decoder_ffn_dim=3072,
)
MARIAN = dict(
    d_model=512,
    encoder_layers=6,
    decoder_layers=6,
    encoder_attention_heads=8,
    decoder_attention_heads=8,
    encoder_ffn_dim=2048,
    decoder_ffn_dim=2048,
    activation_function="swish",
    scale_embedding=True,
    max_position_embeddings=512,
)
LLAMA = dict(hidden_size=4096, intermediate_size=11008, num_hidden_layers=32)
QWEN2 = dict(
    hidden_size=896,
    intermediate_size=4864,
    num_hidden_layers=24,
    num_attention_heads=14,
    num_key_value_heads=2,
    rope_theta=1e6,
)
QWEN3 = dict(
    hidden_size=1024,
    intermediate_size=3072,
    num_hidden_layers=28,
    head_dim=128,
    num_attention_heads=16,
    num_key_value_heads=8,
    rope_theta=1e6,
)
PEGASUS = dict(
    encoder_layers=16, decoder_layers=16, activation_function="relu", scale_embedding=True
)
DEBERTA = dict(
    attention_probs_dropout_prob=0.1,
    hidden_act="gelu",
    hidden_dropout_prob=0.1,
    hidden_size=768,
    initializer_range=0.02,
    intermediate_size=3072,
    max_position_embeddings=512,
    relative_attention=True,
    position_buckets=256,
    norm_rel_ebd="layer_norm",
    share_att_key=True,
    pos_att_type="p2c|c2p",
    layer_norm_eps=1e-7,
    max_relative_positions=-1,
    position_biased_input=False,
    num_attention_heads=12,
    num_hidden_layers=12,
    type_vocab_size=0,
)
LONGFORMER = dict(
    attention_mode="longformer",
    attention_window=[512] * 12,
    gradient_checkpointing=False,
    hidden_size=768,
    ignore_attention_mask=False,
    layer_norm_eps=1e-5,
    pad_token_id=1,
    max_position_embeddings=4098,
    sep_token_id=2,
    type_vocab_size=1,
)
MODERNBERT = dict(
    hidden_size=768,
    num_hidden_layers=22,
    num_attention_heads=12,
    intermediate_size=1152,
    hidden_activation="gelu",
    global_rope_theta=160000.0,
    local_rope_theta=10000.0,
    local_attention=128,
    global_attn_every_n_layers=3,
    max_position_embeddings=8192,
    norm_eps=1e-5,
    norm_bias=False,
    attention_bias=False,
    mlp_bias=False,
    decoder_bias=True,
    classifier_pooling="mean",
    classifier_activation="gelu",
    deterministic_flash_attn=False,
    embedding_dropout=0.0,
    mlp_dropout=0.0,
    attention_dropout=0.0,
    initializer_cutoff_factor=2.0,
    sparse_prediction=False,
    sparse_pred_ignore_index=-100,
)
LED = BART_BASE | dict(
    activation_function="gelu",
    attention_window=[1024] * 6,
    max_encoder_position_embeddings=16384,
    max_decoder_position_embeddings=1024,
    classif_dropout=0.1,
    init_std=0.02,
    dropout=0.1,
)
PROPHETNET = dict(
    model_type="prophetnet",
    vocab_size=30522,
    hidden_size=1024,
    ngram=2,
    num_buckets=32,
    relative_max_distance=128,
    disable_ngram_loss=False,
    padding_idx=0,
    pad_token_id=0,
    encoder_max_position_embeddings=513,
    decoder_max_position_embeddings=514,
    max_position_embeddings=512,
    encoder_layerdrop=0.0,
    decoder_layerdrop=0.0,
    eps=0.1,
)
TIED, BARE = ("model/head=tied",), ("model/head=none",)
POOLED = (*BARE, "model/task_head=pooler")

# name: (config.json, what its form chooses, parameters)
PUBLISHED = {
    "bert-base-uncased": (BERT, POOLED, 109_482_240),
    "roberta-base": (dict(model_type="roberta", vocab_size=50265) | ROBERTA, (), 124_697_433),
    "xlm-roberta-base": (
        dict(model_type="xlm-roberta", vocab_size=250002) | ROBERTA,
        (),
        278_295_186,
    ),
    "distilbert-base": (dict(model_type="distilbert", vocab_size=30522), BARE, 66_362_880),
    "albert-base": (
        dict(
            model_type="albert",
            vocab_size=30000,
            hidden_size=768,
            num_attention_heads=12,
            intermediate_size=3072,
        ),
        POOLED,
        11_683_584,
    ),
    "electra-small": (dict(model_type="electra", vocab_size=30522), BARE, 13_483_008),
    "electra-base": (
        dict(
            model_type="electra",
            vocab_size=30522,
            hidden_size=768,
            embedding_size=768,
            num_attention_heads=12,
            intermediate_size=3072,
        ),
        BARE,
        108_891_648,
    ),
    "gpt2": (dict(model_type="gpt2", vocab_size=50257), (), 124_439_808),
    "llama-2-7b": (dict(model_type="llama", vocab_size=32000) | LLAMA, (), 6_738_415_616),
    "qwen2-0.5b": (dict(model_type="qwen2", vocab_size=151936) | QWEN2, TIED, 494_032_768),
    "qwen3-0.6b": (dict(model_type="qwen3", vocab_size=151936) | QWEN3, TIED, 596_049_920),
    "t5-small": (T5 | T5_SMALL, (), 60_506_624),
    "t5-v1_1-small": (T5 | V11_SMALL, ("model/head=untied",), 76_961_152),
    "mt5-small": (
        dict(model_type="mt5", vocab_size=250112) | V11_SMALL,
        ("model/head=untied",),
        300_176_768,
    ),
    "bart-base": (dict(model_type="bart", vocab_size=50265) | BART_BASE, (), 139_420_416),
    "mbart-large-cc25": (
        dict(model_type="mbart", vocab_size=250027, scale_embedding=True),
        (),
        610_851_840,
    ),
    "m2m100-418M": (dict(model_type="m2m_100", vocab_size=128112), (), 483_905_536),
    "opus-mt-en-de": (
        dict(model_type="marian", vocab_size=58101) | MARIAN,
        (),
        74_410_496 - 2 * 512 * 512,
    ),
    "deberta-v3-base": (
        dict(model_type="deberta-v2", vocab_size=128100) | DEBERTA,
        BARE,
        183_831_552,
    ),
    "longformer-base": (
        dict(model_type="longformer", vocab_size=50265) | LONGFORMER,
        POOLED,
        148_659_456,
    ),
    "modernbert-base": (
        dict(model_type="modernbert", vocab_size=50368) | MODERNBERT,
        BARE,
        149_014_272,
    ),
    "led-base": (dict(model_type="led", vocab_size=50265) | LED, (), 161_844_480),
    "prophetnet-large": (PROPHETNET, (), 391_321_600),
    "pegasus-large": (  # both tables of positions are stored
        dict(model_type="pegasus", vocab_size=96103) | PEGASUS,
        (),
        570_797_056 - 2 * 1024 * 1024,
    ),
}


@pytest.mark.parametrize("name", PUBLISHED)
@pytest.mark.sample(4)
def test_a_published_config_has_the_published_parameters(name):
    config, choices, parameters = PUBLISHED[name]
    family = family_of(config)
    config = family.normalize(config)
    assert not set(config) - family.known
    words = [word for field in (*family.config_map, *COMMON) for word in field.overrides(config)]
    cfg = composed(None, [f"+model={family.model}", *words, *choices])
    network = build(cfg.model.network)
    model = nnx.eval_shape(lambda: network(vocab=config["vocab_size"], rngs=nnx.Rngs(0)))
    assert sum(x.size for x in jax.tree.leaves(nnx.split(model)[1])) == parameters
