"""Tasks of the playground: which of them a model can do, their inputs, and answers as tables."""

import dataclasses
import re
from collections.abc import Callable
from typing import Any

import numpy as np

from fxformer.errors import UserError
from fxformer.inference.model import Model
from fxformer.inference.pipelines.languages import CODED, TASK
from fxformer.inference.pipelines.mask_text import mask_name
from fxformer.inference.pipelines.model_card import model_card
from fxformer.inference.pipelines.tasks import pipeline

SHOWN = 10  # candidates of a mask, classes, components of a vector
ANSWERS = 5  # of question answering
MAX_LINES = 32  # texts of which the page compares features


@dataclasses.dataclass(frozen=True)
class PlaygroundTask:
    """A task as the page shows it.

    first, second: names of the two inputs; "": there is no second
    generates: whether the answer is generated, so that decoding options apply
    """

    task: str
    label: str
    first: str = "prompt"
    second: str = ""
    generates: bool = False


def model_tasks(model: Model) -> tuple[list[PlaygroundTask], dict[str, str]]:
    """(tasks that the architecture and the heads of a model allow, {other task: why not})."""
    found, reasons = [], {}
    for one in (*_generators(model), *TABLES):
        task = one.task
        try:
            _check(model, one)
        except UserError as error:
            reasons[task] = str(error)
            continue
        if task == "score" and model.architecture == "seq2seq":
            one = dataclasses.replace(one, second="target to score")
        found.append(one)
    return found, reasons


def _generators(model: Model) -> list[PlaygroundTask]:
    """Tasks that generate: one by architecture, and those that the model's files name."""
    card = model_card(model)
    if model.architecture != "seq2seq":
        found = [PlaygroundTask("generate", "continue a text", generates=True)]
        if card.writes_targets:
            words = "text2text-generation", "write a target for a source", "text", "", True
            found.append(PlaygroundTask(*words))
        return found
    found = [PlaygroundTask("generate", "generate from a source text", "source text",
                  "prefix, put in front of the text", True)]  # fmt: skip
    if "summarization" in card.task_params:
        found.append(PlaygroundTask("summarization", "summarize", "text", "", True))
    if card.family in CODED:
        codes = "languages, from and to (en_XX fr_XX)"
        return [*found, PlaygroundTask("translation", "translate", "text", codes, True)]
    for name in card.task_params:
        if pair := TASK.fullmatch(name):
            label = f"translate {pair[1]} to {pair[2]}"
            found.append(PlaygroundTask(name, label, "text", "", True))
    return found


def _check(model: Model, one: PlaygroundTask) -> None:
    """Raise UserError for a task that the model cannot do."""
    task = one.task
    if task == "generate":
        named = {"seq2seq": "text2text-generation"}
        pipeline(named.get(model.architecture, "text-generation"), model)
    elif task == "score":
        model.check_head()
        if model.architecture == "encoder" and model.vocabulary.mask is None:
            raise UserError(f"{model.name} has no mask token, which the score of an encoder needs")
    elif task == "replaced-tokens":
        if not model.detects_replaced:
            raise UserError(f"{model.name} does not detect replaced tokens (ELECTRA)")
    else:
        pipeline(task, model)


def mask_of(model: Model) -> str | None:
    """How a mask is written for a model; None where it has none."""
    if model.tokenizer is None or model.vocabulary.of_source.mask is None:
        return None
    source = model.architecture == "seq2seq"
    return mask_name(model.tokenizer.of_source if source else model.tokenizer)


def language_options(second: str) -> dict[str, str]:
    """Options of the task translation from "en_XX fr_XX". UserError unless they are two codes."""
    codes = re.split(r"[\s,>→-]+(?:to[\s]+)?", second.strip())
    if len(codes) != 2 or not all(codes):
        raise UserError("enter two languages as the model writes them, such as en_XX fr_XX")
    return {"src_lang": codes[0], "tgt_lang": codes[1]}


def answer_table(model: Model, task: str, text: str, second: str) -> dict[str, Any]:
    """{"note", "columns", "rows"} of a task that generates nothing. UserError without an answer."""
    return _ANSWERS[task](model, text, second)


def _table(columns: list[str], rows: list[list], note: str = "") -> dict[str, Any]:
    return {"note": note, "columns": columns, "rows": rows}


def _fill_mask(model: Model, text: str, second: str) -> dict[str, Any]:
    found = pipeline("fill-mask", model, top_k=SHOWN)(text)
    masks = found if found and isinstance(found[0], list) else [found]
    rows = [
        [number, one["token_str"], one["score"]]
        for number, some in enumerate(masks, 1)
        for one in some
    ]
    return _table(["mask", "token", "probability"], rows)


def _classes(model: Model, text: str, second: str) -> dict[str, Any]:
    found = pipeline("text-classification", model, top_k=SHOWN)(text)
    rows = [[one.get("label", "value"), one["score"]] for one in found]  # a number has no label
    return _table(["class", "score"], rows)


