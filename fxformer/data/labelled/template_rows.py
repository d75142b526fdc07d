"""Sentences of templates with label noise: labelled rows whose best accuracy and loss are known.

A label is right with probability 1 - noise, else one of the others, all equally likely. No model
does better than 1 - noise, and the smallest mean loss is the entropy of the noise.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from fxformer.errors import UserError

TOPICS = {
    "animal": "dog cat horse bird fish cow goat duck wolf mouse",
    "clothing": "coat hat shirt scarf boot glove belt sock dress jacket",
    "food": "apple bread cheese soup rice cake egg bean pear honey",
    "tool": "hammer saw drill ladder shovel knife rope nail brush axe",
}
VERBS = "found carried described forgot admired measured sold hid lost wanted".split()
KINDS = "small green old heavy strange new broken cheap bright lost".split()
PLACES = ("by the river", "in the attic", "before noon", "without a word", "after the storm",
          "near the school", "behind the house", "on the bridge")  # fmt: skip
PEOPLE = ("Anna Berg", "Tom Hill", "Maria Lopez", "John Stone", "Eva Lind", "Paul Young",
          "Rosa Silva", "Max Winter")  # fmt: skip
ENTITIES = {
    "PER": PEOPLE,
    "LOC": ("Paris", "London", "Rome", "Vienna", "Oslo", "Madrid", "Lisbon", "Cairo"),
    "ORG": ("North Bank", "City Museum", "Green Party", "State College", "Red Cross",
            "Daily News", "Grand Hotel", "Royal Opera"),
    "DAY": ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"),
}  # fmt: skip
FRAMES = (
    "{PER} of {ORG} went to {LOC} on {DAY} .",
    "on {DAY} {PER} left {LOC} .",
    "{ORG} met {PER} and {PER} in {LOC} .",
    "in {LOC} the {ORG} opens every {DAY} .",
)
QUESTIONS = {
    "who": ("Who bought it?", PEOPLE),
    "what": ("What was bought?", tuple(" ".join(TOPICS.values()).split())),
    "where": ("Where was it bought?", ENTITIES["LOC"]),
    "when": ("When was it bought?", ENTITIES["DAY"]),
}
CONTEXTS = (
    "{who} bought the {what} in {where} on {when} .",
    "on {when} {who} bought the {what} in {where} .",
    "in {where} the {what} was bought by {who} on {when} .",
)

Rows = Mapping[str, Sequence[dict[str, Any]]]


def noise_entropy(noise: float, classes: int) -> float:
    """Entropy in nats of a label that is right with probability 1 - noise, else any of the other
    classes - 1: H(noise) + noise log(classes - 1)."""
    shares = [1 - noise, *[noise / (classes - 1)] * (classes - 1)]
    return -sum(share * math.log(share) for share in shares if share > 0)


def template_rows(
    kind: str, noise: float, counts: Mapping[str, int], seed: int
) -> tuple[dict[str, list[dict[str, Any]]], dict[str, float]]:
    """(rows by split, the best value of each metric that any model can expect).

    kind: a key of KINDS_OF_ROWS; counts: rows of each split; seed: of the rows
    Inputs are distinct, in and between the splits. UserError for noise that no label survives.
    """
    make, classes, best = KINDS_OF_ROWS[kind]
    if noise > (classes - 1) / classes:
        raise UserError(
            f"data.noise={noise:g}: with {classes} classes at most {(classes - 1) / classes:g}, "
            "where labels say nothing of the text"
        )
    rng, seen = np.random.default_rng(seed), set()
    rows: dict[str, list[dict[str, Any]]] = {split: [] for split in counts}
    for split, count in counts.items():
        tries = 0
        while len(rows[split]) < count:
            text, row = make(rng, noise)
            tries += 1
            if tries > 50 * count + 1000:
                raise UserError(
                    f"data.examples: the templates of data.kind={kind} give about {len(seen)} "
                    "different inputs; ask for fewer"
                )
            if text not in seen:
                seen.add(text)
                rows[split].append(row)
    return rows, best(rows["valid"], noise, classes)


def _choice(rng: np.random.Generator, options: Sequence[Any]) -> Any:
    return options[int(rng.integers(len(options)))]


def _noisy(rng: np.random.Generator, label: str, labels: Sequence[str], noise: float) -> str:
    """The label, or with probability `noise` one of the others."""
    others = [one for one in labels if one != label]
    return _choice(rng, others) if rng.random() < noise else label


def _classified(rng: np.random.Generator, noise: float) -> tuple[str, dict[str, Any]]:
    """A sentence about a thing; its label is the kind of thing."""
    topic = _choice(rng, sorted(TOPICS))
    who, verb, kind = _choice(rng, PEOPLE), _choice(rng, VERBS), _choice(rng, KINDS)
    thing, place = _choice(rng, TOPICS[topic].split()), _choice(rng, PLACES)
    text = f"{who} {verb} the {kind} {thing} {place} ."
    return text, {"text": text, "label": _noisy(rng, topic, sorted(TOPICS), noise)}


def _tagged(rng: np.random.Generator, noise: float) -> tuple[str, dict[str, Any]]:
    """A sentence whose entities have labels of their type, in BIO."""
    words: list[str] = []
    labels: list[str] = []
    for slot in _choice(rng, FRAMES).split():
        name = slot.strip("{}")
        if name not in ENTITIES:
            words.append(slot)
            labels.append("O")
            continue
        parts = _choice(rng, ENTITIES[name]).split()
        label = _noisy(rng, name, sorted(ENTITIES), noise)
        words += parts
        labels += [f"B-{label}", *[f"I-{label}"] * (len(parts) - 1)]
    return " ".join(words), {"words": words, "labels": labels}


def _answered(rng: np.random.Generator, noise: float) -> tuple[str, dict[str, Any]]:
    """A question about a sentence; its answer is the phrase of that kind."""
    filled = {name: _choice(rng, options) for name, (_, options) in QUESTIONS.items()}
    context = _choice(rng, CONTEXTS).format(**filled)
    asked = _choice(rng, sorted(QUESTIONS))
    answer = filled[_noisy(rng, asked, sorted(QUESTIONS), noise)]
    question = QUESTIONS[asked][0]
    row = {
        "question": question,
        "context": context,
        "answers": [{"text": answer, "start": context.index(answer)}],
    }
    return f"{question} {context}", row


def _best_class(rows: Sequence[dict[str, Any]], noise: float, classes: int) -> dict[str, float]:
    least = noise_entropy(noise, classes)
    return {"accuracy": 1 - noise, "loss": least, "nll": least}


def _best_tags(rows: Sequence[dict[str, Any]], noise: float, classes: int) -> dict[str, float]:
    """Of the words of entities the loss is the entropy, of the others 0."""
    labels = [label for row in rows for label in row["labels"]]
    share = sum(label != "O" for label in labels) / len(labels)
    return {
        "entity_f1": 1 - noise,
        "accuracy": 1 - noise * share,
        "loss": share * noise_entropy(noise, classes),
    }


def _best_answer(rows: Sequence[dict[str, Any]], noise: float, classes: int) -> dict[str, float]:
    """The loss is the mean of that of the first and the last token, which are known together."""
    percent = 100 * (1 - noise)
    return {
        "squad_exact_match": percent,
        "squad_f1": percent,
        "accuracy": 1 - noise,
        "loss": noise_entropy(noise, classes),
    }


Make = Callable[[np.random.Generator, float], tuple[str, dict[str, Any]]]
Best = Callable[[Sequence[dict[str, Any]], float, int], dict[str, float]]
KINDS_OF_ROWS: dict[str, tuple[Make, int, Best]] = {
    "classification": (_classified, len(TOPICS), _best_class),
    "entities": (_tagged, len(ENTITIES), _best_tags),
    "answers": (_answered, len(QUESTIONS), _best_answer),
}
