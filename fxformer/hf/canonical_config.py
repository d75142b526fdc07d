"""Canonical form of a model config, in which equivalent configs are equal."""

from typing import Any

# Options that do not affect the outputs in evaluation.
FREE = ("dropout", "dense_dropout", "final_dropout", "unroll", "remat", "vocab_multiple")
SIDES = ("encoder", "decoder")


def canonicalize(model: dict[str, Any]) -> dict[str, Any]:
    """The config of a model, as plain data, each null replaced by the value it stands for.

    The relevant values are in the stacks, model.encoder and model.decoder.
    """
    made = {**model}
    for side in SIDES:
        if isinstance(model.get(side), dict):
            made[side] = _stack(model[side])
    network = {**made["network"]}
    for key in ("transformer", *SIDES):
        if isinstance(network.get(key), dict):
            network[key] = _stack(network[key])
    dim = made.get("dim")
    network["embedding"] = _widths(network["embedding"], dim)
    network["head"] = _widths(network["head"], dim)
    return {**made, "embedding": network["embedding"], "network": network}


def _widths(part: Any, dim: int | None) -> Any:
    """A token embedding or head with null widths replaced by the model width."""
    if not isinstance(part, dict):
        return part
    return {k: dim if k in ("width", "word_width") and v is None else v for k, v in part.items()}


def _stack(stack: dict[str, Any]) -> dict[str, Any]:
    if "transformer" in stack:
        return {**stack, "transformer": _stack(stack["transformer"])}
    dim, heads = stack["dim"], stack["heads"]
    attention, ffn, entry = {**stack["attention"]}, {**stack["ffn"]}, {**stack["input"]}
    if "heads" not in attention and "head_dim" in attention:
        attention["head_dim"] = attention["head_dim"] or dim // heads
        if "kv_heads" in attention:
            attention["kv_heads"] = attention["kv_heads"] or heads
            attention["scale"] = attention["scale"] or attention["head_dim"] ** -0.5
    position = stack["position"]
    if position.get("head_dim", ...) is None:
        position = {**position, "head_dim": dim // heads}
    hidden = stack.get("hidden") or ffn.get("hidden")
    ffn["hidden"] = hidden
    if "width" in entry:
        entry["width"] = entry["width"] or dim
        entry["project"] = entry["project"] == "always" or entry["width"] != dim
    windows = stack.get("windows") or [None]
    windows = [windows[i % len(windows)] for i in range(stack["layers"])]
    windows = windows if any(windows) else None
    groups = stack.get("layer_groups") or stack["layers"]
    made = {"attention": attention, "position": position, "ffn": ffn, "input": entry}
    return {**stack, **made, "hidden": hidden, "windows": windows, "layer_groups": groups}


def differences(one: Any, other: Any, path: str = "") -> dict[str, tuple[Any, Any]]:
    """{key: (one, other)} of the values that differ in two canonical configs, except FREE."""
    if isinstance(one, dict) and isinstance(other, dict):
        found = {}
        for key in one | other:
            if key not in FREE:
                where = f"{path}.{key}".lstrip(".")
                found |= differences(one.get(key), other.get(key), where)
        return found
    same = one == other or (_number(one) and _number(other) and abs(one - other) < 1e-12)
    return {} if same else {path: (one, other)}


def _number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def select(model: dict[str, Any], key: str) -> Any:
    """The value of a canonical config at key `model.…`, looked up in the stacks first.

    model.act is that of the feed-forward layers.
    """
    parts = key.removeprefix("model.").split(".")
    parts = ["ffn", "act"] if parts == ["act"] else parts
    for side in SIDES:
        found = _at(model.get(side), parts)
        if found is not ...:
            return found
    found = _at(model, parts)
    return None if found is ... else found


def _at(node: Any, parts: list[str]) -> Any:
    for part in parts:
        if not isinstance(node, dict) or part not in node:
            return ...
        node = node[part]
    return node
