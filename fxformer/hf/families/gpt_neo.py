"""GPT-Neo. Black et al. 2021."""

import dataclasses

from fxformer.hf.canonical_config import select
from fxformer.hf.config_map import Choice, Config, ConfigMismatch, Ignored, Value, override_value
from fxformer.hf.decoder_variants import Inner, heads, variants
from fxformer.hf.families.bert import ACTS
from fxformer.hf.family import Family
from fxformer.hf.weight_map import WeightEntry, linear, norm, table


@dataclasses.dataclass(frozen=True)
class LocalLayers(Ignored):
    """GPT-Neo's attention_types, [[["global", "local"], 6]], and window_size."""

    names: tuple[str, ...] = ("attention_types", "attention_layers", "window_size")

    def overrides(self, config: Config) -> list[str]:
        layers, window = config.get("num_layers", 24), config.get("window_size", 256)
        kinds = config.get("attention_layers")
        if kinds is None or "attention_types" in config:
            groups = config.get("attention_types") or [[["global", "local"], 12]]
            spelled = _expanded(groups, layers)
            if kinds not in (None, spelled):
                raise ConfigMismatch(
                    f"config.json: attention_types={groups} are not attention_layers={kinds}"
                )
            kinds = spelled
        if len(kinds) != layers or any(kind not in ("global", "local") for kind in kinds):
            raise ConfigMismatch(f"config.json: {kinds} are not {layers} global or local layers")
        return _said([window if kind == "local" else None for kind in kinds])

    def values(self, model: dict) -> Config:
        windows, size = _of(model)
        kinds = ["global" if window is None else "local" for window in windows]
        pattern = next(
            kinds[:n]
            for n in range(1, len(kinds) + 1)
            if len(kinds) % n == 0 and kinds[:n] * (len(kinds) // n) == kinds
        )
        made: Config = {"attention_types": [[pattern, len(kinds) // len(pattern)]]}
        made["attention_layers"] = kinds
        return made if size is None else made | {"window_size": size}


def _expanded(groups, layers: int) -> list[str]:
    """[[[a, b], n], …] as n times a, b, and so on; never longer than the model."""
    try:
        total = sum(len(kinds) * times for kinds, times in groups)
        if total == layers and all(times >= 0 for _, times in groups):
            return [kind for kinds, times in groups for _ in range(times) for kind in kinds]
    except (TypeError, ValueError):
        total = "no"
    raise ConfigMismatch(f"config.json: attention_types names {total} layers, there are {layers}")


def _said(windows: list[int | None]) -> list[str]:
    wrong = [w for w in windows if w is not None and (not isinstance(w, int) or w < 1)]
    if wrong:
        raise ConfigMismatch(f"config.json: {wrong[0]!r} is no window")
    return [f"model.windows={override_value(windows if any(windows) else None)}"]


def _of(model: dict) -> tuple[list[int | None], int | None]:
    """The window of each layer and the one size that they have."""
    windows = select(model, "model.windows") or [None] * select(model, "model.layers")
    sizes = sorted({window for window in windows if window is not None})
    if len(sizes) > 1:
        raise ConfigMismatch(f"model.windows has sizes {sizes}, and one can be said")
    return windows, sizes[0] if sizes else None


FIELDS = (
    Value("hidden_size", "model.dim", 2048),
    Value("num_layers", "model.layers", 24),
    Value("num_heads", "model.heads", 16),
    Inner("intermediate_size", "model.ffn.hidden", width=("hidden_size", 2048)),
    Value("max_position_embeddings", "model.position.length", 2048),
    Choice("activation_function", "model/act", ACTS, "gelu_new"),
    Value("layer_norm_epsilon", "model.norm.eps", 1e-5),
    Value("resid_dropout", "model.dropout", 0.0, free=True),
    Value("attention_dropout", "model.attention.dropout", 0.0, free=True),
    Value("embed_dropout", "model.input.dropout", 0.0, free=True),
    LocalLayers(),
    Ignored(("initializer_range", "classifier_dropout", "summary_activation")),
    Ignored(("summary_first_dropout", "summary_proj_to_labels", "summary_type")),
    Ignored(("summary_use_proj",)),
)


def weight_map(config: Config) -> list[WeightEntry]:
    """GPT-2's names, but for Linears where GPT-2 has Conv1D."""
    stack, layer = "transformer/stack/blocks", "transformer.h.{i}"
    attention, ours = f"{layer}.attn.attention", f"{stack}/attention"
    return [
        *table("transformer.wte", "token_embedding", copies=("lm_head",)),
        *table("transformer.wpe", "transformer/position/table"),
        *norm(f"{layer}.ln_1", f"{stack}/residual/norms/attention"),
        *(e for x in "qkv" for e in linear(f"{attention}.{x}_proj", f"{ours}/{x}")),
        *linear(f"{attention}.out_proj", f"{ours}/o"),
        *norm(f"{layer}.ln_2", f"{stack}/residual/norms/ffn"),
        *linear(f"{layer}.mlp.c_fc", f"{stack}/ffn/up"),
        *linear(f"{layer}.mlp.c_proj", f"{stack}/ffn/down"),
        *norm("transformer.ln_f", "transformer/norm"),
        *heads(),
    ]


GPT_NEO = Family(
    types=("gpt_neo",),
    model="gpt_neo",
    base="transformer.",
    config_map=FIELDS,
    weight_map=weight_map,
    variants=variants("GPTNeo", "transformer.wte.weight", tied=True),
    ignored_tensors=(r"\.attn\.attention\.(bias|masked_bias)$",),
)
