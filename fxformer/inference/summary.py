"""Readable summary of a model: one line for a terminal, a table for a notebook."""

import html

import jax

from fxformer.inference.model_core import ModelCore
from fxformer.inference.structure import stack_of
from fxformer.train.state import count_parameters


def facts(model: ModelCore) -> dict[str, str]:
    """{label: value} of a model: architecture, sizes, tokenizer."""
    two = model.architecture == "seq2seq"
    stacks = [stack_of(model.module, encoder) for encoder in ((True, False) if two else (False,))]
    layers = " + ".join(str(stack.layers) for stack in stacks)
    kinds = sorted({str(leaf.dtype) for leaf in jax.tree.leaves(model.params)})
    tokenizer = model.tokenizer
    size = model.vocabulary.size
    found = {
        "architecture": model.architecture,
        "parameters": f"{count_parameters(model.params):,} ({', '.join(kinds)})",
        "layers": f"{layers}, {stacks[-1].dim} wide, {stacks[-1].heads} heads",
        "tokenizer": "none"
        if tokenizer is None
        else f"{type(tokenizer).__name__}, {size:,} ids, {tokenizer.template}",
        "length": "any" if model.max_tokens is None else f"at most {model.max_tokens:,} tokens",
    }
    if model.module.task_heads:
        found["task heads"] = ", ".join(model.module.task_heads)
    if model.detects_replaced:
        found["head"] = "replaced-token detection"
    if model.generator is not None:
        found["generator"] = f"{count_parameters(model.generator.params):,} parameters"
    return found if model.step is None else {**found, "step": f"{model.step:,}"}


def as_text(model: ModelCore) -> str:
    """Model NAME: architecture, parameters, …"""
    shown = [f"{label} {value}" for label, value in facts(model).items()]
    return f"Model {model.name!r}: {'; '.join(shown)}"


def as_html(model: ModelCore) -> str:
    """The facts as an HTML table, escaped."""
    rows = "".join(
        f"<tr><th>{html.escape(label)}</th><td>{html.escape(value)}</td></tr>"
        for label, value in facts(model).items()
    )
    return f"<table><caption>{html.escape(model.name)}</caption>{rows}</table>"
