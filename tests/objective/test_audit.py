"""Through the verb: sound objectives pass, and every rule of every preset of ours can fail."""

import io
import json
import re

import numpy as np
import pytest
from rich.console import Console

from fxformer.cli import app

NOISE = "objective.noises.0._target_"
WHOLE = "objective._target_"

# preset, the override that breaks it, whose rules must all be found broken ("" is the whole's)
BROKEN = [
    ("denoise_permute", (f"{NOISE}=SentencePermutation",), "SentencePermutation"),
    ("denoise_infill", (f"{NOISE}=TextInfilling",), "TextInfilling"),
    ("denoise_mask", (f"{NOISE}=TokenMasking",), "TokenMasking"),
    ("denoise_delete", (f"{NOISE}=TokenDeletion",), "TokenDeletion"),
    ("denoise_rotate", (f"{NOISE}=DocumentRotation",), "DocumentRotation"),
    (
        "denoise_fairseq",
        ("objective.noises.1._target_=OverlappingInfilling",),
        "OverlappingInfilling",
    ),
    ("denoise_hf", ("objective.noises.1._target_=ScatteredInfilling",), "ScatteredInfilling"),
    ("denoise_mask", (f"{WHOLE}=DenoisingLM",), ""),
    ("clm", (f"{WHOLE}=CausalLM",), ""),
    ("seq2seq", (f"{WHOLE}=Seq2SeqLM",), ""),
    ("tokenlabel", (f"{WHOLE}=TokenLabel",), ""),
    (
        "mlm",
        (
            f"{WHOLE}=MaskedLM",
            "objective.masking._target_=First",
            "objective.replacement._target_=Replacement",
        ),
        "",
    ),
    (
        "mlm_roberta",
        (
            f"{WHOLE}=MaskedLM",
            "objective.masking._target_=FirstByCoin",
            "objective.replacement._target_=Replacement",
        ),
        "",
    ),
    (
        "electra",
        (
            f"{WHOLE}=ReplacedTokenDetection",
            "objective.masking._target_=First",
            "objective.replacement._target_=Replacement",
        ),
        "",
    ),
]


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    """A file of 400 lines, each of some sentences of two-letter words."""
    generator = np.random.default_rng(0)
    letters = np.array(list("abcdefghijklmnopqrstuvwxyz"))

    def sentence() -> str:
        words = ("".join(generator.choice(letters, 2)) for _ in range(generator.integers(2, 9)))
        return " ".join(words) + "."

    lines = [" ".join(sentence() for _ in range(generator.integers(1, 4))) for _ in range(400)]
    file = tmp_path_factory.mktemp("text") / "text.txt"
    file.write_text("\n".join(lines))
    return file


OWN_DATA = ("seq2seq", "tokenlabel", "ctrl")  # these objectives bring data of their own


@pytest.fixture
def audit(text, tmp_path, monkeypatch):
    """audit(preset, *overrides, draws) -> (exit code, the JSON, what was printed)."""
    from fxformer.config import target

    monkeypatch.setattr(target, "ALLOWED", (*target.ALLOWED, "objective"))
    target.signature.cache_clear()
    said = io.StringIO()  # not capsys: Hydra shuts down absl's log handler, and that its stream
    monkeypatch.setattr(
        "fxformer.evaluate.audit.main.Console", lambda: Console(file=said, width=200)
    )

    def run(preset, *overrides, draws=1500):
        from fxformer.cli.objectives_doc import words

        given = words(preset)
        if preset not in OWN_DATA:
            given += ["data=text", f"data.files={text}", "data.document_is=line", "tokenizer=char"]
            given += ["data.length=96", f"data.cache_dir={text.parent}"]
        file = tmp_path / "audit.json"
        more = (f"audit.draws={draws}", "audit.examples=1", f"audit.json={file}")
        code = app.audit([*given, *overrides, *more])
        return code, json.loads(file.read_text()), said.getvalue()

    return run


def ours(words):
    """`key=Class` with the class taken from objective/broken.py."""
    return [re.sub(r"=(\w+)$", r"=objective.broken.\1", word) for word in words]


@pytest.mark.parametrize("preset, words, part", BROKEN)
@pytest.mark.sample(4)
def test_every_rule_can_fail(preset, words, part, audit):
    code, found, said = audit(preset, *ours(words))
    rules = [r for r in found["rules"] if r["name"].rpartition(": ")[0] == part]
    assert code == 4 and rules and not found["holds"]
    assert [r["name"] for r in rules if r["holds"]] == []
    last = " ".join(said[said.index("verdict  ") :].replace("│", " ").split())
    assert all(rule["name"] in last for rule in rules)


@pytest.mark.parametrize("preset", sorted({preset for preset, _, _ in BROKEN}))
@pytest.mark.sample(4)
def test_a_sound_one_passes(preset, audit):
    code, found, _ = audit(preset)
    assert code == 0 and found["holds"] and found["examples_drawn"] >= 1500
    assert all(rule["draws"] for rule in found["rules"])
