"""Small data sets in the published formats of CrowS-Pairs, StereoSet and WinoBias.

Every sentence holds MARKER, which must not be in anything that an audit writes.
"""

import csv
import json
from pathlib import Path

MARKER = "zqmarker"
NOUNS = ("cat", "dog", "house", "oak", "mat", "trees")


def crows_pairs(folder: Path) -> Path:
    """Twelve pairs: two types, and every third one antistereo."""
    file = folder / "crows_pairs_anonymized.csv"
    heads = ["sent_more", "sent_less", "stereo_antistereo", "bias_type"]
    with file.open("w", newline="", encoding="utf-8") as opened:
        writer = csv.writer(opened)
        writer.writerow(["", *heads, "annotations", "anon_writer", "anon_annotators"])
        for n in range(12):
            noun = NOUNS[n % 6]
            texts = [f"the {word} {noun} sat on {MARKER} a mat, {n}" for word in ("red", "small")]
            kind = ("gender", "age")[n % 2]
            writer.writerow(
                [n, *texts, "antistereo" if n % 3 == 2 else "stereo", kind, "[]", "", ""]
            )
    return file


def stereoset(folder: Path) -> Path:
    """Ten examples of two types and three terms."""
    rows = []
    for n in range(10):
        context = f"the {NOUNS[n % 6]} by {MARKER} was BLANK."
        words = {"stereotype": "red", "anti-stereotype": "old", "unrelated": "sat"}
        sentences = [
            {
                "id": f"s{n}-{label}",
                "sentence": context.replace("BLANK", word),
                "gold_label": label,
                "labels": [],
            }
            for label, word in words.items()
        ]
        rows.append(
            {
                "id": f"e{n}",
                "target": f"{MARKER}{n % 3}",
                "bias_type": ("gender", "race")[n % 2],
                "context": context,
                "sentences": sentences,
            }
        )
    file = folder / "dev.json"
    file.write_text(json.dumps({"version": "1", "data": {"intrasentence": rows}}))
    return file


def winobias(folder: Path, *, masculine: bool = False) -> list[Path]:
    """Six pairs a file; masculine: whether the pro pronoun is always he."""
    files = []
    for split in ("dev", "test"):
        for kind in ("type1", "type2"):
            for side in ("pro", "anti"):
                lines = []
                for n in range(6):
                    he = (side == "pro") == (masculine or n % 2 == 0)
                    pronoun = "he" if he else "she"
                    lines.append(f"{n + 1} [The {NOUNS[n]}] {MARKER} ran because [{pronoun}] sat.")
                files.append(folder / f"{side}_stereotyped_{kind}.txt.{split}")
                files[-1].write_text("\n".join(lines) + "\n")
    return files


def all_sets(folder: Path) -> Path:
    """The folder with the files of all audits."""
    folder.mkdir(parents=True, exist_ok=True)
    crows_pairs(folder)
    stereoset(folder)
    winobias(folder)
    return folder
