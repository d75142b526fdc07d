"""config.json of well-known checkpoints, every field as published, for the tests of the bridge.

Each is (a fixture with weights of that family, words of our command line that it must become,
config.json). `shrunken` gives it the sizes of the fixture; all other fields stay as published.
"""

import json

from tests.bridge.fixture import HERE

SIZES = frozenset(
    (
        *("vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "dim"),
        *("intermediate_size", "max_position_embeddings", "type_vocab_size", "n_layers", "n_heads"),
        *("hidden_dim", "embedding_size", "num_hidden_groups", "inner_group_num", "pad_token_id"),
        *("n_embd", "n_layer", "n_head", "n_inner", "n_positions", "dff", "d_model", "d_ff"),
        *("num_layers", "num_heads", "num_decoder_layers", "relative_attention_num_buckets"),
        *("encoder_layers", "decoder_layers", "encoder_attention_heads", "decoder_attention_heads"),
        *("encoder_ffn_dim", "decoder_ffn_dim", "max_encoder_position_embeddings", "rotary_pct"),
        *("max_decoder_position_embeddings", "attention_window", "num_key_value_heads", "d_kv"),
        *("head_dim", "attention_types", "attention_layers", "window_size", "cutoffs", "tie_projs"),
        *("d_embed", "d_head", "d_inner", "mem_len", "clamp_len", "num_encoder_layers", "ngram"),
        *("div_val",),
        *("num_encoder_attention_heads", "num_decoder_attention_heads", "num_buckets"),
        *("pooler_hidden_size", "position_buckets", "max_relative_positions", "rotary_dim"),
        *("decoder_vocab_size", "layer_types", "max_window_layers", "relative_max_distance"),
    )
)
SUMMARY = dict(summary_activation=None, summary_first_dropout=0.1, summary_proj_to_labels=True,
               summary_type="cls_index", summary_use_proj=True)
LABELS = dict(id2label={"0": "LABEL_0", "1": "LABEL_1"}, label2id={"LABEL_0": 0, "LABEL_1": 1})
THREE = dict(id2label={"0": "LABEL_0", "1": "LABEL_1", "2": "LABEL_2"},
             label2id={"LABEL_0": 0, "LABEL_1": 1, "LABEL_2": 2})
POOLER = dict(directionality="bidi", pooler_fc_size=768, pooler_num_attention_heads=12,
              pooler_num_fc_layers=3, pooler_size_per_head=128, pooler_type="first_token_transform")
SAMPLE = {"text-generation": {"do_sample": True, "max_length": 50, "temperature": 1.0}}
TRANSLATE = {"translation_en_to_de": {
    "early_stopping": True, "max_length": 300, "num_beams": 4,
    "prefix": "translate English to German: ",
}}
DISTILBERT = dict(
    model_type="distilbert", activation="gelu", architectures=["DistilBertForMaskedLM"],
    attention_dropout=0.1, dim=768, dropout=0.1, hidden_dim=3072, initializer_range=0.02,
    max_position_embeddings=512, n_heads=12, n_layers=6, pad_token_id=0, qa_dropout=0.1,
    seq_classif_dropout=0.2, sinusoidal_pos_embds=False, tie_weights_=True,
    transformers_version="4.10.0.dev0", vocab_size=30522,
)
BERT = dict(
    model_type="bert", architectures=["BertForMaskedLM"], attention_probs_dropout_prob=0.1,
    gradient_checkpointing=False, hidden_act="gelu", hidden_dropout_prob=0.1, hidden_size=768,
    initializer_range=0.02, intermediate_size=3072, layer_norm_eps=1e-12,
    max_position_embeddings=512, num_attention_heads=12, num_hidden_layers=12, pad_token_id=0,
    position_embedding_type="absolute", transformers_version="4.6.0.dev0", type_vocab_size=2,
    use_cache=True, vocab_size=30522,
)
ROBERTA = {key: value for key, value in BERT.items() if key != "gradient_checkpointing"} | dict(
    model_type="roberta", architectures=["RobertaForMaskedLM"], bos_token_id=0, eos_token_id=2,
    layer_norm_eps=1e-5, max_position_embeddings=514, pad_token_id=1, type_vocab_size=1,
    vocab_size=50265,
)
ELECTRA = BERT | dict(
    model_type="electra", architectures=["ElectraForPreTraining"], embedding_size=128,
    generator_size="0.25", hidden_size=256, intermediate_size=1024, num_attention_heads=4,
    summary_activation="gelu", summary_last_dropout=0.1, summary_type="first",
    summary_use_proj=True,
)
DEBERTA = dict(
    attention_probs_dropout_prob=0.1, hidden_act="gelu", hidden_dropout_prob=0.1, hidden_size=768,
    initializer_range=0.02, intermediate_size=3072, max_position_embeddings=512,
    relative_attention=True, layer_norm_eps=1e-7, padding_idx=0, pad_token_id=0,
    num_attention_heads=12, num_hidden_layers=12, type_vocab_size=0, position_biased_input=False,
    max_relative_positions=-1, pooler_dropout=0, pooler_hidden_act="gelu", pooler_hidden_size=768,
)
GPT2 = dict(
    model_type="gpt2", activation_function="gelu_new", architectures=["GPT2LMHeadModel"],
    attn_pdrop=0.1, bos_token_id=50256, embd_pdrop=0.1, eos_token_id=50256,
    initializer_range=0.02, layer_norm_epsilon=1e-5, n_ctx=1024, n_embd=768, n_head=12,
    n_layer=12, n_positions=1024, resid_pdrop=0.1, task_specific_params=SAMPLE, vocab_size=50257,
    **SUMMARY,
)
LLAMA = dict(
    model_type="llama", architectures=["LlamaForCausalLM"], bos_token_id=1, eos_token_id=2,
    hidden_act="silu", hidden_size=4096, initializer_range=0.02, intermediate_size=11008,
    num_attention_heads=32, num_hidden_layers=32, rms_norm_eps=1e-6, tie_word_embeddings=False,
    torch_dtype="float16", transformers_version="4.28.0.dev0", use_cache=True, vocab_size=32000,
)
LLAMA2 = LLAMA | dict(
    max_position_embeddings=4096, num_key_value_heads=32, pretraining_tp=2, rms_norm_eps=1e-5,
    rope_scaling=None, _name_or_path="meta-llama/Llama-2-7b-hf",
)
QWEN = dict(
    attention_dropout=0.0, bos_token_id=151643, eos_token_id=151645, hidden_act="silu",
    hidden_size=896, initializer_range=0.02, intermediate_size=4864, max_position_embeddings=32768,
    max_window_layers=21, num_attention_heads=14, num_hidden_layers=24, num_key_value_heads=2,
    rms_norm_eps=1e-6, rope_theta=1e6, sliding_window=32768, torch_dtype="bfloat16",
    transformers_version="4.40.1", use_cache=True, use_sliding_window=False, vocab_size=151936,
)
T5 = dict(
    model_type="t5", architectures=["T5ForConditionalGeneration"], d_ff=2048, d_kv=64, d_model=512,
    decoder_start_token_id=0, dropout_rate=0.1, eos_token_id=1, initializer_factor=1.0,
    is_encoder_decoder=True, layer_norm_epsilon=1e-6, n_positions=512, num_heads=8, num_layers=6,
    output_past=True, pad_token_id=0, relative_attention_num_buckets=32,
    task_specific_params=TRANSLATE, vocab_size=32128,
)
V11 = T5 | dict(
    classifier_dropout=0.0, dense_act_fn="gelu_new", feed_forward_proj="gated-gelu",
    is_gated_act=True, num_decoder_layers=8, relative_attention_max_distance=128,
    scale_decoder_outputs=False, transformers_version="4.23.1", use_cache=True,
)
BART = dict(
    model_type="bart", _name_or_path="bart-base", activation_dropout=0.1,
    activation_function="gelu", add_bias_logits=False, add_final_layer_norm=False,
    architectures=["BartModel"], attention_dropout=0.1, bos_token_id=0, classif_dropout=0.1,
    classifier_dropout=0.0, d_model=768, decoder_attention_heads=12, decoder_ffn_dim=3072,
    decoder_layerdrop=0.0, decoder_layers=6, decoder_start_token_id=2, dropout=0.1,
    early_stopping=True, encoder_attention_heads=12, encoder_ffn_dim=3072, encoder_layerdrop=0.0,
    encoder_layers=6, eos_token_id=2, forced_bos_token_id=0, forced_eos_token_id=2,
    gradient_checkpointing=False, init_std=0.02, is_encoder_decoder=True,
    max_position_embeddings=1024, no_repeat_ngram_size=3, normalize_before=False,
    normalize_embedding=True, num_beams=4, num_hidden_layers=6, pad_token_id=1,
    scale_embedding=False, task_specific_params={"summarization": {"length_penalty": 1.0}},
    use_cache=True, vocab_size=50265, **THREE,
)
CNN = {key: value for key, value in BART.items() if key != "classifier_dropout"} | dict(
    _num_labels=3, architectures=["BartForConditionalGeneration"], length_penalty=2.0,
    force_bos_token_to_be_generated=True, max_length=142, min_length=56, output_past=True,
    prefix=" ",
)
NORMED = dict(add_final_layer_norm=True, normalize_before=True, scale_embedding=True)
FIXED = dict(static_position_embeddings=True, normalize_embedding=False, scale_embedding=True)
MARIAN = CNN | FIXED | dict(
    model_type="marian", activation_function="swish", architectures=["MarianMTModel"],
    bad_words_ids=[[58100]], extra_pos_embeddings=58101, decoder_start_token_id=58100,
    decoder_vocab_size=58101, share_encoder_decoder_embeddings=True, vocab_size=58101,
)
PEGASUS = CNN | NORMED | FIXED | dict(
    model_type="pegasus", activation_function="relu", decoder_start_token_id=0, eos_token_id=1,
    architectures=["PegasusForConditionalGeneration"], classifier_dropout=0.0,
    do_blenderbot_90_layernorm=False, extra_pos_embeddings=1, length_penalty=0.6, vocab_size=96103,
)
M2M = dict(
    model_type="m2m_100", _name_or_path="hf_models/m2m100_418M", activation_dropout=0.0,
    activation_function="relu", architectures=["M2M100ForConditionalGeneration"],
    attention_dropout=0.1, bos_token_id=0, d_model=1024, decoder_layerdrop=0.05, max_length=200,
    decoder_start_token_id=2, dropout=0.1, early_stopping=True, encoder_layerdrop=0.05,
    eos_token_id=2, gradient_checkpointing=False, init_std=0.02, is_encoder_decoder=True,
    num_beams=5, num_hidden_layers=12, pad_token_id=1, scale_embedding=True, use_cache=True,
    vocab_size=128112,
)
NEO = dict(
    model_type="gpt_neo", activation_function="gelu_new", architectures=["GPTNeoForCausalLM"],
    attention_dropout=0, attention_layers=["global", "local"] * 6, embed_dropout=0,
    attention_types=[[["global", "local"], 6]], bos_token_id=50256, eos_token_id=50256,
    gradient_checkpointing=False, hidden_size=768, initializer_range=0.02, intermediate_size=None,
    layer_norm_epsilon=1e-5, max_position_embeddings=2048, num_heads=12, num_layers=12,
    resid_dropout=0, use_cache=True, vocab_size=50257, window_size=256,
    task_specific_params=SAMPLE, tokenizer_class="GPT2Tokenizer", **SUMMARY,
)
PYTHIA = dict(
    model_type="gpt_neox", architectures=["GPTNeoXForCausalLM"], bos_token_id=0, eos_token_id=0,
    hidden_act="gelu", hidden_size=512, initializer_range=0.02, intermediate_size=2048,
    layer_norm_eps=1e-5, max_position_embeddings=2048, num_attention_heads=8, num_hidden_layers=6,
    rotary_emb_base=10000, rotary_pct=0.25, tie_word_embeddings=False, torch_dtype="float16",
    transformers_version="4.24.0", use_cache=True, use_parallel_residual=True, vocab_size=50304,
)
GPTJ = GPT2 | dict(
    model_type="gptj", architectures=["GPTJForCausalLM"], gradient_checkpointing=False,
    n_inner=None, rotary=True, rotary_dim=64, scale_attn_weights=True, tie_word_embeddings=False,
    tokenizer_class="GPT2Tokenizer", use_cache=True,
)
BLOOM = dict(
    model_type="bloom", apply_residual_connection_post_layernorm=False,
    architectures=["BloomForCausalLM"], attention_dropout=0.0, attention_softmax_in_fp32=True,
    bias_dropout_fusion=True, bos_token_id=1, eos_token_id=2, pad_token_id=3, unk_token_id=0,
    hidden_dropout=0.0, initializer_range=0.02, layer_norm_epsilon=1e-5, n_inner=None,
    masked_softmax_fusion=True, offset_alibi=100, pretraining_tp=2, seq_length=2048,
    skip_bias_add=True, skip_bias_add_qkv=False, slow_but_exact=False, use_cache=True,
    vocab_size=250880,
)
CTRL = dict(
    model_type="ctrl", architectures=["CTRLLMHeadModel"], attn_pdrop=0.1, dff=8192, embd_pdrop=0.1,
    from_tf=False, initializer_range=0.02, layer_norm_epsilon=1e-6, n_ctx=512, n_embd=1280,
    n_head=16, n_layer=48, n_positions=50000, num_labels=1, output_attentions=False,
    output_hidden_states=False, pruned_heads={}, resid_pdrop=0.1, torchscript=False,
    use_bfloat16=False, vocab_size=246534, **SUMMARY,
)
PROPHETNET = dict(
    model_type="prophetnet", activation_dropout=0.1, activation_function="gelu",
    add_cross_attention=True, architectures=["ProphetNetForConditionalGeneration"],
    attention_dropout=0.1, bos_token_id=102, eos_token_id=102, decoder_start_token_id=102,
    decoder_layerdrop=0.0, encoder_layerdrop=0.0, disable_ngram_loss=False, dropout=0.1, eps=0.1,
    gradient_checkpointing=False, hidden_size=1024, init_std=0.02, is_encoder_decoder=True,
    decoder_max_position_embeddings=514, encoder_max_position_embeddings=513, length_penalty=2.0,
    max_length=512, no_repeat_ngram_size=3, num_beams=4, output_past=True, pad_token_id=0,
    padding_idx=0, vocab_size=30522,
)
WT103 = dict(
    model_type="transfo-xl", adaptive=True, architectures=["TransfoXLLMHeadModel"], attn_type=0,
    clamp_len=1000, cutoffs=[20000, 40000, 200000], d_embed=1024, d_head=64, d_inner=4096,
    d_model=1024, div_val=4, dropatt=0.0, dropout=0.1, eos_token_id=0, ext_len=0, init="normal",
    init_range=0.01, init_std=0.02, layer_norm_epsilon=1e-5, mem_len=1600, n_head=16, n_layer=18,
    pre_lnorm=False, proj_init_std=0.01, same_length=True, sample_softmax=-1, tgt_len=128,
    tie_weight=True, tie_projs=[False, True, True, True], task_specific_params=SAMPLE,
    untie_r=True, vocab_size=267735,
)
MODERNBERT = dict(
    model_type="modernbert", architectures=["ModernBertForMaskedLM"], attention_bias=False,
    attention_dropout=0.0, bos_token_id=50281, classifier_activation="gelu", classifier_bias=False,
    classifier_dropout=0.0, classifier_pooling="mean", cls_token_id=50281, decoder_bias=True,
    deterministic_flash_attn=False, embedding_dropout=0.0, eos_token_id=50282,
    global_attn_every_n_layers=3, global_rope_theta=160000.0, gradient_checkpointing=False,
    hidden_activation="gelu", hidden_size=768, initializer_cutoff_factor=2.0,
    initializer_range=0.02, intermediate_size=1152, layer_norm_eps=1e-5, local_attention=128,
    local_rope_theta=10000.0, max_position_embeddings=8192, mlp_bias=False, mlp_dropout=0.0,
    norm_bias=False, norm_eps=1e-5, num_attention_heads=12, num_hidden_layers=22,
    pad_token_id=50283, position_embedding_type="absolute", reference_compile=None,
    repad_logits_with_grad=False, sep_token_id=50282, sparse_pred_ignore_index=-100,
    sparse_prediction=False, tie_word_embeddings=True, torch_dtype="float32",
    transformers_version="4.47.0.dev0", vocab_size=50368,
)
LONGFORMER = ROBERTA | dict(
    model_type="longformer", architectures=["LongformerForMaskedLM"], attention_mode="longformer",
    attention_window=[512] * 12, gradient_checkpointing=False, ignore_attention_mask=False,
    max_position_embeddings=4098, sep_token_id=2,
)
LED = {key: value for key, value in CNN.items()
       if key not in ("max_position_embeddings", "scale_embedding")} | dict(
    model_type="led", architectures=["LEDForConditionalGeneration"], attention_window=[1024] * 6,
    max_encoder_position_embeddings=16384, max_decoder_position_embeddings=1024,
)
GELU, SILU, RELU, TANH = (f"model/act={act}" for act in ("gelu", "silu", "relu", "gelu_tanh"))

# name: (fixture, words that must be among what it becomes, config.json)
PUBLISHED = {
    "distilbert-base-uncased": ("distilbert", (GELU, "model.dropout=0.1"), DISTILBERT),
    "distilbert-base-cased": ("distilbert", (GELU,), DISTILBERT | dict(output_past=True)),
    "distilbert-sst-2": (
        "distilbert_classes", (GELU,),
        DISTILBERT | THREE | dict(architectures=["DistilBertForSequenceClassification"],
                                  finetuning_task="sst-2", output_past=True),
    ),
    "bert-base-uncased": ("bert", (GELU, "model.norm.eps=1e-12"), BERT),
    "bert-base-multilingual-cased": ("bert", (GELU,), BERT | POOLER),
    "bert-base-NER": (
        "bert_classes", (GELU,),
        BERT | POOLER | THREE | dict(architectures=["BertForSequenceClassification"],
                                     _num_labels=9, output_past=True),
    ),
    "all-MiniLM-L6-v2": (
        "bert_body", (GELU,),
        BERT | dict(architectures=["BertModel"], _name_or_path="nreimers/MiniLM-L6-H384-uncased"),
    ),
    "distilled bert": (
        "bert", (GELU,),
        BERT | dict(layers_to_keep=[0, 2, 4], _attn_implementation="eager", xla_device=True),
    ),
    "roberta-base": ("roberta", (GELU, "model.norm.eps=1e-05"), ROBERTA),
    "roberta-base-squad2": (
        "roberta", (GELU,),
        ROBERTA | dict(gradient_checkpointing=False, language="english", name="Roberta"),
    ),
    "xlm-roberta-base": (
        "xlm_roberta", (GELU,),
        ROBERTA | dict(model_type="xlm-roberta", architectures=["XLMRobertaForMaskedLM"],
                       output_past=True, vocab_size=250002),
    ),
    "albert-base-v2": (
        "albert", (TANH, "model.dropout=0"),
        {k: v for k, v in BERT.items() if k not in ("use_cache", "gradient_checkpointing")} | dict(
            model_type="albert", architectures=["AlbertForMaskedLM"], bos_token_id=2,
            attention_probs_dropout_prob=0, classifier_dropout_prob=0.1, down_scale_factor=1,
            embedding_size=128, eos_token_id=3, gap_size=0, hidden_act="gelu_new",
            hidden_dropout_prob=0, inner_group_num=1, net_structure_type=0, num_hidden_groups=1,
            num_memory_blocks=0, vocab_size=30000),
    ),
    "electra-small-discriminator": ("electra_discriminator", (GELU,), ELECTRA),
    "electra-small-generator": (
        "electra_generator", (GELU,), ELECTRA | dict(architectures=["ElectraForMaskedLM"]),
    ),
    "deberta-base": (
        "deberta", (GELU, "model.attention.from_content=true"),
        DEBERTA | dict(model_type="deberta", pos_att_type="c2p|p2c", vocab_size=50265),
    ),
    "deberta-v2-xlarge": (
        "deberta_v2_conv", ("model/local=convolution",),
        DEBERTA | dict(model_type="deberta-v2", attention_head_size=4, conv_act="gelu",
                       conv_kernel_size=3, norm_rel_ebd="layer_norm", pos_att_type="p2c|c2p",
                       position_buckets=256, share_att_key=True, vocab_size=128100),
    ),
    "deberta-v3-nli": (
        "deberta_v3_classes", ("model.attention.shared=true",),
        DEBERTA | THREE | dict(
            model_type="deberta-v2", architectures=["DebertaV2ForSequenceClassification"],
            norm_rel_ebd="layer_norm", pos_att_type=["p2c", "c2p"], position_buckets=256,
            share_att_key=True, summary_activation="tanh", summary_last_dropout=0,
            summary_type="first", torch_dtype="float32", legacy=True),
    ),
    "longformer-base-4096": ("longformer", (GELU,), LONGFORMER),
    "modernbert-base": ("modernbert", (GELU, "model.position.base=160000.0"), MODERNBERT),
    "gpt2": ("gpt2", (TANH,), GPT2),
    "gpt2-medium": ("gpt2", (TANH,), GPT2 | dict(n_special=0, predict_special_tokens=True)),
    "distilgpt2": (
        "gpt2", (TANH,),
        GPT2 | dict(_num_labels=1, id2label={"0": "LABEL_0"}, label2id={"LABEL_0": 0}),
    ),
    "gpt-neo-1.3B": ("gpt_neo", (TANH,), NEO),
    "pythia-70m": ("gpt_neox", (GELU, "model/residual=parallel"), PYTHIA),
    "dolly-v2-3b": (
        "gpt_neox", (GELU,),
        PYTHIA | dict(custom_pipelines={"text-generation": {
            "impl": "instruct_pipeline.InstructionTextGenerationPipeline"}}),
    ),
    "gpt-j-6B": ("gptj", (TANH,), GPTJ),
    "bloom-1b7": ("bloom", ("model.norm.eps=1e-05",), BLOOM),
    "llama-7b": ("llama", (SILU,), LLAMA | dict(max_sequence_length=2048, pad_token_id=-1)),
    "llama-2-7b": ("llama", (SILU, "model.norm.eps=1e-05"), LLAMA2),
    "tinyllama-1.1b": (
        "llama", (SILU,),
        LLAMA2 | dict(attention_bias=False, pretraining_tp=1, rope_theta=10000.0),
    ),
    "smollm-like": (
        "llama", (SILU,),
        LLAMA2 | dict(attention_bias=False, mlp_bias=False, is_llama_config=True,
                      rope_interleaved=False,
                      **{"transformers.js_config": {"kv_cache_dtype": {"fp16": "float16"}}}),
    ),
    "llama-3.1-8b": (
        "llama", ("model.position.base=500000.0",),
        LLAMA2 | dict(attention_bias=False, attention_dropout=0.0, bos_token_id=128000,
                      eos_token_id=[128001, 128008, 128009], mlp_bias=False, rope_theta=5e5,
                      rope_scaling=dict(factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
                                        original_max_position_embeddings=8192,
                                        rope_type="llama3")),
    ),
    "qwen2-0.5b": (
        "qwen2", (SILU, "model.position.base=1000000.0"),
        QWEN | dict(model_type="qwen2", architectures=["Qwen2ForCausalLM"], use_mrope=False,
                    tie_word_embeddings=True),
    ),
    "qwen3-0.6b": (
        "qwen3", (SILU,),
        QWEN | dict(model_type="qwen3", architectures=["Qwen3ForCausalLM"], attention_bias=False,
                    head_dim=128, rope_scaling=None, sliding_window=None,
                    tie_word_embeddings=True),
    ),
    "t5-small": ("t5", (RELU, "model/ffn=t5"), T5),
    "flan-t5-small": ("t5_gated", (TANH, "model/ffn=t5_gated"), V11),  # but its words are tied
    "mt5-small": (
        "mt5", (TANH,),
        V11 | dict(model_type="mt5", architectures=["MT5ForConditionalGeneration"],
                   tokenizer_class="T5Tokenizer", vocab_size=250112),
    ),
    "bart-base": ("bart", (GELU,), BART),
    "bart-large-cnn": ("bart", (GELU,), CNN),
    "distilbart-xsum-12-6": (
        "bart", (GELU,),
        CNN | dict(extra_pos_embeddings=2, replacing_rate=0, save_step=58,
                   static_position_embeddings=False, student_decoder_layers=None,
                   student_encoder_layers=None),
    ),
    "mbart-large-cc25": (
        "mbart", (GELU, "model.embed.scaled=true"),
        CNN | NORMED | dict(model_type="mbart", architectures=["MBartForConditionalGeneration"],
                            static_position_embeddings=False, vocab_size=250027),
    ),
    "mbart-large-50": (
        "mbart", (GELU, "model.embed.scaled=true"),
        CNN | NORMED | dict(model_type="mbart", architectures=["MBartForConditionalGeneration"],
                            tokenizer_class="MBart50Tokenizer", vocab_size=250054),
    ),
    "opus-mt-en-de": ("marian", (SILU, "model.embed.scaled=true"), MARIAN),
    "m2m100_418M": ("m2m_100", (RELU, "model.embed.scaled=true"), M2M),
    "nllb-200-distilled-600M": (
        "m2m_100", (RELU,), M2M | dict(tokenizer_class="NllbTokenizer", torch_dtype="float32"),
    ),
    "pegasus-xsum": ("pegasus", (RELU, "model.embed.scaled=true"), PEGASUS),
    "led-base-16384": ("led", (GELU,), LED),
    "prophetnet-large-uncased": ("prophetnet", (GELU,), PROPHETNET),
    "ctrl": ("ctrl", ("model.dropout=0.1",), CTRL),
    "transfo-xl-wt103": ("transfo_xl", ("model/residual=post",), WT103),
    "openai-gpt": (
        "openai_gpt", (TANH,),
        {k: v for k, v in GPT2.items() if k != "activation_function"} | dict(
            model_type="openai-gpt", afn="gelu", architectures=["OpenAIGPTLMHeadModel"],
            n_ctx=512, n_positions=512, n_special=0, predict_special_tokens=True,
            vocab_size=40478),
    ),
}


def shrunken(name: str) -> tuple[str, tuple[str, ...], dict]:
    """A fixture's name, the words that must be found, and the published config in its sizes."""
    fixture, words, config = PUBLISHED[name]
    sizes = json.loads((HERE / fixture / "config.json").read_text())
    return fixture, words, config | {key: sizes[key] for key in sizes if key in SIZES}
