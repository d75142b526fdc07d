"""What a run says at its end."""

from types import SimpleNamespace

import pytest
from omegaconf import OmegaConf

from fxformer.train.summary_stats import corpus_notes, plateau


def setup(batch: int, text: int = 1000, causal: bool = False):
    network = {
        "_target_": "fxformer.model.language_model.LanguageModel",
        "transformer": {"causal": causal},
    }
    cfg = {"model": {"network": network}, "data": {"batch": batch, "length": 128}}
    facts = {"unigram_nats": 6.4, "valid": {"bytes": text}}
    return SimpleNamespace(data=SimpleNamespace(facts=facts), cfg=OmegaConf.create(cfg))


@pytest.mark.parametrize("batch,said", [(8, True), (64, False)])
def test_a_run_that_learned_frequencies_only_says_what_to_try(batch, said):
    lines = " ".join(words for _, words in plateau(setup(batch), {"nll": 6.35}))
    assert all(word in lines for word in ("trainer.steps", "optimizer.lr", "experiment=mlm_stdlib"))
    assert ("data.batch" in lines) == said


def test_a_run_worse_than_frequencies_is_told_so():
    assert "little better than" in plateau(setup(8), {"nll": 6.45})[0][1]
    assert "predicts worse than the frequencies" in plateau(setup(8), {"nll": 7.1})[0][1]


def test_a_recipe_is_named_for_the_same_architecture_only():
    decoder = plateau(setup(8, causal=True), {"nll": 6.35})
    assert decoder and not any("experiment=" in words for _, words in decoder)
    own = setup(8)
    own.cfg.name = "mlm_stdlib"  # the recipe itself, ended early
    assert len(plateau(own, {"nll": 6.35})) == 1
    seq2seq = setup(8)
    seq2seq.cfg.model.network = {"_target_": "fxformer.model.seq2seq.Seq2Seq"}
    assert "experiment=denoise_stdlib" in plateau(seq2seq, {"nll": 6.35})[1][1]


def test_a_run_that_learned_more_says_nothing():
    assert plateau(setup(8), {"nll": 6.1, "loss": 6.35}) == []
    assert plateau(setup(8, text=0), {"nll": 6.4}) == []  # a made-up task
    assert plateau(setup(8), {"loss": 55.0}) == []  # not a likelihood of tokens


OVERLAP = {"documents": 0.25, "almost": 0.05, "lines": 0.5, "text": 0.4}


def test_lossy_round_trips_overlap_and_what_was_skipped():
    trip = {"documents": 4, "exact": 1, "kept": 75, "missing": 25, "added": 0}
    facts = {"valid": {"bytes": 100, "round_trip": trip}, "overlap": OVERLAP}
    lossy, overlap, skipped = corpus_notes(facts | {"files_empty": 2, "records_blank": 3})
    assert "lossy: 25.0 % of the bytes: 1 of 4 held-out documents come back exactly" in lossy
    assert "40.0% (25.0% of its documents are copies, 5.0% nearly)" in overlap
    assert skipped == "skipped: 2 empty files, 3 records without text"


def test_data_that_is_no_text_has_nothing_to_say():
    assert corpus_notes({"valid": {"bytes": None}, "files_empty": 0}) == []
