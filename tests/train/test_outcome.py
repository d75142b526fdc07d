"""What the summary of a run says of its text."""

from fxformer.train.outcome import text

OVERLAP = {"documents": 0.25, "almost": 0.05, "lines": 0.5, "text": 0.4}


def test_lossy_round_trips_overlap_and_what_was_skipped():
    trip = {"documents": 4, "exact": 1, "kept": 75, "missing": 25, "added": 0}
    facts = {"valid": {"bytes": 100, "round_trip": trip}, "overlap": OVERLAP}
    lossy, overlap, skipped = text(facts | {"files_empty": 2, "records_blank": 3})
    assert "lossy: 25.0 % of the bytes: 1 of 4 held-out documents come back exactly" in lossy
    assert "40.0% (25.0% of the documents, and 5.0% almost)" in overlap
    assert skipped == "skipped: 2 empty files, 3 records without text"


def test_data_that_is_no_text_has_nothing_to_say():
    assert text({"valid": {"bytes": None}, "files_empty": 0}) == []
