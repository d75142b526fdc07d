"""One encoder-decoder out of two models: what it is made of, what it computes, what is refused."""

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
from fxformer.hf.convert import WeightMismatch
from fxformer.hf.import_model import import_model, nested
from fxformer.hf.published_model import model_of, shapes_of
from fxformer.warmstart.checkpoint_source import Origin
from fxformer.warmstart.encoder_decoder import model_of_two
from fxformer.warmstart.resolve import adopted
from tests.hf.fixture import HERE, published, with_words
from tests.warmstart.test_initializer import QUIET, train

BERT, GPT2, T5, BART = (str(HERE / name) for name in ("bert", "gpt2", "t5", "bart"))
DATA = ("objective=denoise", "data=markov", "tokenizer=none", "data.symbols=18", "data.length=6")


def made(encoder, decoder, *words):
    """(config, arrays by path, lines of the bill) of two, as the command line makes them."""
    argv = [f"init.encoder={encoder}", f"init.decoder={decoder}", *DATA, *words]
    cfg = adopted(composed("train", argv), argv)
    shapes = shapes_of(build(cfg.model.network), 23)
    arrays, lines = build(cfg.init).weights(shapes, runs="runs")
    return cfg, shapes, arrays, lines


@dataclasses.dataclass
class Preset(Origin):
    """A model of conf/model without weights."""

    words: tuple[str, ...]
    rows = 30522
    place = Path("preset")

    def __post_init__(self):
        self.model = OmegaConf.to_container(composed(None, self.words).model, resolve=False)

    def check(self, *given): ...

    def load(self, *given): ...

    def tokenizer(self): ...


@pytest.mark.parametrize(
    "share,parameters",
    [("none", 246_772_794), ("embeddings", 223_331_898), ("all", 137_881_146)],
)
def test_bert2bert_has_the_published_parameters(share, parameters):
    base = Preset(("+model=bert", "+size=base"))
    node = model_of_two(base, base, share, 1)
    shapes = shapes_of(build(OmegaConf.create({"model": node}).model.network), 30522)
    assert sum(int(np.prod(shape)) for shape in shapes.values()) == parameters


@pytest.mark.parametrize(
    "share", ["none", pytest.param("embeddings", marks=pytest.mark.slow), "all"]
)
def test_at_step_0_the_encoder_says_what_it_said_alone(share):
    cfg, shapes, arrays, lines = made(BERT, BERT, f"init.share={share}")
    fresh = {path: np.zeros(shapes[path], np.float32) for path in shapes if path not in arrays}
    assert fresh and all("/cross/" in path for path in fresh)
    network = build(cfg.model.network)
    shape = nnx.split(nnx.eval_shape(lambda: network(vocab=23, rngs=nnx.Rngs(0))))[0]
    model = nnx.merge(shape, nested({**arrays, **fresh}))
    ids, segments = np.array([[5, 9, 14, 6, 0, 0]]), np.array([[1, 1, 1, 1, 0, 0]])
    batch = Batch(ids, segments, source=ids, source_segments=segments)
    alone = model_of(published(HERE / "bert"))[0]
    theirs = np.asarray(alone.states(Batch(ids, segments)))
    encoder, decoder = jax.tree.map(np.asarray, model.states(batch))
    assert np.array_equal(encoder[:, :, :4], theirs[:, :, :4])
    # with a silent memory and one token to read, the decoder is the encoder too
    one = Batch(ids[:, :1], segments[:, :1])
    paired = dataclasses.replace(one, source=ids, source_segments=segments)
    assert np.allclose(model.states(paired)[1][0], alone.states(one)[0], atol=1e-6)
    stays = decoder[:, :, :3]
    ids = ids.copy()
    ids[0, 3] = 17
    later = dataclasses.replace(batch, tokens=ids)
    assert np.array_equal(np.asarray(model.states(later)[1])[:, :, :3], stays)  # it is causal


