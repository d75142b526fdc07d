"""No objective learns to go under the exact floor of what it hides: a leak would.

The text is a Markov chain, one word a symbol. Which tokens an objective hides is found by asking:
a token is hidden if another one in its place changes nothing that the model may read before it has
to answer. Of the hidden ones that are asked for, Q, given all that is to be seen, V, no honest
predictor has an expected loss below -log p(Q | V), which two forward passes give exactly; whatever
else its targets hold can only add to that. By Ville's inequality a sound model is more than
log(1 / DOUBT) nats under it, summed over a whole held-out text, once in 1 / DOUBT texts.
"""

import dataclasses

import numpy as np
import pytest

from fxformer.batch import Batch, Rows
from fxformer.data.synthetic import Markov
from fxformer.objective import span_target
from fxformer.objective.base import Objective
from tests.physics.training import Trained, trained

MARGIN = np.log(1e9)  # nats
SYMBOLS, LONG, DOCUMENTS = 6, 22, 900
SENTINELS = "tokenizer.specials.sentinels=24"
SMALL = (
    *("data=text", "data.files=chain.txt", "data.document_is=line", "data.cache_dir=cache"),
    *("tokenizer=word", "data.length=32", "data.batch=32", "data/packing=padded"),
    *("size=tiny", "model.dim=32", "model.heads=2", "model.ffn.hidden=64", "model.dropout=0"),
    *("optimizer.lr=5e-3", "trainer.steps=200", "trainer.save_every=0"),
)
CASES = {
    "clm": ("model=decoder", "objective=clm"),
    "prefix": ("model=decoder", "objective=prefix"),
    "fim": ("model=decoder", "objective=fim", "objective.split=token", SENTINELS),
    "mlm": ("model=encoder", "objective=mlm"),
    "mlm_spans": ("model=encoder", "objective=mlm_spans"),
    "denoise_infill": ("model=seq2seq", "objective=denoise_infill"),
    "denoise_mask": ("model=seq2seq", "objective=denoise_mask"),
    "mass": ("model=seq2seq", "objective=mass"),
    "t5": ("model=seq2seq", "objective=t5", SENTINELS),
    "t5_drop": ("model=seq2seq", "objective=t5_drop"),
    "t5_prefix": ("model=seq2seq", "objective=t5_prefix"),
    "ul2": ("model=seq2seq", "objective=ul2", SENTINELS),
}
QUICK = ("prefix",)  # the others take minutes together


@pytest.fixture(scope="module")
def chain() -> Markov:
    """The check of the text."""
    knobs = {"examples": 1, "valid_examples": 1, "example_length": LONG}
    return Markov(tokenizer=None, packing=None, length=1, batch=1, symbols=SYMBOLS, **knobs)


@pytest.fixture(scope="module")
def text(chain, tmp_path_factory):
    """A folder with chain.txt: a document a line."""
    folder = tmp_path_factory.mktemp("chain")
    drawn = chain.generate(np.random.default_rng(5), DOCUMENTS, 0).tokens.reshape(-1, LONG)
    lines = [" ".join("abcdefghij"[symbol] for symbol in row) for row in drawn]
    (folder / "chain.txt").write_text("\n".join(lines))
    return folder


def fates(objective: Objective, rows: Rows) -> tuple[np.ndarray, np.ndarray]:
    """(seen, asked): of each token, whether the model may read it before it must answer, and
    whether its value is asked for. [B, T] bool."""
    ordinary = objective.vocabulary.ordinary
    batch = objective.corrupt(rows)
    seen, asked = (np.zeros(rows.tokens.shape, bool) for _ in range(2))
    for column in range(rows.tokens.shape[1]):
        tokens = rows.tokens.copy()
        place = np.isin(tokens[:, column], ordinary)
        after = np.searchsorted(ordinary, tokens[place, column]) + 1
        tokens[place, column] = ordinary[after % len(ordinary)]
        other = objective.corrupt(dataclasses.replace(rows, tokens=tokens))
        asked[:, column] = (_answers(batch) != _answers(other)).any(1)
        read = (_read(batch) != _read(other)).any(1)
        decoder = objective.model.architecture == "decoder"
        seen[:, column] = place & (~asked[:, column] if decoder else read)
    return seen, asked


def _answers(batch: Batch) -> np.ndarray:
    return np.where(batch.weights > 0, batch.targets, 0)


def _read(batch: Batch) -> np.ndarray:
    return batch.tokens if batch.source is None else batch.source


def log_likelihood(chain: Markov, symbols: np.ndarray, given: np.ndarray) -> float:
    """log p of the symbols [n] that are given [n] bool, the others summed over."""
    check, total = chain.stationary, 0.0
    for symbol, known in zip(symbols, given, strict=True):
        if known:
            total += np.log(check[symbol])
            check = np.eye(len(check))[symbol]
        check = check @ chain.transitions
    return total


def floor(run: Trained, chain: Markov) -> tuple[float, int]:
    """Nats of the whole held-out text that no honest predictor can save, and tokens hidden."""
    data, objective = run.setup.data, run.setup.objective
    encode = data.tokenizer.encode
    ids = [int(encode(letter)[0]) for letter in "abcdefghij"[:SYMBOLS]]
    batches = data.valid(run.setup.corpus.batch)
    total, hidden = 0.0, 0
    for rows in (batches[n] for n in range(len(batches))):
        seen, asked = fates(objective, rows)
        for row in range(len(rows.tokens)):
            inside = np.isin(rows.tokens[row], ids)
            symbols = np.array([ids.index(token) for token in rows.tokens[row, inside]])
            v, q = seen[row, inside], (asked & ~seen)[row, inside]
            total += log_likelihood(chain, symbols, v) - log_likelihood(chain, symbols, v | q)
            hidden += int(q.sum())
    return total, hidden


def paid(run: Trained) -> float:
    """Nats that the model paid for the same text."""
    return sum(float(sums["nll"][0]) for _, sums in run.ask(lambda objective, b: objective(b)))


@pytest.mark.parametrize(
    "name",
    [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in CASES],
)
def test_nothing_is_learned_below_the_floor(name, text, chain, monkeypatch):
    monkeypatch.chdir(text)
    run = trained(*CASES[name], *SMALL)
    least, hidden = floor(run, chain)
    assert hidden > 200
    assert least / hidden > 0.3  # there is something that cannot be known
    assert paid(run) > least - MARGIN


@pytest.mark.slow
def test_a_decoder_that_reads_its_answer_is_caught(text, chain, monkeypatch):
    def leaking(rows, start):
        tokens, targets, weights = answer(rows, start)
        return np.where(weights > 0, targets, tokens), targets, weights

    answer = span_target.answer
    monkeypatch.setattr(span_target, "answer", leaking)
    monkeypatch.chdir(text)
    run = trained(*CASES["t5"], *SMALL)
    least, _ = floor(run, chain)
    assert paid(run) < least - 10 * MARGIN
