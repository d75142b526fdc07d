"""ModernBERT. Warner et al. 2024."""

from fxformer.hf.config_map import Choice, Config, ConfigMismatch, Ignored, RequiredValue, Value
from fxformer.hf.families.bert import ACTS
from fxformer.hf.family import Family, HeadVariant, multiple_choice, untied
from fxformer.hf.tensor_layout import rows
from fxformer.hf.weight_map import WeightEntry, fused, linear, norm, table, tensor

FIELDS = (
    Value("hidden_size", "model.dim", 768),
    Value("num_hidden_layers", "model.layers", 22),
    Value("num_attention_heads", "model.heads", 12),
    Value("intermediate_size", "model.ffn.hidden", 1152),
    Choice("hidden_activation", "model/act", ACTS, "gelu"),
    Value("norm_eps", "model.norm.eps", 1e-5),
    Value("norm_bias", "model.norm.bias", False),
    Value("attention_bias", "model.attention.qkv_bias", False),
    Value("attention_bias", "model.attention.out_bias", False),
    Value("mlp_bias", "model.ffn.bias", False),
    Value("windows", "model.windows"),
    Value("global_rope_theta", "model.position.base", 160_000.0),
    Value("local_rope_theta", "model.position.local_base", 10_000.0),
    Value("attention_dropout", "model.attention.dropout", 0.0, free=True),
    Value("embedding_dropout", "model.input.dropout", 0.0, free=True),
    Value("mlp_dropout", "model.ffn.dropout", 0.0, free=True),
    RequiredValue("classifier_activation", "gelu"),
    RequiredValue("classifier_bias", False),
    RequiredValue("rope_scaling", None, write=False),
    Ignored(("layer_types", "local_attention", "global_attn_every_n_layers", "rope_parameters")),
    Ignored(("initializer_range", "initializer_cutoff_factor", "classifier_dropout")),
    Ignored(("decoder_bias", "classifier_pooling", "max_position_embeddings")),
    Ignored(("deterministic_flash_attn", "reference_compile", "repad_logits_with_grad")),
    Ignored(("sparse_prediction", "sparse_pred_ignore_index")),
    Ignored(
        ("layer_norm_eps", "position_embedding_type")
    ),  # of old files: ModernBERT reads neither
)
FULL, SLIDING = "full_attention", "sliding_attention"


def normalize(config: Config) -> Config:
    """Each layer's window and both bases, out of either form of config.json.

    local_attention counts both sides: a layer sees half of it before and after, itself besides.
    """
    depth, every = config.get("num_hidden_layers", 22), config.get("global_attn_every_n_layers", 3)
    if not (isinstance(depth, int) and isinstance(every, int) and 0 < every and depth < 10_000):
        raise ConfigMismatch(f"config.json: a global layer in {every!r} of {depth!r} cannot be")
    kinds = config.get("layer_types") or [SLIDING if i % every else FULL for i in range(depth)]
    window = config.get("local_attention", 128) // 2 + 1
    if len(kinds) != depth or set(kinds) - {FULL, SLIDING}:
        raise ConfigMismatch(f"config.json: layer_types={kinds} are not {depth} known ones")
    bases = {"windows": [window if kind == SLIDING else None for kind in kinds]}
    rope = config.get("rope_parameters") or {}
    for kind, name in ((FULL, "global_rope_theta"), (SLIDING, "local_rope_theta")):
        given = rope.get(kind) or {}
        if given.get("rope_type", "default") != "default" or given.keys() - {
            "rope_type",
            "rope_theta",
        }:
            raise ConfigMismatch(f"config.json: rope_parameters.{kind}={given} has no counterpart")
        if "rope_theta" in given:
            bases[name] = given["rope_theta"]
    return {**config, **bases}


def serialize(config: Config) -> Config:
    """Both forms: transformers 4 reads the bases and a period, 5 the kind of every layer."""
    windows = config.pop("windows") or [None] * config["num_hidden_layers"]
    sizes = {window for window in windows if window}
    if len(sizes) > 1 or not windows[:1]:
        raise ConfigMismatch(f"ModernBERT has one size of window, not {sorted(sizes)}")
    every = next((n for n in range(1, len(windows) + 1) if _periodic(windows, n)), None)
    if every is None:
        raise ConfigMismatch(
            f"ModernBERT has a global layer first and then every n layers, not windows of {windows}"
        )
    bases = {FULL: config["global_rope_theta"], SLIDING: config["local_rope_theta"]}
    own = {
        "layer_types": [SLIDING if window else FULL for window in windows],
        "global_attn_every_n_layers": every,
        "rope_parameters": {
            kind: {"rope_type": "default", "rope_theta": base} for kind, base in bases.items()
        },
    }
    own |= {"local_attention": 2 * (sizes.pop() - 1)} if sizes else {}
    return {**config, **own}


def _periodic(windows: list, every: int) -> bool:
    return all((window is None) == (i % every == 0) for i, window in enumerate(windows))


