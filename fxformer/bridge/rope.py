"""Rotary positions in config.json: the words of transformers 4, of 5, and ours."""

from typing import Any

from fxformer.bridge.fields import Config, ConfigMismatch, Knob, Silent

ROPE = (
    Knob("rope_base", "model.position.base", 10_000.0),
    Knob("rope_scale", "model.position.scaling"),
    Silent(("rope_parameters", "rope_theta", "rope_scaling")),
)
PLACE = "fxformer.nn.position"
LLAMA3 = {
    "factor": "factor",
    "low": "low_freq_factor",
    "high": "high_freq_factor",
    "length": "original_max_position_embeddings",
}


def from_rope(config: Config) -> Config:
    """The config with `rope_base` and `rope_scale`, as our Rotary has them.

    Raises ConfigMismatch for a kind of scaling that there is not here.
    """
    stated = dict(config.get("rope_parameters") or config.get("rope_scaling") or {})
    kind = stated.pop("rope_type", stated.pop("type", "default"))
    stated.pop("type", None)
    base = stated.pop("rope_theta", None) or config.get("rope_theta") or 10_000.0
    partial = stated.pop("partial_rotary_factor", config.get("partial_rotary_factor", 1.0))
    wanted = {"default": (), "linear": ("factor",), "llama3": tuple(LLAMA3.values())}
    if kind not in wanted:
        raise ConfigMismatch(f"config.json: rope_type={kind!r} is not one of {', '.join(wanted)}")
    if set(stated) != set(wanted[kind]) or partial not in (None, 1.0):
        raise ConfigMismatch(f"config.json: rope of type {kind} with {stated} is not understood")
    return {**config, "rope_base": float(base), "rope_scale": _scale(kind, stated)}


def _scale(kind: str, stated: dict[str, Any]) -> dict[str, Any] | None:
    if kind == "default":
        return None
    if kind == "linear":
        own = {"factor": float(stated["factor"])}
        return {"_target_": f"{PLACE}.slower", "_partial_": True, **own}
    own = {ours: stated[theirs] for ours, theirs in LLAMA3.items()}
    return {"_target_": f"{PLACE}.llama3", "_partial_": True, **own}


def to_rope(config: Config) -> Config:
    """The inverse, in the words of both: `rope_parameters`, and `rope_theta` with `rope_scaling`.

    Without the second, transformers 4 would read rope's defaults and say nothing.
    """
    made = {**config}
    base, scale = made.pop("rope_base"), made.pop("rope_scale")
    stated: dict[str, Any] = {"rope_type": "default"}
    if scale is not None and scale["_target_"].endswith(".slower"):
        stated = {"rope_type": "linear", "factor": scale["factor"]}
    elif scale is not None:
        stated = {"rope_type": "llama3", **{LLAMA3[key]: scale[key] for key in LLAMA3}}
    old = None if scale is None else stated
    return {
        **made,
        "rope_parameters": {**stated, "rope_theta": base},
        "rope_theta": base,
        "rope_scaling": old,
    }
