"""Transformer-XL. Dai et al. 2019.

Gone from transformers since 5.0. What it calls memories are the inputs of each layer; here a cache
holds the keys and values made of them, which is the same to every query. `same_length` is a window
as wide as the memory. Its files hold every copy of the shared biases, so these are written too.
"""

import dataclasses

import numpy as np

from fxformer.hf.config_map import Choice, Config, ConfigMismatch, Ignored, RequiredValue, Value
from fxformer.hf.family import Family, HeadVariant
from fxformer.hf.tensor_layout import SAME, TRANSPOSED, TensorLayout, rows
from fxformer.hf.weight_map import WeightEntry, fused, linear, norm, tensor
from fxformer.nn.adaptive import cluster_bounds

FIELDS = (
    Value("d_model", "model.dim", 1024),
    Value("n_layer", "model.layers", 18),
    Value("n_head", "model.heads", 16),
    Value("d_head", "model.attention.head_dim", 64),
    Value("d_inner", "model.ffn.hidden", 4096),
    Value("d_embed", "model.embedding.width", 1024),
    Value("div_val", "model.embedding.div_val", 4),
    Value("cutoffs", "model.embedding.cutoffs"),
    Value("layer_norm_epsilon", "model.norm.eps", 1e-5),
    Choice("pre_lnorm", "model/residual", {False: "post", True: "pre"}, False),
    Value("final_norm", "model.final_norm"),
    Choice("untie_r", "model/position", {True: "relative", False: "relative_shared"}, True),
    Value("own_bias", "model.attention.per_layer_bias"),
    Value("memory", "model.attention.memory_length"),
    Value("windows", "model.windows"),
    Value("clamp", "model.position.clamp_distance"),
    Value("dropout", "model.dropout", 0.1, free=True),
    Value("dropatt", "model.attention.dropout", 0.0, free=True),
    RequiredValue("attn_type", 0),
    RequiredValue("sample_softmax", -1, also=(0,)),
    RequiredValue("tie_weight", True, write=False),
    Ignored(("mem_len", "same_length", "clamp_len", "tie_projs", "proj_share_all_but_first")),
    Ignored(("adaptive", "init", "init_range", "init_std", "proj_init_std")),
    Ignored(("tgt_len", "ext_len", "n_token")),
)
TIED = Value("tie_projs", "model.head.tied")


def normalize(config: Config) -> Config:
    """Memory, window and clamp as numbers or null; cutoffs and ties spelled out."""
    memory, same = config.get("mem_len", 1600), config.get("same_length", True)
    if type(memory) is not int or (memory < 1 and same):
        raise ConfigMismatch(f"config.json: mem_len={memory} with same_length={same} sees nothing")
    cutoffs = config.get("cutoffs", [20_000, 40_000, 200_000])
    if not isinstance(cutoffs, list) or any(type(c) is not int for c in cutoffs):
        raise ConfigMismatch(f"config.json: cutoffs={cutoffs!r} is no list of ids")
    narrow = config.get("d_embed", 1024) != config.get("d_model", 1024)
    if config.get("div_val", 4) == 1 and narrow and cutoffs:
        raise ConfigMismatch(
            "config.json: div_val=1 has one projection for all clusters where d_embed is not "
            "d_model, and there is one for each here"
        )
    share = bool(config.get("proj_share_all_but_first", True))
    ties = config.get("tie_projs") or [False] + [share] * len(cutoffs)
    clamp = config.get("clamp_len", 1000)
    untied = bool(config.get("untie_r", True))
    return {
        **config,
        "memory": memory if memory > 0 else None,
        "windows": [memory] if same else None,
        "clamp": clamp if clamp > 0 else None,
        "own_bias": untied,
        "untie_r": untied,
        "final_norm": False,
        "cutoffs": cutoffs,
        "tie_projs": [bool(tie) for tie in ties][: len(cutoffs) + 1],
    }


def serialize(config: Config) -> Config:
    """The inverse."""
    made = {**config}
    memory, windows = made.pop("memory"), made.pop("windows")
    if windows is not None and set(windows) != {memory}:
        raise ConfigMismatch(
            f"Transformer-XL's windows are as wide as its memory (same_length): write "
            f"model.windows=[{memory}], or null, not {windows}"
        )
    if made["cutoffs"] is None:
        made["cutoffs"] = list(cluster_bounds(made["vocab_size"], None)[1:-1])
    if "tie_projs" in made:  # only the class with words says it
        made["tie_projs"] = made["tie_projs"] or [True] * (len(made["cutoffs"]) + 1)
    made |= {"mem_len": memory or 0, "same_length": windows is not None}
    made |= {"clamp_len": made.pop("clamp") or -1}
    for key in ("own_bias", "final_norm"):
        made.pop(key)
    return made


