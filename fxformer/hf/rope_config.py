"""Rotary position embeddings in config.json: formats of transformers 4 and 5."""

from typing import Any

from fxformer.hf.config_map import Config, ConfigMismatch, Ignored, Value

ROPE = (
    Value("rope_base", "model.position.base", 10_000.0),
    Value("rope_scale", "model.position.scaling"),
    Ignored(("rope_parameters", "rope_theta", "rope_scaling")),
)
DERIVED = ("rope_base", "rope_scale")  # Family.derived
PLACE = "fxformer.nn.position"
LLAMA3 = {
    "factor": "factor",
    "low": "low_freq_factor",
    "high": "high_freq_factor",
    "length": "original_max_position_embeddings",
}


def from_rope(
    config: Config, *, base: str = "rope_theta", share: tuple[str, float] | None = None
) -> Config:
    """The config with derived fields `rope_base`, `rope_scale` and, with `share`, `rope_share`.

    base: name of the base in transformers 4
    share: name and default of the fraction of rotated channels in transformers 4; None: all
    Raises ConfigMismatch for an unsupported type of scaling.
    """
    stated = dict(config.get("rope_scaling") or config.get("rope_parameters") or {})
    kind = stated.pop("rope_type", stated.pop("type", "default"))
    stated.pop("type", None)
    own, unsaid = share or ("partial_rotary_factor", 1.0)
    theta = _one(stated.pop("rope_theta", None), config.get(base), base) or 10_000.0
    partial = _one(stated.pop("partial_rotary_factor", None), config.get(own), own)
    partial = unsaid if partial is None else partial
    wanted = {"default": (), "linear": ("factor",), "llama3": tuple(LLAMA3.values())}
    if kind not in wanted:
        raise ConfigMismatch(f"config.json: rope_type={kind!r} is not one of {', '.join(wanted)}")
    if share is None and partial not in (None, 1.0):
        raise ConfigMismatch(
            f"config.json: partial_rotary_factor={partial!r} has no counterpart, only 1: this "
            "family rotates every channel of a head"
        )
    lacks = ", ".join(sorted(set(wanted[kind]) - set(stated)))
    strange = ", ".join(f"{key}={stated[key]!r}" for key in sorted(set(stated) - set(wanted[kind])))
    if lacks or strange:
        wrong = f"lacks {lacks}" if lacks else f"does not take {strange}"
        raise ConfigMismatch(f"config.json: rope of type {kind!r} {wrong}")
    made = {"rope_base": float(theta), "rope_scale": _scale(kind, stated)}
    return {**config, **made, **({"rope_share": partial} if share else {})}


def _one(inner: Any, outer: Any, name: str) -> Any:
    """A value given in rope_parameters, at top level, or in both places."""
    if inner is not None and outer is not None and inner != outer:
        raise ConfigMismatch(
            f"config.json: {name}={outer!r} and {inner!r} in rope_parameters: transformers 4 reads "
            "the first and 5 the second"
        )
    return outer if inner is None else inner


def _scale(kind: str, stated: dict[str, Any]) -> dict[str, Any] | None:
    if kind == "default":
        return None
    if kind == "linear":
        own = {"factor": float(stated["factor"])}
        return {"_target_": f"{PLACE}.linear_scaling", "_partial_": True, **own}
    own = {ours: stated[theirs] for ours, theirs in LLAMA3.items()}
    return {"_target_": f"{PLACE}.llama3", "_partial_": True, **own}


def to_rope(
    config: Config, *, base: str = "rope_theta", share: tuple[str, float] | None = None
) -> Config:
    """The inverse, in both formats: `rope_parameters`, and `rope_theta` with `rope_scaling`.

    Without the latter, transformers 4 would silently use the defaults.
    """
    made = {**config}
    theta, scale = made.pop("rope_base"), made.pop("rope_scale")
    stated: dict[str, Any] = {"rope_type": "default"}
    if scale is not None and scale["_target_"].endswith(".linear_scaling"):
        stated = {"rope_type": "linear", "factor": scale["factor"]}
    elif scale is not None:
        stated = {"rope_type": "llama3", **{LLAMA3[key]: scale[key] for key in LLAMA3}}
    old = None if scale is None else stated
    new = {**stated, "rope_theta": theta}
    if share:
        made[share[0]] = new["partial_rotary_factor"] = made.pop("rope_share")
    return {**made, "rope_parameters": new, base: theta, "rope_scaling": old}
