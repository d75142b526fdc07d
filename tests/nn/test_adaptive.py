"""Adaptive word vectors and softmax: nothing but tables and a chain of probabilities."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from omegaconf import OmegaConf

from fxformer.config.compatibility_parts import words_fit_what_reads_them
from fxformer.nn.adaptive import AdaptiveEmbedding, AdaptiveHead, cluster_bounds
from fxformer.ops.adaptive_softmax import adaptive_cross_entropy
from fxformer.ops.cross_entropy import CrossEntropy
from tests.models import close, normal_like

V, D, CUTS = 20, 12, [5, 9]
COUNT = 37


def parts(cutoffs=tuple(CUTS), div_val=2, tied=(False, True, True), vocab=V):
    """A table and a head, every weight drawn."""
    known = {"cutoffs": list(cutoffs), "div_val": div_val}
    words = AdaptiveEmbedding(vocab, D, **known, rngs=nnx.Rngs(0))
    head = AdaptiveHead(D, vocab=vocab, width=D, **known, tied=list(tied), rngs=nnx.Rngs(1))
    shape, state = nnx.split((words, head))
    leaves, tree = jax.tree.flatten(state)
    return nnx.merge(shape, jax.tree.unflatten(tree, normal_like(leaves, 0.5, 2)))


def test_a_word_is_its_row_projected():
    words, _ = parts()
    bounds, got = (0, *CUTS, V), np.asarray(words(jnp.arange(V)))
    tables = {k: np.asarray(one.embedding[...]) for k, one in words.tables.items()}
    kernels = {k: np.asarray(one.kernel[...]) for k, one in words.projections.items()}
    for word in range(V):
        k = sum(word >= cut for cut in CUTS)
        row = tables[str(k)][word - bounds[k]]
        assert row.shape == (D // 2**k,)
        np.testing.assert_allclose(got[word], row @ kernels[str(k)], rtol=0, atol=1e-6)


def test_a_head_is_a_chain_of_two_softmaxes():
    words, head = parts()
    x = np.asarray(jax.random.normal(jax.random.key(0), (4, D)))
    logs, bounds = np.asarray(head.logits(jnp.asarray(x), words)), (0, *CUTS, V)
    close(np.exp(logs).sum(-1), np.ones(4), 1e-6)

    def softmax(y):
        return np.exp(y) / np.exp(y).sum(-1, keepdims=True)

    def project(k):
        if k == "0":  # the only one with a projection of its own
            return x @ np.asarray(head.projections[k].kernel[...])
        return x @ np.asarray(words.projections[k].kernel[...]).T

    tables = [np.asarray(words.tables[k].embedding[...]) for k in "012"]
    top = np.concatenate([tables[0], np.asarray(head.clusters.embedding[...])])
    bias = np.concatenate([head.biases["0"][...], head.cluster_bias[...]])
    first = softmax(project("0") @ top.T + bias)
    want = [first[:, : CUTS[0]]]
    for k in (1, 2):
        inside = softmax(project(str(k)) @ tables[k].T + np.asarray(head.biases[str(k)][...]))
        want.append(first[:, CUTS[0] + k - 1, None] * inside)
    assert [w.shape[1] for w in want] == np.diff(bounds).tolist()
    close(logs, np.log(np.concatenate(want, axis=1)), 2e-6)


def asked(weights=None):
    """(features [N D], targets, weights): a row that does not count holds nonsense."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(COUNT, D)).astype(np.float32)
    targets = rng.integers(0, V, COUNT).astype(np.int32)
    weights = rng.integers(0, 2, COUNT).astype(np.float32) if weights is None else weights
    return x, targets, weights


def total(state, shape, x, targets, weights, z_loss=0.0, chunk=8):
    words, head = nnx.merge(shape, state)
    return head.score(x, words, targets, weights, CrossEntropy(z_loss=z_loss, chunk=chunk))


def plainly(state, shape, x, targets, weights, z_loss=0.0):
    """The same by the whole matrix of log-probabilities."""
    words, head = nnx.merge(shape, state)
    right = jnp.take_along_axis(head.logits(x, words), targets[:, None], 1)[:, 0]
    penalty = 0.0
    for k, (features, kernel, bias) in enumerate(head.softmaxes(x, words)):
        log_z = jax.nn.logsumexp(features @ kernel.T + bias, axis=-1)
        low, high = (0, V) if k == 0 else head.bounds[k : k + 2]
        penalty += jnp.where((targets >= low) & (targets < high), log_z**2, 0)
    return jnp.vdot(weights, z_loss * penalty - right)


