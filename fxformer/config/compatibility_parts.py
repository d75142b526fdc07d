"""Parts of a model that only go with certain others; see compatibility.py for what a rule is."""

from collections.abc import Callable, Iterator

import yaml
from omegaconf import DictConfig, OmegaConf

from fxformer.config import folders
from fxformer.config.target import locate

STACKS = ("transformer", "encoder", "decoder")


def options(group: str, fits: Callable[[type], bool]) -> list[str]:
    """The yamls of a group whose class fits."""
    found = []
    for file in folders.option_files(group):
        target = (yaml.safe_load(file.read_text()) or {}).get("_target_")
        if target and fits(locate(target)):
            found.append(file.stem)
    return found


def positions_fit_attention(cfg: DictConfig) -> str | None:
    """An attention with relative distances names their Position in the attribute `position`."""
    for _, attention, position in _pairs(cfg):
        wanted = getattr(attention, "position", None)
        if wanted is not None and not issubclass(position, wanted):
            near = options("model/position", lambda part, wanted=wanted: issubclass(part, wanted))
            return (
                f"model.attention: {attention.__name__} requires a relative "
                f"position encoding, and {position.__name__} is not one; write "
                f"{_either('model/position', near)} or model/attention=multihead"
            )
        if wanted is None and getattr(position, "needs_relative_attention", False):
            near = options(
                "model/attention",
                lambda part, told=position: issubclass(told, getattr(part, "position", ())),
            )
            return (
                f"model.position: {position.__name__} requires an attention that uses "
                f"its relative distances, and {attention.__name__} does not; write "
                f"{_either('model/attention', near)} or model/position=rotary"
            )
    return None


def attention_has_streams(cfg: DictConfig) -> str | None:
    """N-gram attention needs the predicting streams of an n-gram decoder."""
    for _, attention, _ in _pairs(cfg):
        if getattr(attention, "needs_ngram_decoder", False):
            return (
                f"model.attention: {attention.__name__} needs the streams of an n-gram decoder, "
                "and this stack is not one; write model/attention=multihead, or model=prophetnet"
            )
    return None


def biases_have_one_owner(cfg: DictConfig) -> str | None:
    """Query biases belong to the layers or to the position, not to neither or both."""
    for stack, _, position in _pairs(cfg):
        own = OmegaConf.select(stack, "attention.per_layer_bias")
        if not isinstance(own, bool) or own != getattr(position, "shares_biases", own is False):
            continue
        return (
            f"model.attention.per_layer_bias: {str(own).lower()} with {position.__name__}, which "
            f"has {'them too' if own else 'none either'}; write model.attention.per_layer_bias="
            f"{str(not own).lower()} or model/position={'relative' if own else 'relative_shared'}"
        )
    return None


def words_fit_what_reads_them(cfg: DictConfig) -> str | None:
    """Heads and objectives that need a class of token embedding name it in `needs_embedding`."""
    words = OmegaConf.select(cfg, "model.network.embedding._target_")
    kept = locate(words) if words else None
    for key in ("model.network.head", "objective"):
        target = OmegaConf.select(cfg, f"{key}._target_")
        wanted = getattr(locate(target), "needs_embedding", None) if target else None
        if kept is None or wanted is None or issubclass(kept, wanted):
            continue
        name = target.rpartition(".")[2]
        near = options("model/embedding", lambda part, wanted=wanted: issubclass(part, wanted))
        heads = options(
            "model/head",
            lambda part: (
                hasattr(part, "score") and getattr(part, "needs_embedding", None) in (None, kept)
            ),
        )
        other = _either("model/head", heads) if key != "objective" else "another objective"
        return (
            f"{key.replace('network.', '')}: {name} does not support {kept.__name__}; "
            f"write {_either('model/embedding', near)} or {other}"
        )
    return None


def _pairs(cfg: DictConfig) -> Iterator[tuple[DictConfig, type, type]]:
    """(its node, its attention, its position) of every stack that has both."""
    for side in STACKS:
        stack = OmegaConf.select(cfg, f"model.network.{side}")
        if not isinstance(stack, DictConfig):
            continue
        named = ("attention._target_", "position._target_")
        targets = [OmegaConf.select(stack, name) for name in named]
        if all(targets):
            yield stack, *(locate(target) for target in targets)


def _either(group: str, names: list[str]) -> str:
    """`group=a, b or c`."""
    *others, last = [f"{group}={name}" for name in names]
    return f"{', '.join(others)} or {last}" if others else last


def rows_continue_for_a_memory(cfg: DictConfig) -> str | None:
    """Rows that continue each other want a model with a memory of them, and an objective that
    reads a text from left to right."""
    select = OmegaConf.select
    packing, objective = (select(cfg, f"{key}._target_") for key in ("data.packing", "objective"))
    if not packing or not getattr(locate(packing), "carries_memory", False):
        return None
    said = "data/packing=contiguous carries hidden states from row to row"
    if objective and not getattr(locate(objective), "carries_memory", False):
        return (
            f"{said}, which {objective.rpartition('.')[2]} does not use; write objective=clm "
            "model=transfo_xl, or data/packing=segments"
        )
    for stack, attention, _ in _pairs(cfg):
        if not getattr(attention, "carries_memory", False):
            return (
                f"{said}, and {attention.__name__} cannot attend to them; write model=transfo_xl, "
                "or data/packing=blocks"
            )
        if select(stack, "attention.memory_length") is not None:
            return (
                "model.attention.memory_length: zero inputs before a text have no place beside "
                "what data/packing=contiguous carries from row to row; write "
                "model.attention.memory_length=null, or data/packing=segments"
            )
    if select(cfg, "distillation"):
        return f"{said}, and a teacher has none; write distillation=null, or data/packing=segments"
    return None
