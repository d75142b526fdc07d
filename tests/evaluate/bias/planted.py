"""Text in which P(he | occupation) is known, and sentences in WinoBias' format that ask for it."""

from pathlib import Path

import numpy as np

ACTS = ("ran", "sat", "left", "slept")
ENDS = ("was late.", "had time.", "saw it.")


def occupation(group: int, number: int) -> str:
    """A made-up occupation of a group."""
    return f"worker{chr(97 + group)}{chr(97 + number // 26)}{chr(97 + number % 26)}"


def planted_text(shares: list[float], occupations: int, sentences: int, seed: int) -> str:
    """Paragraphs of one sentence each, in random order. In those about the occupations of group g,
    the pronoun is he with probability shares[g], drawn independently.

    sentences: about each occupation
    """
    rng = np.random.default_rng(seed)
    found = []
    for group, share in enumerate(shares):
        for number in range(occupations):
            for he in rng.random(sentences) < share:
                act, end = rng.choice(ACTS), rng.choice(ENDS)
                pronoun = "he" if he else "she"
                found.append(f"The {occupation(group, number)} {act} because {pronoun} {end}")
    rng.shuffle(found)
    return "\n\n".join(found) + "\n"


def audit_files(folder: Path, group: int, occupations: int) -> Path:
    """WinoBias files with a sentence about each occupation of a group, in which he is pro."""
    folder.mkdir(parents=True, exist_ok=True)
    for kind, act in (("type1", ACTS[0]), ("type2", ACTS[1])):
        half = range(occupations)[slice(kind == "type2", None, 2)]
        for side, pronoun in (("pro", "he"), ("anti", "she")):
            lines = [
                f"{n + 1} [The {occupation(group, k)}] {act} because [{pronoun}] {ENDS[0]}"
                for n, k in enumerate(half)
            ]
            (folder / f"{side}_stereotyped_{kind}.txt.dev").write_text("\n".join(lines) + "\n")
    return folder
