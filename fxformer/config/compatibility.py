"""Combinations that cannot work although each part is sound, told from the config alone.

A rule is a function `cfg -> sentence or None`; add one to RULES. It sees a config whose every part
has passed the gate. What needs shapes to be judged belongs in the parts' own `__init__`.
"""

from collections.abc import Callable

from omegaconf import DictConfig, OmegaConf

from fxformer.config import folders
from fxformer.config.build import build
from fxformer.config.compatibility_parts import (
    attention_has_streams,
    biases_have_one_owner,
    options,
    positions_fit_attention,
    rows_continue_for_a_memory,
    words_fit_what_reads_them,
)
from fxformer.config.target import locate

EXAMPLES = {"encoder": "model=bert", "decoder": "model=gpt2", "seq2seq": "model=bart"}
USUAL = ("mlm", "clm", "denoise")  # the objectives that are named first


def incompatibilities(cfg: DictConfig) -> list[str]:
    """What each rule says against the config, with the nearest legal override."""
    return [sentence for rule in RULES if (sentence := rule(cfg))]


def architecture(cfg: DictConfig) -> str | None:
    """encoder, decoder or seq2seq, as the model's class or `causal` knob says; None: unknown."""
    network = OmegaConf.select(cfg, "model.network")
    target = network.get("_target_") if isinstance(network, DictConfig) else None
    if not target:
        return None
    stated = getattr(locate(target), "architecture", None)
    if isinstance(stated, str):
        return stated
    stack = OmegaConf.select(network, "transformer")
    causal = stack.get("causal") if isinstance(stack, DictConfig) else None
    if causal is None and isinstance(stack, DictConfig) and stack.get("_target_"):
        causal = getattr(locate(stack._target_), "causal", None)  # of a class that always is
    return None if causal is None else "decoder" if causal else "encoder"


def objective_fits_model(cfg: DictConfig) -> str | None:
    """An objective names the architectures it can train in its class attribute `legal`."""
    target = OmegaConf.select(cfg, "objective._target_")
    legal = getattr(locate(target), "legal", None) if target else None
    kind = architecture(cfg)
    if legal is None or kind is None or kind in legal:
        return None
    # denoise_x is a kind of denoise: the plain names are advice enough
    fits = options("objective", lambda part: kind in getattr(part, "legal", ()))
    known = folders.pretraining_objectives()
    others = [name for name in fits if "_" not in name and name in known]
    usual = [name for name in USUAL if name in others] or others[:1]
    also = [name for name in others if name not in usual]
    models = " or ".join(EXAMPLES[k] for k in sorted(legal) if k in EXAMPLES)
    more = f" (also {', '.join(also)})" if also else ""
    choice = f"objective={usual[0]}{more}, or " if usual else ""
    name = target.rpartition(".")[2]
    return (
        f"objective: {name} trains {' and '.join(sorted(legal))} models and this one is"
        f" {'an' if kind == 'encoder' else 'a'} {kind}; write {choice}{models}"
    )


def objective_learns_task(cfg: DictConfig) -> str | None:
    """A labelled task names the objectives that learn it in its class attribute `objectives`."""
    task, objective = (OmegaConf.select(cfg, f"{key}._target_") for key in ("task", "objective"))
    known = getattr(locate(task), "objectives", None) if task else None
    kind = locate(objective) if objective else None
    if not known or kind is None or kind.__name__ in known:
        return None
    choices = " or ".join(f"objective={name}" for name in known.values())
    return (
        f"objective: {kind.__name__} does not learn the task {task.rpartition('.')[2]}: write "
        f"{choices}"
    )


def rows_fit_positions(cfg: DictConfig) -> str | None:
    """A learned table has so many rows; a longer text would read past its end, silently."""
    length = OmegaConf.select(cfg, "data.length")
    table = OmegaConf.select(cfg, "model.position.length")
    if not isinstance(length, int) or not isinstance(table, int) or length <= table:
        return None
    return (
        f"data.length: rows of {length} tokens are longer than the {table} positions of the model;"
        f" write data.length={table} or model.position.length={length}"
    )


def two_tokenizers_read_pairs(cfg: DictConfig) -> str | None:
    """A tokenizer for sources and one for targets want an objective on pairs of texts."""
    tokenizer, objective = (
        OmegaConf.select(cfg, f"{key}._target_") for key in ("tokenizer", "objective")
    )
    if not tokenizer or not getattr(locate(tokenizer), "two_tokenizers", False) or not objective:
        return None
    against = getattr(locate(objective), "against_two_tokenizers", None)
    return None if against is None else against()


