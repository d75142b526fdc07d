"""ModernBERT. Warner et al. 2024."""

from fxformer.hf.config_map import Choice, Config, ConfigMismatch, Knob, Only, Silent
from fxformer.hf.families.bert import ACTS
from fxformer.hf.family import Family, Form, untied
from fxformer.hf.tensor_layout import rows
from fxformer.hf.weight_map import Entry, fused, linear, norm, table, tensor

FIELDS = (
    Knob("hidden_size", "model.dim", 768),
    Knob("num_hidden_layers", "model.layers", 22),
    Knob("num_attention_heads", "model.heads", 12),
    Knob("intermediate_size", "model.ffn.hidden", 1152),
    Choice("hidden_activation", "model/act", ACTS, "gelu"),
    Knob("norm_eps", "model.norm.eps", 1e-5),
    Knob("norm_bias", "model.norm.bias", False),
    Knob("attention_bias", "model.attention.qkv_bias", False),
    Knob("attention_bias", "model.attention.out_bias", False),
    Knob("mlp_bias", "model.ffn.bias", False),
    Knob("windows", "model.windows"),
    Knob("global_rope_theta", "model.position.base", 160_000.0),
    Knob("local_rope_theta", "model.position.local_base", 10_000.0),
    Knob("attention_dropout", "model.attention.dropout", 0.0, free=True),
    Knob("embedding_dropout", "model.embed.dropout", 0.0, free=True),
    Knob("mlp_dropout", "model.ffn.dropout", 0.0, free=True),
    Only("classifier_activation", "gelu"),
    Only("classifier_bias", False),
    Only("rope_scaling", None, write=False),
    Silent(("layer_types", "local_attention", "global_attn_every_n_layers", "rope_parameters")),
    Silent(("initializer_range", "initializer_cutoff_factor", "classifier_dropout")),
    Silent(("decoder_bias", "classifier_pooling", "max_position_embeddings")),
    Silent(("deterministic_flash_attn", "reference_compile", "repad_logits_with_grad")),
    Silent(("sparse_prediction", "sparse_pred_ignore_index")),
    Silent(("layer_norm_eps", "position_embedding_type")),  # of old files: ModernBERT reads neither
)
FULL, SLIDING = "full_attention", "sliding_attention"


def modern(config: Config) -> Config:
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


def written(config: Config) -> Config:
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


def names(config: Config) -> list[Entry]:
    """The first layer has no norm before its attention and lies by itself here."""
    return [
        *table("model.embeddings.tok_embeddings", "words", copies=("decoder",)),
        *norm("model.embeddings.norm", "transformer/embed/norm"),
        *_layer("model.layers.0", "transformer/stack/first"),
        *_layer("model.layers.{i}", "transformer/stack/blocks", numbers=lambda i: {"i": i + 1}),
        *norm("model.final_norm", "transformer/norm"),
        *linear("head.dense", "head/transform/dense"),
        *norm("head.norm", "head/transform/norm"),
        *tensor("decoder.weight", "head/output/embedding"),
        *tensor("decoder.bias", "head/bias"),
        *(entry for name in ("classes", "tokens", "span") for entry in _classifier(name)),
    ]


def _layer(file: str, path: str, **more) -> list[Entry]:
    qkv = tuple(f"{path}/attention/{part}" for part in "qkv")
    return [
        *norm(f"{file}.attn_norm", f"{path}/residual/norms/attention", **more),
        *fused(f"{file}.attn.Wqkv", qkv, rows(3), **more),
        *linear(f"{file}.attn.Wo", f"{path}/attention/o", **more),
        *norm(f"{file}.mlp_norm", f"{path}/residual/norms/ffn", **more),
        *fused(f"{file}.mlp.Wi", (f"{path}/ffn/gate", f"{path}/ffn/up"), rows(2), **more),
        *linear(f"{file}.mlp.Wo", f"{path}/ffn/down", **more),
    ]


def _classifier(name: str) -> list[Entry]:
    path = f"classifiers/{name}"
    return [
        *linear("head.dense", f"{path}/dense"),
        *norm("head.norm", f"{path}/norm"),
        *linear("classifier", f"{path}/out"),
    ]


def _pooled(by: str):
    return lambda names, config: config.get("classifier_pooling", "cls") == by


OWN = untied("decoder.weight", "model.embeddings.tok_embeddings.weight")
NO_WORDS, CLASSES = "model/head=none", "ModernBertForSequenceClassification"
MEAN = "model.classifiers.classes.pool._target_=fxformer.nn.classifier.pool_mean"
WORDS, ANSWER = ("head.dense.weight",), ("head.dense.weight", "classifier.weight")
LOOSE, NO_BIAS = {"tie_word_embeddings": False}, {"decoder_bias": False}

MODERNBERT = Family(
    types=("modernbert",),
    model="modernbert",
    base="model.",
    fields=FIELDS,
    names=names,
    modern=modern,
    written=written,
    derived=("windows",),
    forms=(
        Form(
            CLASSES,
            needs=ANSWER,
            overrides=(NO_WORDS, "model/classifiers=classes_normed"),
            labels=("classifier.weight", "classes"),
            when=_pooled("cls"),
            config={"classifier_pooling": "cls"},
        ),
        Form(
            CLASSES,
            needs=ANSWER,
            overrides=(NO_WORDS, "model/classifiers=classes_normed", MEAN),
            labels=("classifier.weight", "classes"),
            when=_pooled("mean"),
            config={"classifier_pooling": "mean"},
        ),
        Form(
            "ModernBertForTokenClassification",
            needs=ANSWER,
            overrides=(NO_WORDS, "model/classifiers=tokens_normed"),
            labels=("classifier.weight", "tokens"),
        ),
        Form(
            "ModernBertForQuestionAnswering",
            needs=ANSWER,
            overrides=(NO_WORDS, "model/classifiers=span_normed"),
        ),
        Form(
            "ModernBertForMaskedLM",
            needs=(*WORDS, "decoder.bias"),
            when=OWN,
            config=LOOSE,
            overrides=("model/head=untied_mlm_nobias",),
        ),
        Form("ModernBertForMaskedLM", needs=(*WORDS, "decoder.bias")),
        Form(
            "ModernBertForMaskedLM",
            needs=WORDS,
            when=OWN,
            config=LOOSE | NO_BIAS,
            overrides=("model/head=untied_mlm_nobias", "model.head.bias=false"),
        ),
        Form(
            "ModernBertForMaskedLM",
            needs=WORDS,
            config=NO_BIAS,
            overrides=("model.head.bias=false",),
        ),
        Form("ModernBertModel", overrides=(NO_WORDS,), base=""),
    ),
)