def weight_map(config: Config) -> list[WeightEntry]:
    """The first layer has no norm before its attention and lies by itself here."""
    return [
        *table("model.embeddings.tok_embeddings", "token_embedding", copies=("decoder",)),
        *norm("model.embeddings.norm", "transformer/input/norm"),
        *_layer("model.layers.0", "transformer/stack/first_block"),
        *_layer("model.layers.{i}", "transformer/stack/blocks", numbers=lambda i: {"i": i + 1}),
        *norm("model.final_norm", "transformer/norm"),
        *linear("head.dense", "head/transform/dense"),
        *norm("head.norm", "head/transform/norm"),
        *tensor("decoder.weight", "head/output/embedding"),
        *tensor("decoder.bias", "head/bias"),
        *(entry for name in HEADS for entry in _task_head(name)),
    ]


def _layer(file: str, path: str, **more) -> list[WeightEntry]:
    qkv = tuple(f"{path}/attention/{part}" for part in "qkv")
    return [
        *norm(f"{file}.attn_norm", f"{path}/residual/norms/attention", **more),
        *fused(f"{file}.attn.Wqkv", qkv, rows(3), **more),
        *linear(f"{file}.attn.Wo", f"{path}/attention/o", **more),
        *norm(f"{file}.mlp_norm", f"{path}/residual/norms/ffn", **more),
        *fused(f"{file}.mlp.Wi", (f"{path}/ffn/gate", f"{path}/ffn/up"), rows(2), **more),
        *linear(f"{file}.mlp.Wo", f"{path}/ffn/down", **more),
    ]


def _task_head(name: str) -> list[WeightEntry]:
    path = f"task_heads/{name}"
    return [
        *linear("head.dense", f"{path}/dense"),
        *norm("head.norm", f"{path}/norm"),
        *linear("classifier", f"{path}/output"),
    ]


def _pooled(by: str):
    return lambda names, config: config.get("classifier_pooling", "cls") == by


OWN = untied("decoder.weight", "model.embeddings.tok_embeddings.weight")
NO_LM_HEAD, CLASSES = "model/head=none", "ModernBertForSequenceClassification"
CHOICES = "ModernBertForMultipleChoice"
HEADS = ("classification", "multiple_choice", "token_classification", "span")
MEAN = "model.sequence_head.pooling=mean"
WORDS, ANSWER = ("head.dense.weight",), ("head.dense.weight", "classifier.weight")
LOOSE, NO_BIAS = {"tie_word_embeddings": False}, {"decoder_bias": False}

MODERNBERT = Family(
    types=("modernbert",),
    model="modernbert",
    base="model.",
    config_map=FIELDS,
    weight_map=weight_map,
    normalize=normalize,
    serialize=serialize,
    derived=("windows",),
    variants=(
        multiple_choice(CHOICES, *WORDS, when=_pooled("cls"), config={"classifier_pooling": "cls"}),
        multiple_choice(
            CHOICES,
            *WORDS,
            overrides=(MEAN,),
            when=_pooled("mean"),
            config={"classifier_pooling": "mean"},
        ),
        HeadVariant(
            CLASSES,
            required_tensors=ANSWER,
            overrides=(NO_LM_HEAD, "model/task_head=classification"),
            labels=("classifier.weight", "classification"),
            when=_pooled("cls"),
            config={"classifier_pooling": "cls"},
        ),
        HeadVariant(
            CLASSES,
            required_tensors=ANSWER,
            overrides=(NO_LM_HEAD, "model/task_head=classification", MEAN),
            labels=("classifier.weight", "classification"),
            when=_pooled("mean"),
            config={"classifier_pooling": "mean"},
        ),
        HeadVariant(
            "ModernBertForTokenClassification",
            required_tensors=ANSWER,
            overrides=(NO_LM_HEAD, "model/task_head=token_classification"),
            labels=("classifier.weight", "token_classification"),
        ),
        HeadVariant(
            "ModernBertForQuestionAnswering",
            required_tensors=ANSWER,
            overrides=(NO_LM_HEAD, "model/task_head=span"),
        ),
        HeadVariant(
            "ModernBertForMaskedLM",
            required_tensors=(*WORDS, "decoder.bias"),
            when=OWN,
            config=LOOSE,
            overrides=("model/head=untied_mlm_nobias",),
        ),
        HeadVariant("ModernBertForMaskedLM", required_tensors=(*WORDS, "decoder.bias")),
        HeadVariant(
            "ModernBertForMaskedLM",
            required_tensors=WORDS,
            when=OWN,
            config=LOOSE | NO_BIAS,
            overrides=("model/head=untied_mlm_nobias", "model.head.bias=false"),
        ),
        HeadVariant(
            "ModernBertForMaskedLM",
            required_tensors=WORDS,
            config=NO_BIAS,
            overrides=("model.head.bias=false",),
        ),
        HeadVariant("ModernBertModel", overrides=(NO_LM_HEAD,), base=""),
    ),
)
