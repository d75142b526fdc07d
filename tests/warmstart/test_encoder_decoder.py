"""Encoder-decoder from two checkpoints: parameters, outputs, refusals."""

import dataclasses
from pathlib import Path

import jax
import numpy as np
import pytest
from flax import nnx
from omegaconf import OmegaConf

from fxformer.batch import Batch
from fxformer.cli import app
from fxformer.config.build import build
from fxformer.config.options import composed
from fxformer.config.target import ConfigError
from fxformer.data.tokenizer_basic import SymbolTokenizer
from fxformer.hf.convert import WeightMismatch
from fxformer.hf.import_model import import_model
from fxformer.hf.published_model import load_model, parameter_shapes
from fxformer.rules import nested
from fxformer.warmstart.checkpoint_source import CheckpointSource, same_ids
from fxformer.warmstart.encoder_decoder import encoder_decoder_model
from fxformer.warmstart.resolve import resolve_warm_start
from tests.hf.fixture import HERE, published, with_words
from tests.warmstart.test_initializer import QUIET, train

BERT, GPT2, T5, BART = (str(HERE / name) for name in ("bert", "gpt2", "t5", "bart"))
DATA = ("objective=denoise", "data=markov", "tokenizer=none", "data.symbols=18", "data.length=6")


def combined(encoder, decoder, *words):
    """(config, shapes, arrays by path, conversion report) of an encoder-decoder."""
    argv = [f"warm_start.encoder={encoder}", f"warm_start.decoder={decoder}", *DATA, *words]
    cfg = resolve_warm_start(composed("train", argv), argv)
    shapes = parameter_shapes(build(cfg.model.network), 23)
    arrays, lines = build(cfg.warm_start).weights(shapes, runs="runs")
    return cfg, shapes, arrays, lines


@dataclasses.dataclass
class Preset(CheckpointSource):
    """A model of conf/model without weights."""

    words: tuple[str, ...]
    vocab_rows = 30522
    folder = Path("preset")

    def __post_init__(self):
        self.model = OmegaConf.to_container(composed(None, self.words).model, resolve=False)

    def check(self, *given): ...

    def load(self, *given): ...

    def tokenizer(self): ...

    def start(self): ...


@pytest.mark.parametrize(
    "share,parameters",
    [("none", 246_772_794), ("embeddings", 223_331_898), ("all", 137_881_146)],
)
@pytest.mark.sample(3)
def test_bert2bert_has_the_published_parameters(share, parameters):
    base = Preset(("+model=bert", "+size=base"))
    node = encoder_decoder_model(base, base, share, 1)
    shapes = parameter_shapes(build(OmegaConf.create({"model": node}).model.network), 30522)
    assert sum(int(np.prod(shape)) for shape in shapes.values()) == parameters


@pytest.mark.parametrize(
    "share", ["none", pytest.param("embeddings", marks=pytest.mark.slow), "all"]
)
@pytest.mark.sample(2)
def test_at_step_0_the_encoder_computes_the_same_as_alone(share):
    cfg, shapes, arrays, lines = combined(BERT, BERT, f"warm_start.share={share}")
    fresh = {path: np.zeros(shapes[path], np.float32) for path in shapes if path not in arrays}
    assert fresh and all("/cross_attention/" in path for path in fresh)
    network = build(cfg.model.network)
    shape = nnx.split(nnx.eval_shape(lambda: network(vocab=23, rngs=nnx.Rngs(0))))[0]
    model = nnx.merge(shape, nested({**arrays, **fresh}))
    ids, segments = np.array([[5, 9, 14, 6, 0, 0]]), np.array([[1, 1, 1, 1, 0, 0]])
    batch = Batch(ids, segments, source=ids, source_segments=segments)
    alone = load_model(published(HERE / "bert"))[0]
    theirs = np.asarray(alone.hidden_states(Batch(ids, segments)))
    encoder, decoder = jax.tree.map(np.asarray, model.hidden_states(batch))
    assert np.array_equal(encoder[:, :, :4], theirs[:, :, :4])
    # with zero cross-attention and one token, the decoder computes the same as the encoder
    one = Batch(ids[:, :1], segments[:, :1])
    paired = dataclasses.replace(one, source=ids, source_segments=segments)
    assert np.allclose(model.hidden_states(paired)[1][0], alone.hidden_states(one)[0], atol=1e-6)
    unchanged = decoder[:, :, :3]
    ids = ids.copy()
    ids[0, 3] = 17
    later = dataclasses.replace(batch, tokens=ids)
    assert np.array_equal(
        np.asarray(model.hidden_states(later)[1])[:, :, :3], unchanged
    )  # it is causal


