"""ProphetNet. Qi et al. 2020; the decoder has predicting streams, the first of which generates.

transformers gathers the relative biases of the predicting streams in a wrong order whenever it
reads more than one token at once, as it does with labels or teacher forcing; generating from a
cache it is right. Here both are right, so logits over a whole target differ from its.
"""

import numpy as np

from fxformer.hf.config_map import Choice, Config, ConfigMismatch, Ignored, Value
from fxformer.hf.families import bart
from fxformer.hf.families.bert import ACTS
from fxformer.hf.family import Family, HeadVariant, untied
from fxformer.hf.tensor_layout import TensorLayout
from fxformer.hf.weight_map import WeightEntry, linear, norm, table, tensor

DECODER = "model.decoder.transformer"
FIELDS = (
    Value("hidden_size", "model.dim", 1024),
    Value("num_encoder_layers", "model.encoder.layers", 12),
    Value("num_decoder_layers", f"{DECODER}.layers", 12),
    Value("num_encoder_attention_heads", "model.encoder.heads", 16),
    Value("num_decoder_attention_heads", f"{DECODER}.heads", 16),
    Value("encoder_ffn_dim", "model.encoder.hidden", 4096),
    Value("decoder_ffn_dim", f"{DECODER}.hidden", 4096),
    Value("ngram", "model.decoder.ngram", 2),
    Value(
        "num_buckets",
        "model.ngram_attention.num_buckets",
        32,
        at=f"{DECODER}.attention.num_buckets",
    ),
    Value(
        "relative_max_distance",
        "model.ngram_attention.max_distance",
        128,
        at=f"{DECODER}.attention.max_distance",
    ),
    Value("positions", "model.position.length"),
    Value("first_position", "model.position.offset"),
    Choice("activation_function", "model/act", ACTS, "gelu"),
    Value("dropout", "model.dropout", 0.1, free=True),
    Value("attention_dropout", "model.attention.dropout", 0.1, free=True),
    Value("activation_dropout", "model.ffn.dropout", 0.1, free=True),
    Ignored(("max_position_embeddings", "init_std", "disable_ngram_loss", "eps")),
    Ignored(("num_hidden_layers", "encoder_layerdrop", "decoder_layerdrop", "padding_idx")),
    Ignored(("encoder_max_position_embeddings", "decoder_max_position_embeddings")),
)


def normalize(config: Config) -> Config:
    """Positions counted without the rows before the first, which padding and its like have."""
    rows, pad = config.get("max_position_embeddings", 512), config.get("pad_token_id", 0)
    if type(rows) is not int or type(pad) is not int or rows <= pad + 1:
        raise ConfigMismatch(f"config.json: {rows} positions of which the first is {pad} + 1")
    if config.get("add_cross_attention", True) is not True:
        raise ConfigMismatch("config.json: a decoder without cross-attention is not supported")
    made = {key: value for key, value in config.items() if key != "add_cross_attention"}
    return {**made, "positions": rows - pad - 1, "first_position": pad + 1}


def serialize(config: Config) -> Config:
    """The inverse. Where the first position is, the padding id says."""
    made = {**config}
    first = made.pop("first_position")
    made["max_position_embeddings"] = made.pop("positions") + first
    return made | {"pad_token_id": first - 1, "add_cross_attention": True}


# Stream s begins with row s - 1 there, the first with the last.
TURN = TensorLayout(
    "loaded", lambda x: (np.roll(x, 1, axis=0),), lambda p: np.roll(p[0], -1, axis=0)
)
COPIES = ("prophetnet.encoder.word_embeddings", "prophetnet.decoder.word_embeddings", "lm_head")


def weight_map(config: Config) -> list[WeightEntry]:
    """Both stacks, the decoder's inside its streams, and the output table."""
    decoder = "decoder/transformer"
    relative = "prophetnet.decoder.layers.{i}.self_attn.relative_pos_embeddings"
    return [
        *table("prophetnet.word_embeddings", "token_embedding", copies=COPIES),
        *stack("encoder", "encoder"),
        *stack("decoder", decoder),
        *attention("decoder", decoder, "cross_attn", "cross_attention"),
        *linear(relative, f"{decoder}/stack/blocks/attention/relative"),
        *tensor(
            "prophetnet.decoder.ngram_embeddings.weight", "decoder/ngram_embedding/embedding", TURN
        ),
        *tensor("lm_head.weight", "head/output/embedding"),
    ]


def stack(side: str, path: str) -> list[WeightEntry]:
    """One stack."""
    file, layer, blocks = f"prophetnet.{side}", f"prophetnet.{side}.layers.{{i}}", "stack/blocks"
    return [
        *table(f"{file}.position_embeddings", f"{path}/position/table"),
        *norm(f"{file}.embeddings_layer_norm", f"{path}/input/norm"),
        *attention(side, path, "self_attn", "attention"),
        *linear(f"{layer}.feed_forward.intermediate", f"{path}/{blocks}/ffn/up"),
        *linear(f"{layer}.feed_forward.output", f"{path}/{blocks}/ffn/down"),
        *norm(f"{layer}.feed_forward_layer_norm", f"{path}/{blocks}/residual/norms/ffn"),
    ]


def attention(side: str, path: str, file: str, part: str) -> list[WeightEntry]:
    """One attention of every layer, with its norm."""
    layer, blocks = f"prophetnet.{side}.layers.{{i}}.{file}", f"{path}/stack/blocks"
    pairs = (("query", "q"), ("key", "k"), ("value", "v"), ("out", "o"))
    return [
        *(e for f, p in pairs for e in linear(f"{layer}.{f}_proj", f"{blocks}/{part}/{p}")),
        *norm(f"{layer}_layer_norm", f"{blocks}/residual/norms/{part}"),
    ]


PROPHETNET = Family(
    types=("prophetnet",),
    model="prophetnet",
    base="prophetnet.",
    config_map=FIELDS,
    weight_map=weight_map,
    normalize=normalize,
    serialize=serialize,
    derived=("positions", "first_position"),
    when=lambda config: not bart.alone(config),
    variants=(
        HeadVariant(
            "ProphetNetForConditionalGeneration",
            overrides=("model/head=untied",),
            when=untied("lm_head.weight", "prophetnet.word_embeddings.weight"),
            config={"tie_word_embeddings": False},
        ),
        HeadVariant("ProphetNetForConditionalGeneration"),
        HeadVariant("ProphetNetModel", overrides=("model/head=none",), base=""),
    ),
)