def _zero_shot(model: Model, text: str, second: str) -> dict[str, Any]:
    if not second.strip():
        raise UserError("enter labels, separated by commas")
    found = pipeline("zero-shot-classification", model, candidate_labels=second)(text)
    rows = [list(pair) for pair in zip(found["labels"], found["scores"], strict=True)]
    return _table(["label", "probability"], rows)


def _entities(model: Model, text: str, second: str) -> dict[str, Any]:
    found = pipeline("token-classification", model, aggregation_strategy="simple")(text)
    rows = [[one["word"], one["entity_group"], one["score"]] for one in found]
    note = "" if rows else "No token has a label other than O."
    return _table(["words", "label", "score"], rows, note)


def _answers(model: Model, text: str, second: str) -> dict[str, Any]:
    if not second.strip():
        raise UserError("enter a question")
    made = pipeline("question-answering", model, top_k=ANSWERS)
    found = made({"question": second, "context": text})
    rows = [[one["answer"], f"{one['start']}–{one['end']}", one["score"]] for one in found]
    return _table(["answer", "characters", "score"], rows)


def _features(model: Model, text: str, second: str) -> dict[str, Any]:
    """Cosine similarity of the lines to the first; of one line the largest components."""
    lines = [line for line in text.splitlines() if line.strip()]
    if len(lines) > MAX_LINES:
        raise UserError(f"{len(lines)} lines: the page compares at most {MAX_LINES} texts")
    vectors = pipeline("feature-extraction", model, pool="mean")(lines)
    for line, vector in zip(lines, vectors, strict=True):
        if isinstance(vector, dict):
            raise UserError(f"{line:.40}: {vector['error']}")
    x = np.stack(vectors).astype(np.float64)
    note = f"mean over the tokens of the last layer: {x.shape[1]} numbers"
    if len(lines) > 1:
        x /= np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)
        rows = [[line, float(x[0] @ one)] for line, one in zip(lines, x, strict=True)]
        note += "; cosine similarity to the first text"
        return _table(["text", "cosine"], rows, note)
    largest = np.argsort(-np.abs(x[0]), kind="stable")[:SHOWN]
    rows = [[int(i), float(x[0, i])] for i in largest]
    note += f", norm {np.linalg.norm(x[0]):.4g}; the largest. Several lines are compared"
    return _table(["index", "value"], rows, note)


def _replaced(model: Model, text: str, second: str) -> dict[str, Any]:
    (ids,), (logits,) = model.encode(text), model.logits(text)
    chance = 1 / (1 + np.exp(-np.asarray(logits, np.float64)))
    rows = [[_name(model, i), float(p)] for i, p in zip(ids, chance, strict=True)]
    return _table(["token", "probability that it was replaced"], rows)


def _scores(model: Model, text: str, second: str) -> dict[str, Any]:
    """log p of each token; of an encoder each masked alone, of an encoder-decoder those of the
    target."""
    if model.architecture == "seq2seq" and not second.strip():
        raise UserError("the score of an encoder-decoder needs a target text as well")
    targets = [second] if model.architecture == "seq2seq" else None
    (scores,) = model.token_scores([text], targets)
    if not len(scores.tokens):
        raise UserError("the text has no token to score: a decoder scores from the second token on")
    rows = [
        [_name(model, token), float(log_p)]
        for token, log_p in zip(scores.tokens, scores.log_probs, strict=True)
    ]
    mean = scores.total / len(rows)
    kind = "pseudo-log-likelihood" if model.architecture == "encoder" else "log-likelihood"
    note = f"{kind} {scores.total:.2f} nats over {len(rows)} tokens, {mean:.3f} each"
    return _table(["token", "log p (nats)"], rows, note)


def _name(model: Model, token: Any) -> str:
    """A token as text; its name where it has none."""
    tokenizer = model.tokenizer
    assert tokenizer is not None  # as the text has been encoded
    return tokenizer.decode(np.array([token])) or tokenizer.name_of(int(token))


TABLES = (
    PlaygroundTask("fill-mask", "fill masks"),
    PlaygroundTask("replaced-tokens", "detect replaced tokens", "text"),
    PlaygroundTask("score", "score a text", "text"),
    PlaygroundTask("text-classification", "classify a text", "text"),
    PlaygroundTask(
        *("zero-shot-classification", "classify by labels of your own", "text"),
        "labels, separated by commas",
    ),
    PlaygroundTask("token-classification", "classify tokens", "text"),
    PlaygroundTask("question-answering", "answer a question", "context", "question"),
    PlaygroundTask("feature-extraction", "compare texts by their features", "texts, one a line"),
)
_ANSWERS: dict[str, Callable[[Model, str, str], dict[str, Any]]] = {
    "fill-mask": _fill_mask,
    "replaced-tokens": _replaced,
    "score": _scores,
    "text-classification": _classes,
    "zero-shot-classification": _zero_shot,
    "token-classification": _entities,
    "question-answering": _answers,
    "feature-extraction": _features,
}