def test_the_report_accounts_for_every_array():
    _, shapes, arrays, lines = combined(BERT, GPT2)
    named = {path for line in lines for path in line.path.split(", ") if path}
    assert named == set(shapes)
    fresh = {line.path for line in lines if line.status == "fresh"}
    assert fresh == set(shapes) - set(arrays)
    assert {line.tensor.partition(":")[0] for line in lines if line.tensor} == {
        "encoder",
        "decoder",
    }
    _, shapes, _, lines = combined(BERT, BERT, "warm_start.share=all")
    shared = {path for line in lines if line.status == "shared" for path in line.path.split(", ")}
    assert shared == {
        p for p in shapes if "/cross_attention/" not in p and not p.startswith("head/")
    }
    assert not any(path.startswith("encoder/") for path in shapes)


def test_shared_arrays_start_from_the_preferred_side():
    with pytest.raises(WeightMismatch, match="warm_start.prefer=encoder or decoder"):
        combined(BERT, GPT2, "warm_start.share=embeddings")
    for side, folder in (("encoder", "bert"), ("decoder", "gpt2")):
        _, _, arrays, _ = combined(
            BERT, GPT2, "warm_start.share=embeddings", f"warm_start.prefer={side}"
        )
        alone = load_model(published(HERE / folder))[0].token_embedding.embedding[...]
        assert np.array_equal(arrays["token_embedding/embedding"], alone)


REFUSED = {
    "a decoder as encoder": ((GPT2, BERT), (), "is a decoder"),
    "another width": (
        (BERT, str(HERE / "bloom")),
        (),
        "has width 8 and warm_start.decoder width 12",
    ),
    "a convolution": ((BERT, str(HERE / "deberta_v2_conv")), (), "convolution"),
    "several word tables": ((BERT, str(HERE / "transfo_xl")), (), "several token embedding tables"),
    "unlike stacks": (
        (BERT, GPT2),
        ("warm_start.share=all",),
        "cannot share parameters.*write warm_start.share=none",
    ),
    "one of two": ((BERT, "null"), (), "warm_start.decoder: required with warm_start.encoder"),
    "a model too": ((BERT, BERT), ("model=bart",), "leave it out"),
    "a size too": ((BERT, BERT), ("size=base",), "leave out size="),
    "from too": ((BERT, BERT), (f"warm_start.from={BERT}",), "warm_start.from excludes"),
    "unknown sharing": (
        (BERT, BERT),
        ("warm_start.share=some",),
        "warm_start.share: expected one of none",
    ),
    "a decoder objective": ((BERT, BERT), ("objective=clm",), "objective: CausalLM trains"),
}


@pytest.mark.parametrize("why", REFUSED)
def test_incompatible_choices_are_refused_before_anything_is_built(why):
    (encoder, decoder), words, said = REFUSED[why]
    with pytest.raises(ConfigError, match=said):
        combined(encoder, decoder, *words)


def test_sharing_without_a_source_is_refused():
    with pytest.raises(ConfigError, match="write warm_start.encoder=A warm_start.decoder=B too"):
        words = ["warm_start.share=all", *DATA]
        resolve_warm_start(composed("train", words), words)


def test_one_common_tokenizer_serves_source_and_target(tmp_path):
    folder = with_words(tmp_path, "one", list("abcde"))
    argv = [
        f"warm_start.encoder={folder}",
        f"warm_start.decoder={folder}",
        "objective=denoise",
        "data.length=4",
    ]
    cfg = resolve_warm_start(composed("train", argv), argv)
    assert cfg.tokenizer.path == str(folder)
    assert cfg.model.network.vocab_multiple == 23  # ten ids, the embedding keeps its rows