def model_is_whole(cfg: DictConfig) -> str | None:
    """A model must have a network; an option of `model` from elsewhere may lack it."""
    select = OmegaConf.select
    if select(cfg, "model.network") is not None or select(cfg, "model.attention") is None:
        return None
    return "model: this is only a part of a model; write model=encoder, decoder or seq2seq"


def head_gives_logits(cfg: DictConfig) -> str | None:
    """An objective that scores tokens needs a head with a row for each of them."""
    target, objective = (
        OmegaConf.select(cfg, f"{key}._target_") for key in ("model.head", "objective")
    )
    needs = getattr(locate(objective), "needs_lm_head", True) if objective else True
    if not target or hasattr(locate(target), "score") or not needs:
        return None
    name = target.rpartition(".")[2]
    return (
        f"model.head: {name} gives no logits, and an objective scores words;"
        " write model/head=tied, mlm or untied"
    )


def sentence_pairs_are_packed(cfg: DictConfig) -> str | None:
    """What judges whether two texts belong together needs rows of two, and types to tell them."""
    select = OmegaConf.select
    target, packing = (select(cfg, f"{key}._target_") for key in ("objective", "data.packing"))
    if not target or not getattr(locate(target), "reads_sentence_pairs", False):
        return None
    if packing and not getattr(locate(packing), "makes_sentence_pairs", False):
        return (
            f"objective: {target.rpartition('.')[2]} reads two texts of a document side by side, "
            f"and {packing.rpartition('.')[2]} gives single texts; write "
            "data/packing=sentence_pairs, or objective=mlm"
        )
    types = select(cfg, "model.input.types")
    if isinstance(types, int) and types < 2:
        return (
            f"model.input.types: {types} token types do not tell two texts apart; write "
            "model.input.types=2, model=bert or model=albert, or objective=mlm"
        )
    return None


def stacks_keep_their_side(cfg: DictConfig) -> str | None:
    """Seq2Seq sets these itself: a wish to the contrary would be passed over in silence."""
    if architecture(cfg) != "seq2seq":
        return None
    for side, causal in (("encoder", False), ("decoder", True)):
        if OmegaConf.select(cfg, f"model.{side}.causal") not in (None, causal):
            return (
                (
                    f"model.{side}.causal: the {side} of a seq2seq model is always causal={causal};"
                    f" leave it out, or write model={'bert' if causal else 'gpt2'}"
                )
                .replace("True", "true")
                .replace("False", "false")
            )
    return None


def a_budget_to_decay_on(cfg: DictConfig) -> str | None:
    """A schedule that follows a budget wants one."""
    limits = ("trainer.budget_minutes", "energy.budget_kwh", "energy.budget_gco2e")
    if OmegaConf.select(cfg, "trainer.schedule_on") != "budget":
        return None
    if any(OmegaConf.select(cfg, limit) is not None for limit in limits):
        return None
    wanted = f"{limits[0]}=10, {limits[1]}=… or {limits[2]}=…"
    return f"trainer.schedule_on=budget: there is none to follow; write {wanted}"


def vocabulary_holds_specials(cfg: DictConfig) -> str | None:
    """A vocabulary that is made has room for more than its special tokens."""
    select = OmegaConf.select
    size, node = select(cfg, "tokenizer.vocab_size"), select(cfg, "tokenizer.specials")
    if not isinstance(size, int) or not isinstance(node, DictConfig) or "_target_" not in node:
        return None
    try:
        names = build(node).names()
    except Exception:  # noqa: BLE001 - said where the tokenizer is built
        return None
    if size > len(names):
        return None
    return (
        f"tokenizer.vocab_size={size}: the {len(names)} special tokens leave no id for text; write "
        f"tokenizer.vocab_size={max(1000, 2 * len(names))}"
    )


def energy_is_sound(cfg: DictConfig) -> str | None:
    """A region there is, an hourly file that reads: told before the first job of a sweep runs."""
    energy = OmegaConf.select(cfg, "energy")
    if not isinstance(energy, DictConfig) or "_target_" not in energy:
        return None
    try:
        build(energy)
    except Exception as error:  # noqa: BLE001 - Hydra wraps what a part says
        return str(error.__cause__ or error)
    return None


RULES: list[Callable[[DictConfig], str | None]] = [
    model_is_whole,
    head_gives_logits,
    objective_fits_model,
    objective_learns_task,
    two_tokenizers_read_pairs,
    rows_fit_positions,
    sentence_pairs_are_packed,
    rows_continue_for_a_memory,
    stacks_keep_their_side,
    a_budget_to_decay_on,
    attention_has_streams,
    positions_fit_attention,
    vocabulary_holds_specials,
    energy_is_sound,
    biases_have_one_owner,
    words_fit_what_reads_them,
]
