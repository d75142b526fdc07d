"""A decoder's config.json as it was published, old names and all, is read and has its parameters.

Counted from shapes: no weight is made.
"""

import jax
import pytest
from flax import nnx

from fxformer.config.build import build
from fxformer.config.options import composed
from fxformer.hf.config_map import COMMON
from fxformer.hf.family import family_of

SUMMARY = dict(
    summary_activation=None,
    summary_first_dropout=0.1,
    summary_proj_to_labels=True,
    summary_type="cls_index",
    summary_use_proj=True,
)
GPT = dict(
    model_type="openai-gpt",
    vocab_size=40478,
    afn="gelu",
    n_ctx=512,
    n_special=0,
    predict_special_tokens=True,
    **SUMMARY,
)
CTRL = dict(
    model_type="ctrl",
    vocab_size=246534,
    n_embd=1280,
    n_layer=48,
    n_head=16,
    dff=8192,
    n_ctx=512,
    n_positions=50000,
    layer_norm_epsilon=1e-6,
    attn_pdrop=0.1,
    from_tf=False,
    pruned_heads={},
    torchscript=False,
    use_bfloat16=False,
    num_labels=1,
    **SUMMARY,
)
NEO = dict(
    model_type="gpt_neo",
    vocab_size=50257,
    hidden_size=768,
    num_layers=12,
    num_heads=12,
    intermediate_size=None,
    attention_types=[[["global", "local"], 6]],
    window_size=256,
    attention_layers=["global", "local"] * 6,
    attention_dropout=0,
    embed_dropout=0,
    resid_dropout=0,
    gradient_checkpointing=False,
    **SUMMARY,
)
PYTHIA = dict(
    model_type="gpt_neox",
    vocab_size=50304,
    hidden_size=768,
    num_hidden_layers=12,
    num_attention_heads=12,
    intermediate_size=3072,
    hidden_act="gelu",
    rotary_pct=0.25,
    rotary_emb_base=10000,
    use_parallel_residual=True,
    tie_word_embeddings=False,
)
NEOX = PYTHIA | dict(
    vocab_size=50432,
    hidden_size=6144,
    num_hidden_layers=44,
    num_attention_heads=64,
    intermediate_size=24576,
    hidden_act="gelu_fast",
    attention_probs_dropout_prob=0,
    hidden_dropout_prob=0,
)
GPTJ = dict(
    model_type="gptj",
    vocab_size=50400,
    n_embd=4096,
    n_layer=28,
    n_head=16,
    n_inner=None,
    n_positions=2048,
    rotary=True,
    rotary_dim=64,
    scale_attn_weights=True,
    tie_word_embeddings=False,
    tokenizer_class="GPT2Tokenizer",
    **SUMMARY,
)
BLOOM = dict(
    model_type="bloom",
    vocab_size=250880,
    n_embed=1024,
    n_layer=24,
    num_attention_heads=16,
    n_inner=None,
    attention_softmax_in_fp32=True,
    bias_dropout_fusion=True,
    pretraining_tp=1,
    masked_softmax_fusion=True,
    offset_alibi=100,
    skip_bias_add=True,
    skip_bias_add_qkv=False,
    apply_residual_connection_post_layernorm=False,
    unk_token_id=0,
)
LLAMA31 = dict(
    model_type="llama",
    vocab_size=128256,
    intermediate_size=14336,
    num_key_value_heads=8,
    rope_theta=500000.0,
    attention_bias=False,
    mlp_bias=False,
    pretraining_tp=1,
    eos_token_id=[128001, 128008, 128009],
    max_position_embeddings=131072,
    rms_norm_eps=1e-5,
    rope_scaling=dict(
        factor=8.0,
        low_freq_factor=1.0,
        high_freq_factor=4.0,
        rope_type="llama3",
        original_max_position_embeddings=8192,
    ),
)
QWEN25 = dict(
    model_type="qwen2",
    vocab_size=151936,
    hidden_size=896,
    intermediate_size=4864,
    num_hidden_layers=24,
    num_attention_heads=14,
    num_key_value_heads=2,
    max_window_layers=24,
    rope_theta=1e6,
    sliding_window=32768,
    use_mrope=False,
    use_sliding_window=False,
    tie_word_embeddings=True,
)
WT103 = dict(
    model_type="transfo-xl",
    vocab_size=267735,
    adaptive=True,
    attn_type=0,
    clamp_len=1000,
    cutoffs=[20000, 40000, 200000],
    d_embed=1024,
    d_head=64,
    d_inner=4096,
    d_model=1024,
    div_val=4,
    dropatt=0.0,
    dropout=0.1,
    eos_token_id=0,
    ext_len=0,
    init="normal",
    init_range=0.01,
    init_std=0.02,
    layer_norm_epsilon=1e-5,
    mem_len=1600,
    n_head=16,
    n_layer=18,
    pre_lnorm=False,
    proj_init_std=0.01,
    same_length=True,
    sample_softmax=-1,
    tgt_len=128,
    tie_weight=True,
    tie_projs=[False, True, True, True],
    untie_r=True,
)
BARE, TIED = ("model/head=none",), ("model/head=tied",)

# name: (config.json, what its form chooses, parameters)
PUBLISHED = {
    "openai-gpt": (GPT, (), 116_534_784),
    "ctrl": (CTRL, BARE, 1_637_718_016),
    "gpt-neo-125m": (NEO, (), 125_198_592),
    "pythia-160m": (PYTHIA, (), 162_322_944),
    "gpt-neox-20b": (NEOX, (), 20_554_567_680),
    "gpt-j-6b": (GPTJ, (), 6_050_882_784),
    "bloom-560m": (BLOOM, (), 559_214_592),
    "transfo-xl-wt103": (WT103, BARE, 283_885_936),
    "llama-3.1-8b": (LLAMA31, (), 8_030_261_248),
    "qwen2.5-0.5b": (QWEN25, TIED, 494_032_768),
}


@pytest.mark.parametrize("name", PUBLISHED)
@pytest.mark.sample(2)
def test_a_published_config_has_the_published_parameters(name):
    config, choices, parameters = PUBLISHED[name]
    family = family_of(config)
    config = family.normalize(config)
    unread = set(config) - family.known
    assert not unread
    words = [word for field in (*family.config_map, *COMMON) for word in field.overrides(config)]
    cfg = composed(None, [f"+model={family.model}", *words, *choices])
    network = build(cfg.model.network)
    model = nnx.eval_shape(lambda: network(vocab=config["vocab_size"], rngs=nnx.Rngs(0)))
    assert sum(x.size for x in jax.tree.leaves(nnx.split(model)[1])) == parameters