ROBERTA = str(HERE / "roberta")
PAIRS = [
    pytest.param(ROBERTA, ROBERTA, "all", id="roberta_share", marks=pytest.mark.slow),
    *(
        pytest.param(ROBERTA, str(HERE / name), "none", id=f"2{name}", marks=pytest.mark.slow)
        for name in (
            "gpt2",
            "bart",
            "t5",
            "llama",
            "gptj",
            "ctrl",
            "openai_gpt",
            "qwen3",
            "bert",
            "modernbert",
            "longformer",
            "deberta",
            "albert",
            "electra_generator",
        )
    ),
    *(
        pytest.param(str(HERE / name), BERT, "none", id=f"{name}2", marks=pytest.mark.slow)
        for name in ("t5", "bart", "modernbert", "longformer", "deberta_v2_conv", "xlm_roberta")
    ),
    pytest.param(T5, BART, "none", id="t52bart", marks=pytest.mark.slow),
]


@pytest.mark.parametrize("encoder,decoder,share", PAIRS)
def test_training_lowers_the_loss(encoder, decoder, share, tmp_path):
    before = set(tmp_path.glob("*"))
    argv = [
        f"warm_start.encoder={encoder}",
        f"warm_start.decoder={decoder}",
        f"warm_start.share={share}",
        f"runs={tmp_path}",
        *QUIET,
        "objective=seq2seq",
        "data=copy",
        "model.dropout=0",
        "data.shortest=5",
        "data.longest=5",
        "trainer.steps=20",
        "trainer.log_every=1",
        "optimizer.lr=1e-2",
    ]
    assert app.train(argv) == 0
    (folder,) = set(tmp_path.glob("*")) - before
    from fxformer.track.run_reader import StoredRun

    run = StoredRun(folder)
    loss = run.metrics("train")["loss"]
    assert loss[-5:].mean() < loss[:5].mean() - 0.05
    assert (folder / "conversion_report.json").is_file()


@pytest.mark.slow
def test_two_runs_combine(tmp_path):
    first = import_model(HERE / "bert", name="first", runs=str(tmp_path)).folder
    run = train(first, tmp_path, "objective=mlm", "trainer.steps=1", "name=second")
    argv = [f"warm_start.encoder={first}", "warm_start.decoder=second", f"runs={tmp_path}", *DATA]
    cfg = resolve_warm_start(composed("train", argv), argv)
    shapes = parameter_shapes(build(cfg.model.network), 23)
    arrays, _ = build(cfg.warm_start).weights(shapes, runs=str(tmp_path))
    from fxformer.hf.run_weights import model_weights

    path = "stack/blocks/attention/q/kernel"
    assert np.array_equal(arrays[f"decoder/{path}"], model_weights(run)[f"transformer/{path}"])
    assert not np.array_equal(arrays[f"decoder/{path}"], arrays[f"encoder/{path}"])


def test_the_weights_of_a_random_side_are_not_read():
    """BERT2RND shares the encoder's token embeddings; with random=all nothing is read."""
    shared = "warm_start.share=embeddings"
    _, shapes, whole, _ = combined(BERT, BERT, shared)
    _, same, half, lines = combined(BERT, BERT, shared, "warm_start.random=decoder")
    assert same == shapes and "token_embedding/embedding" in half
    drawn = {path for path in whole if path.startswith("decoder/")}
    assert drawn and not drawn & set(half)
    assert drawn <= {line.path for line in lines if line.status == "fresh"}
    assert {path for path in whole if path.startswith("encoder/")} <= set(half)
    _, _, none, _ = combined(BERT, GPT2, shared, "warm_start.random=all")  # unlike embeddings
    assert none == {}


def test_random_sides_that_have_no_meaning_are_refused():
    with pytest.raises(ConfigError, match="random=decoder: with warm_start.share=all both sides"):
        combined(BERT, BERT, "warm_start.share=all", "warm_start.random=decoder")
    argv = [f"warm_start.from={BART}", "warm_start.random=all", *DATA]
    with pytest.raises(ConfigError, match="warm_start.random: of two sources only"):
        resolve_warm_start(composed("train", argv), argv)


def test_tokenizers_of_symbols_which_read_no_text_are_compared_by_their_files():
    assert same_ids(SymbolTokenizer(8), SymbolTokenizer(8))
    assert not same_ids(SymbolTokenizer(8), SymbolTokenizer(9))
