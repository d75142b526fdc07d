"""The table of training steps is that of the files of results."""

from benchmarks.step_table import BEGIN, PAGES, ROOT, results, table, written


def test_the_pages_show_the_files():
    text = table(results())
    for name in PAGES:
        page = (ROOT / name).read_text(encoding="utf-8")
        assert page.count(BEGIN) == 1
        assert page == written(page, text), "run `python -m benchmarks step_table`"


def test_a_row_has_both_ratios_and_the_memory_of_both():
    spread = {"median": 1.5, "low": 1.25, "high": 2.0}
    peer = {"ratio": spread, "ratio_cpu": spread | {"median": 1.75}, "peak_bytes": 2e9}
    sides = {"fxformer": {"peak_bytes": 1.5e9}, "hf_bert": peer}
    one = {"shape_name": "tiny", "shape": {"dropout": 0.1}, "families": {"encoder": sides}}
    assert table([one]).splitlines()[-1] == (
        "| tiny | 0.1 | encoder / hf_bert | 1.50 (1.25–2.00) | 1.75 (1.25–2.00) | 1,500 / 2,000 |"
    )