def flat(heads: int) -> TensorLayout:
    """A vector for each head [heads, width], here one after the other."""
    return TensorLayout("loaded", lambda x: (x.reshape(-1),), lambda p: p[0].reshape(heads, -1))


def cut(places: list[int]) -> TensorLayout:
    """The rows of all clusters in one tensor."""
    return TensorLayout("split", lambda x: tuple(np.split(x, places)), np.concatenate)


def weight_map(config: Config) -> list[WeightEntry]:
    """Every layer, the words and the softmax."""
    blocks, layer = "transformer/stack/blocks", "transformer.layers.{i}"
    file, path = f"{layer}.dec_attn", f"{blocks}/attention"
    width, heads = config.get("d_model", 1024), config.get("n_head", 16)
    biases = (("r_w_bias", "content_bias"), ("r_r_bias", "distance_bias"))
    every = [f"transformer.layers.{i}.dec_attn" for i in range(config.get("n_layer", 18))]
    copies = {name: tuple(f"{each}.{name}" for each in every) for name, _ in biases}
    shared = "transformer/position"
    kept = {"layout": flat(heads), "kept": True}
    return [
        *fused(f"{file}.qkv_net", tuple(f"{path}/{part}" for part in "qkv"), rows(3)),
        *linear(f"{file}.r_net", f"{path}/position_k"),
        *linear(f"{file}.o_net", f"{path}/o"),
        *norm(f"{file}.layer_norm", f"{blocks}/residual/norms/attention"),
        *linear(f"{layer}.pos_ff.CoreNet.0", f"{blocks}/ffn/up"),
        *linear(f"{layer}.pos_ff.CoreNet.3", f"{blocks}/ffn/down"),
        *norm(f"{layer}.pos_ff.layer_norm", f"{blocks}/residual/norms/ffn"),
        *(e for n, p in biases for e in tensor(f"{file}.{n}", f"{path}/{p}", flat(heads))),
        *(
            e
            for n, p in biases
            for e in tensor(f"transformer.{n}", f"{shared}/{p}", copies=copies[n], **kept)
        ),
        *tensor(
            "transformer.pos_emb.inv_freq",
            "transformer/position/rates",
            constant=lambda: rates(width),
        ),
        *words(config),
        *linear("score", "task_heads/classification/output"),
    ]


def words(config: Config) -> list[WeightEntry]:
    """The tables, their projections and what the softmax has to itself."""
    table, softmax = "transformer.word_emb.emb", "crit.out"
    cutoffs = config["cutoffs"]
    every = [str(k) for k in range(len(cutoffs) + 1)]
    groups = (
        [(every, cut(cutoffs))] if config.get("div_val", 4) == 1 else [([k], SAME) for k in every]
    )
    found, kept = [], not config["untie_r"]
    for number, (group, layout) in enumerate(groups):
        copy, paths = (
            f"{softmax}_layers.{number}",
            [f"token_embedding/tables/{k}/embedding" for k in group],
        )
        found += [
            WeightEntry(
                f"{table}_layers.{number}.weight", tuple(paths), layout, (f"{copy}.weight",)
            ),
            WeightEntry(f"{copy}.bias", tuple(f"head/biases/{k}" for k in group), layout),
        ]
    for k in every:
        copy, path = f"{softmax}_projs.{k}", f"token_embedding/projections/{k}/kernel"
        found += tensor(f"{table}_projs.{k}", path, TRANSPOSED, copies=(copy,))
        found += tensor(copy, f"head/projections/{k}/kernel")
    found += tensor("crit.cluster_weight", "head/clusters/embedding")
    found += tensor("crit.cluster_bias", "head/cluster_bias")
    return [dataclasses.replace(entry, kept=kept) for entry in found]


def rates(width: int) -> np.ndarray:
    """The buffer inv_freq."""
    steps = np.arange(0, width, 2, dtype=np.float32) / np.float32(width)
    return (1 / np.float32(10_000) ** steps).astype(np.float32)


NO_LM_HEAD = ("model/head=none",)

TRANSFO_XL = Family(
    types=("transfo-xl",),
    model="transfo_xl",
    base="transformer.",
    config_map=FIELDS,
    weight_map=weight_map,
    normalize=normalize,
    serialize=serialize,
    derived=("memory", "windows", "clamp", "own_bias", "final_norm"),
    variants=(
        HeadVariant(
            "TransfoXLLMHeadModel", required_tensors=("crit.out_layers.0.bias",), config_map=(TIED,)
        ),
        HeadVariant(
            "TransfoXLForSequenceClassification",
            required_tensors=("score.weight",),
            overrides=(*NO_LM_HEAD, "model/task_head=classification"),
            labels=("score.weight", "classification"),
        ),
        HeadVariant("TransfoXLModel", overrides=NO_LM_HEAD, base=""),
    ),
)