@pytest.mark.parametrize("z_loss", [0.0, 0.1])
def test_the_loss_and_its_gradient_are_those_of_the_logits(z_loss):
    shape, state = nnx.split(parts())
    x, targets, weights = asked()
    ours = lambda s, x: total(s, shape, x, targets, weights, z_loss)["loss"][0]  # noqa: E731
    theirs = lambda s, x: plainly(s, shape, x, targets, weights, z_loss)  # noqa: E731
    value, grads = jax.jit(jax.value_and_grad(ours, (0, 1)))(state, jnp.asarray(x))
    want, wanted = jax.jit(jax.value_and_grad(theirs, (0, 1)))(state, jnp.asarray(x))
    close(value, want, 1e-6)
    jax.tree.map(lambda a, b: close(a, b, 5e-6), grads, wanted)


def test_accuracy_is_that_of_the_likeliest_word():
    words, head = parts()
    x, _, weights = asked()
    best = np.asarray(head.logits(x, words).argmax(-1))
    targets = np.where(np.arange(COUNT) % 3 == 0, (best + 1) % V, best).astype(np.int32)
    assert len(set(np.searchsorted(CUTS, best, "right"))) == 3  # of all clusters
    hits, weight = total(*nnx.split((words, head))[::-1], x, targets, weights)["accuracy"]
    assert hits == (weights * (best == targets)).sum() and weight == weights.sum()


def test_chunks_and_rows_that_do_not_count_make_no_difference():
    words, head = parts()
    x, targets, weights = asked()
    levels = head.softmaxes(x, words)
    none = weights[:, None] == 0
    spoilt = [(np.where(none, np.nan, level[0]), *level[1:]) for level in levels]
    wild = np.where(weights > 0, targets, 10**6).astype(np.int32)

    def grad(levels, targets, chunk):
        def loss(levels):
            return adaptive_cross_entropy(levels, targets, weights, chunk=chunk)["loss"][0]

        return jax.jit(jax.grad(loss))(levels)

    plain, other = grad(levels, targets, 64), grad(spoilt, wild, 5)
    jax.tree.map(lambda a, b: close(a, b, 2e-6), plain, other)


def test_one_cluster_is_a_plain_softmax():
    words, head = parts((), 1, (True,))
    assert not words.projections and not head.projections and head.clusters is None
    x, targets, weights = asked()
    y = x @ words.tables["0"].embedding[...].T + head.biases["0"][...]
    close(head.logits(x, words), jax.nn.log_softmax(y), 1e-6)
    sums = head.score(x, words, targets, weights, CrossEntropy())
    plain = CrossEntropy()(
        x, words.tables["0"].embedding[...], head.biases["0"][...], targets, weights
    )
    for name in ("loss", "nll", "accuracy"):
        close(sums[name][0], plain[name][0], 1e-6)


def test_a_step_multiplies_with_every_table_once():
    words, head = parts()
    every = sum(k.size for k in head.kernels(words))
    tables = sum(t.embedding.size for t in words.tables.values()) + head.clusters.embedding.size
    assert every == tables + D * (D + D // 2 + D // 4)


def test_what_cannot_be_is_refused():
    assert cluster_bounds(40, None) == (0, 5, 20, 40)
    with pytest.raises(ValueError, match="below the vocabulary of 8"):
        cluster_bounds(8, [4, 8])
    with pytest.raises(ValueError, match="a width of 12 cannot be divided by 4 3 times"):
        AdaptiveEmbedding(V, D, cutoffs=[4, 6, 8], div_val=4, rngs=nnx.Rngs(0))
    with pytest.raises(ValueError, match="2 values for 3 clusters"):
        parts(tied=(True, True))
    words, _ = parts((5, 10))
    _, head = parts()
    x, targets, weights = asked()
    with pytest.raises(ValueError, match="model/embedding=adaptive"):
        head.logits(x, words)
    words, head = parts()
    with pytest.raises(ValueError, match="smoothing=0"):
        head.score(x, words, targets, weights, CrossEntropy(smoothing=0.1))


@pytest.mark.parametrize(
    ("words", "head", "objective", "said"),
    [
        ("adaptive.AdaptiveEmbedding", "adaptive.AdaptiveHead", "causal.CausalLM", None),
        ("adaptive.AdaptiveEmbedding", "head.UntiedHead", "causal.CausalLM", None),
        ("adaptive.AdaptiveEmbedding", "head.TiedHead", "causal.CausalLM", "model/head=adaptive"),
        ("core.Embedding", "adaptive.AdaptiveHead", "causal.CausalLM", "model/embedding=adaptive"),
        (
            "adaptive.AdaptiveEmbedding",
            "adaptive.AdaptiveHead",
            "electra.ReplacedTokenDetection",
            "write model/embedding=table or another objective",
        ),
    ],
)
def test_the_config_says_what_reads_the_words(words, head, objective, said):
    network = {"embedding": words, "head": head}
    parts = {k: {"_target_": f"fxformer.nn.{v}"} for k, v in network.items()}
    learns = {"_target_": f"fxformer.objective.{objective}"}
    cfg = {"model": {"network": parts}, "objective": learns}
    found = words_fit_what_reads_them(OmegaConf.create(cfg))
    assert said in found if said else found is None