def test_the_bill_accounts_for_every_array():
    _, shapes, arrays, lines = made(BERT, GPT2)
    named = {path for line in lines for path in line.path.split(", ") if path}
    assert named == set(shapes)
    fresh = {line.path for line in lines if line.what == "fresh"}
    assert fresh == set(shapes) - set(arrays)
    assert {line.file.partition(":")[0] for line in lines if line.file} == {"encoder", "decoder"}
    _, shapes, _, lines = made(BERT, BERT, "init.share=all")
    shared = {path for line in lines if line.what == "shared" for path in line.path.split(", ")}
    assert shared == {p for p in shapes if "/cross/" not in p and not p.startswith("head/")}
    assert not any(path.startswith("encoder/") for path in shapes)


def test_what_both_share_may_begin_as_either():
    with pytest.raises(WeightMismatch, match="init.prefer=encoder or decoder"):
        made(BERT, GPT2, "init.share=embeddings")
    for side, folder in (("encoder", "bert"), ("decoder", "gpt2")):
        _, _, arrays, _ = made(BERT, GPT2, "init.share=embeddings", f"init.prefer={side}")
        alone = model_of(published(HERE / folder))[0].words.embedding[...]
        assert np.array_equal(arrays["words/embedding"], alone)


REFUSED = {
    "a decoder as encoder": ((GPT2, BERT), (), "is a decoder"),
    "another width": ((BERT, str(HERE / "bloom")), (), "8 wide and init.decoder is 12"),
    "a convolution": ((BERT, str(HERE / "deberta_v2_conv")), (), "convolution"),
    "several word tables": ((BERT, str(HERE / "transfo_xl")), (), "several tables"),
    "unlike stacks": ((BERT, GPT2), ("init.share=all",), "must be alike.*write init.share=none"),
    "one of two": ((BERT, "null"), (), "init.decoder: init.encoder alone"),
    "a model too": ((BERT, BERT), ("model=bart",), "leave it out"),
    "a size too": ((BERT, BERT), ("size=base",), "leave out size="),
    "from too": ((BERT, BERT), (f"init.from={BERT}",), "init.from is one model"),
    "unknown sharing": ((BERT, BERT), ("init.share=some",), "init.share: wants one of none"),
    "only decoders' work": ((BERT, BERT), ("objective=clm",), "objective: CausalLM trains"),
}


@pytest.mark.parametrize("why", REFUSED)
def test_what_does_not_fit_is_refused_before_anything_is_built(why):
    (encoder, decoder), words, said = REFUSED[why]
    with pytest.raises(ConfigError, match=said):
        made(encoder, decoder, *words)


def test_sharing_of_nothing_is_refused():
    with pytest.raises(ConfigError, match="write init.encoder=A init.decoder=B too"):
        words = ["init.share=all", *DATA]
        adopted(composed("train", words), words)


def test_one_tokenizer_of_both_reads_source_and_target(tmp_path):
    folder = with_words(tmp_path, "one", list("abcde"))
    argv = [
        f"init.encoder={folder}",
        f"init.decoder={folder}",
        "objective=denoise",
        "data.length=4",
    ]
    cfg = adopted(composed("train", argv), argv)
    assert cfg.tokenizer.path == str(folder)
    assert cfg.model.network.vocab_multiple == 23  # ten ids, the tables keep their rows


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
def test_it_learns(encoder, decoder, share, tmp_path):
    before = set(tmp_path.glob("*"))
    argv = [
        f"init.encoder={encoder}",
        f"init.decoder={decoder}",
        f"init.share={share}",
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
    assert (folder / "bill.json").is_file()


@pytest.mark.slow
def test_two_runs_of_ours_make_one(tmp_path):
    first = import_model(HERE / "bert", name="first", runs=str(tmp_path)).folder
    run = train(first, tmp_path, "objective=mlm", "trainer.steps=1", "name=second")
    argv = [f"init.encoder={first}", "init.decoder=second", f"runs={tmp_path}", *DATA]
    cfg = adopted(composed("train", argv), argv)
    shapes = shapes_of(build(cfg.model.network), 23)
    arrays, _ = build(cfg.init).weights(shapes, runs=str(tmp_path))
    from fxformer.hf.run_weights import model_weights

    path = "stack/blocks/attention/q/kernel"
    assert np.array_equal(arrays[f"decoder/{path}"], model_weights(run)[f"transformer/{path}"])
    assert not np.array_equal(arrays[f"decoder/{path}"], arrays[f"encoder/{path}"])
