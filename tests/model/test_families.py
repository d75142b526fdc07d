"""Every family is a list of choices, and has exactly the published number of parameters."""

import jax
import pytest
from flax import nnx

from tests.models import abstract, choices, network

LLAMA3 = ("model.attention.kv_heads=8", "model.ffn.hidden=14336")
PUBLISHED = [
    ("bert", "base", 30522, 109_482_240, "model/head=pooler"),
    ("bert", "base", 30522, 109_514_298),
    ("bert", "tiny", 30522, 4_385_920, "model/head=pooler"),
    ("bert", "mini", 30522, 11_170_560, "model/head=pooler"),
    ("bert", "small", 30522, 28_763_648, "model/head=pooler"),
    ("bert", "medium", 30522, 41_373_184, "model/head=pooler"),
    ("bert", "large", 30522, 335_141_888, "model/head=pooler"),
    ("roberta", "base", 50265, 124_697_433),
    ("distilbert", "base", 30522, 66_362_880, "model/head=none"),
    ("albert", "base", 30000, 11_683_584, "model/head=pooler"),
    ("electra", "small", 30522, 13_483_008, "model/head=none"),
    ("modernbert", "base", 50368, 149_014_272, "model/head=none"),
    ("modernbert", "base", 50368, 149_655_232),
    ("longformer", "base", 50265, 148_659_456, "model/head=pooler"),
    ("led", "base", 50265, 161_844_480),
    ("deberta_v3", "base", 128100, 183_831_552, "model/head=none"),
    ("gpt2", "small", 50257, 124_439_808),
    ("gpt2", "medium", 50257, 354_823_168),
    ("gpt2", "large", 50257, 774_030_080),
    ("gpt2", "xl", 50257, 1_557_611_200),
    ("gpt_neo", "base", 50257, 125_198_592),
    ("gpt_neo", "xl", 50257, 1_315_575_808),
    ("llama", "xl", 32000, 6_738_415_616),
    ("llama", "xl", 128256, 8_030_261_248, *LLAMA3),
    ("qwen2", "small", 151936, 494_032_768, "model/head=tied"),
    ("qwen3", "small", 151936, 596_049_920, "model/head=tied"),
    ("gpt_neox", "base", 50304, 162_322_944),
    ("gpt_neox", "large", 50304, 405_334_016),
    ("gpt_neox", "xl", 50432, 20_554_567_680),
    ("gptj", "xl", 50400, 6_050_882_784),
    ("openai_gpt", "base", 40478, 116_534_784),
    ("ctrl", "xl", 246534, 1_637_718_016, "model/head=none"),
    ("bloom", "large", 250880, 559_214_592),
    ("transfo_xl", "large", 267735, 283_885_936, "model/head=none", "~model.head.tied"),
    ("bart", "base", 50265, 139_420_416),
    ("bart", "large", 50265, 406_291_456),
    ("prophetnet", "large", 30522, 391_321_600),
    ("t5", "small", 32128, 60_506_624),
    ("t5", "base", 32128, 222_903_552),
]


@pytest.mark.parametrize("case", PUBLISHED, ids=lambda c: f"{c[0]}-{c[1]}-{c[3]}")
@pytest.mark.sample(5)
def test_parameter_counts_are_the_published_ones(case):
    family, size, vocab, published, *overrides = case
    build = network(family, f"+size={size}", *exact(family, size), *overrides)
    model = nnx.eval_shape(lambda: build(vocab=vocab, rngs=nnx.Rngs(0)))
    assert sum(x.size for x in jax.tree.leaves(nnx.split(model)[1])) == published


def exact(family: str, size: str) -> list[str]:
    """The override that the defaults list of conf/train.yaml adds by itself."""
    name = f"{family}_{size}"
    return [f"+size/published={name}"] if name in choices("size/published") else []


@pytest.mark.parametrize("family", choices("model"))
@pytest.mark.sample(8)
def test_every_family_has_a_tiny_size(family):
    model = abstract(family)
    assert model.architecture in ("encoder", "decoder", "seq2seq")


def test_albert_shares_one_block():
    one = abstract("albert", "model.layers=6").transformer.stack
    assert one.blocks.attention.q.kernel.shape[0] == 1
    assert one.layers == 6


def test_gpt_neo_alternates_windows():
    windows = abstract("gpt_neo", "model.layers=4").transformer.stack.windows
    assert windows[1] == windows[3] == 256 and windows[0] == windows[2] > 1_000_000


def test_vocabularies_are_rounded_up_on_request():
    assert abstract("gpt2", "model.network.vocab_multiple=64", vocab=70).vocab == 128
