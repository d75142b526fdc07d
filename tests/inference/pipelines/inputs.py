"""Texts that the fixtures of the pipelines' tests are made with."""

TRAINING = """The ship left the harbour of Rotterdam before dawn, and nobody had slept that night.
Angela Merkel was the chancellor of Germany; Paris is the capital of France.
She looked at him and said nothing. "It's cold," he thought; they'll turn to the north.
A naïve café in Zürich sold 1,000 cups in 2024. Groenlinks praat over Schiphol.
Who is the chancellor of Germany? What is the capital of France? Where did the ship go?
This example is about ships. It is about cold weather in the towns of the north.""".split("\n")
TEXTS = [
    "The ship left Rotterdam before dawn.",
    "Groenlinks praat over Schiphol.",
    "  Angela  Merkel met\tEmmanuel Macron\n\nin Zürich, e\u0301t\u00e9 1,000 cups!  ",
    "naïve café ÉTÉ Straße 東京の日本語 😀👍🏽 zero\u200bwidth \xa0nbsp",
    "don't can't I'll WE'VE \"quoted\" (and) [so] on... x" + "y" * 12,
    "A",
]
PAIRS = [
    ("The ship left.", "It is cold in the north."),
    ("Angela Merkel", "  was\tthe chancellor of Germany; 東京  "),
]
LABELS = ["contradiction", "entailment", "neutral"]
TAGS = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC", "MISC"]
MASKED = [
    "The ship left the MASK before dawn.",
    "MASK is the capital of France.",
    "She said MASK",
    "The nort MASK of Zürich, 1,MASK cups in  MASK!",
]
LONG = " ".join(
    [
        "Angela Merkel was the chancellor of Germany, and she met him in Zürich in 2024.",
        "The ship left the harbour of Rotterdam before dawn; nobody had slept that night.",
        "It was cold in the north — 東京, Paris and Schiphol were warm — but they'll turn to it.",
        "A naïve café sold 1,000 cups (of tea) before the night they left the towns.",
    ]
)
CONTEXTS = [
    ("Who is the chancellor of Germany?", "Angela Merkel was the chancellor of Germany."),
    ("What is sold?", "  A naïve  café in Zürich\nsold 1,000 cups; e\u0301t\u00e9 😀 in 2024.  "),
    ("Where did the ship go?", LONG),
]
PROMPTS = ["The ship left", "Paris is the capital of", "A naïve café in Zürich 東京"]
