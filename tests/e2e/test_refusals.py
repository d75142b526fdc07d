"""Bad command lines: none is accepted, each is answered before anything compiles, by name.

A row is (what is written on top of a sound command line, words the answer must hold).
"""

import pytest
from gate import DECODER, encoder, passed, refusal, seq2seq, text

from fxformer.config.folders import conf_folder

TYPOS = {
    "init": "frehs",
    **{"model": "gpt3", "size": "tinny", "objective": "cml", "data": "markof", "tokenizer": "bite"},
    **{"optimizer": "adamv", "schedule": "cosin", "trainer": "defalt", "precision": "float16"},
    **{"mesh": "singel", "tracker": "lokal", "energy": "autoo", "experiment": "denoise_stdlb"},
    **{"model/position": "rotery", "model/attention": "groped", "model/ffn": "gatd"},
    **{"model/norm": "rmsn", "model/residual": "per", "model/embed": "plan", "model/head": "tide"},
    **{"model/act": "gelo", "model/init": "norml", "data/packing": "segmnts"},
    "objective/loss": "cross_entropie",
}
UNKNOWN = [  # key, the nearest one
    *[("model.dims", "model.dim"), ("model.ffn.hiden", "model.ffn.hidden")],
    *[("data.lenght", "data.length"), ("data.symbol", "data.symbols")],
    *[("tokenizer._target", "tokenizer._target_"), ("optimizer.weight_decy", "weight_decay")],
    *[("schedule.warm_up", "schedule.warmup"), ("trainer.step", "trainer.steps")],
    *[("precision.computes", "precision.compute"), ("mesh.datas", "mesh.data")],
    *[("tracker.queues", "tracker.queue"), ("energy.regions", "energy.region"), ("seeds", "seed")],
    *[("objective.loss.smoothin", "objective.loss.smoothing"), ("model.droput", "model.dropout")],
    *[("model.network.vocab_multipel", "vocab_multiple"), ("optimzer.lr", "optimizer.lr")],
]
WRONG = """
~optimizer | optimizer is missing
model.dim=abc | model.dim whole
model.position=rotary | model/position=rotary
data.packing=padded | data/packing=padded
model.dim=16.5 | model.dim whole
model.dim=true | model.dim whole
model.dim=null | model.dim whole
model.dim=[16] | model.dim whole
model.dim=nan | model.dim finite
model.dim=inf | model.dim finite
model.dim=0 | model.dim [1,
model.dim=-16 | model.dim [1,
model.layers=0 | model.layers [1,
model.layers=1.5 | model.layers whole
model.heads=3 | 16 3 heads nearest 2
model.dropout=1 | model.dropout [0, 1)
model.dropout=-0.1 | model.dropout [0, 1)
model.dropout=nan | model.dropout finite
model.dropout=abc | model.dropout number
model.remat=3 | model.remat true or false
model.groups=3 | 2 layers at most 2
model.windows=[0] | model.windows [1,
model.windows=5 | model.windows list
model.unroll=0 | model.unroll [1,
model.ffn.hidden=0 | model.ffn.hidden
model.ffn.act=foo | model.ffn.act part
model.network.vocab_multiple=0 | model.network.vocab_multiple
model.init.rules=3 | model.init.rules list
model.position.length=8 | data.length 16 8 data.length=8 model.position.length=16
model/position=rotary model.dim=6 | odd
model/position=rotary model.position.share=1.5 | model.position.share
model/attention=grouped model.attention.kv_heads=3 | 2 heads 3 key-value
model/attention=grouped model.attention.kv_heads=0 | model.attention.kv_heads
model=common | model=encoder
model/head=none | model/head=tied
model/head=pooler | model/head=tied
data.length=0 | data.length
data.length=1e3 | data.length write 1000
data.length=2000 | data.length=1024
data.batch=0 | data.batch
data.batch=7 trainer.accumulate=2 | 7 6 or 8
data.batch=100000 | data.batch=
data.workers=-1 | data.workers
data.workers=1.5 | data.workers
data.prefetch=0 | data.prefetch
data.symbols=0 | data.symbols
data.examples=0 | data.examples
data.concentration=0 | data.concentration
data.concentration=inf | data.concentration
data.data_seed=-1 | data.data_seed
data=recall | data.pairs
data=reverse | data/packing=prompted
data=sort | data/packing=prompted
data/packing=prompted | data/packing=segments
data/packing=paired | data/packing=segments
optimizer.lr=-1 | optimizer.lr
optimizer.lr=nan | optimizer.lr finite
optimizer.lr=inf | optimizer.lr finite
optimizer.lr=0 | optimizer.lr (0,
optimizer.lr='1e-3' | optimizer.lr write 1.0e-3
optimizer.lr=null | optimizer.lr
optimizer.betas=[0.9] | optimizer.betas 2 values
optimizer.betas=[0.9,1.0] | optimizer.betas [0, 1)
optimizer.betas=0.9 | optimizer.betas list
optimizer.eps=0 | optimizer.eps
optimizer.weight_decay=-1 | optimizer.weight_decay
optimizer.clip=0 | optimizer.clip
optimizer.decay=[[foo,1]] | optimizer.decay foo nearest
optimizer.freeze=[nothing] | optimizer.freeze nothing nearest
optimizer.freeze=['('] | optimizer.freeze regular expression
optimizer.freeze=['.*'] | optimizer.freeze nothing is left
optimizer.multipliers=[[kernel,-1]] | optimizer.multipliers -1
optimizer.multipliers=[[kernel]] | optimizer.multipliers pair
optimizer._target_=os.system | os.system may not run
optimizer._target_=fxformer.train.optim.AdamX | 'AdamW'
optimizer=null | optimizer=null
schedule.warmup=-1 | schedule.warmup
schedule.warmup=9 | schedule.warmup 8 steps
schedule.warmup=1.5 | schedule.warmup=1.5 write 2
schedule.final=2 | schedule.final [0, 1]
schedule=wsd schedule.decay=2 | schedule.decay
schedule=wsd schedule.power=-1 | schedule.power
schedule=one_cycle schedule.rise=1.5 | schedule.rise
trainer.steps=0 | trainer.steps
trainer.steps=1e3 | trainer.steps write 1000
trainer.steps=abc | trainer.steps
trainer.budget_minutes=0 | trainer.budget_minutes
trainer.budget_minutes=nan | trainer.budget_minutes
trainer.decay_on=budget | trainer.budget_minutes=10
trainer.decay_on=joules | trainer.decay_on
energy.budget_kwh=0 | energy.budget_kwh
trainer.accumulate=0 | trainer.accumulate
trainer.accumulate=3 | 8 rows 3 6 or 9
trainer.ema=1 | trainer.ema
trainer.log_every=0 | trainer.log_every
trainer.eval_every=-1 | trainer.eval_every
trainer.keep=1 | trainer.keep [2,
trainer.metric=los | trainer.metric=los 'loss'
trainer.metric=ema_loss | trainer.ema=
trainer.patience=3 trainer.eval_every=0 | trainer.patience trainer.eval_every=
trainer.skips=0 | trainer.skips
trainer.guard=maybe | trainer.guard
trainer.save_minutes=0 | trainer.save_minutes
precision.compute=bf16 | precision.compute 'bfloat16'
precision.compute=int32 | precision.compute float32
precision.matmul=fastest | precision.matmul highest
precision.keep=[nothing] | precision.keep nothing
mesh.data=64 | mesh.data=64 64 devices
mesh.data=0 | mesh.data=0
mesh.data=-1 mesh.fsdp=-1 | one may be -1
mesh.rules=[[nothing,0]] | mesh.rules nothing
tracker.queue=0 | tracker.queue
tracker.mirrors=3 | tracker.mirrors mapping
tracker=wandb tracker.mirrors.wandb.mode=onlin | tracker.mirrors.wandb.mode 'online'
energy.region=atlantis | energy.region nearest
energy.pue=0.5 | energy.pue
energy.grid_gco2e_per_kwh=-1 | energy.grid_gco2e_per_kwh
seed=-1 | seed
seed=1.5 | seed
name=3 | name '3'
runs=null | runs
objective=mlm | objective=clm model=bert
objective=denoise | objective=clm model=bart
objective=tokenlabel | objective=clm model=bert
objective=seq2seq | objective=clm model=bart
model=bert | objective=mlm model=gpt2
model=t5 | objective=denoise model=gpt2
objective.loss.smoothing=1 | objective.loss.smoothing
"""
WRONG_ENCODER = """
objective=clm | objective=mlm model=gpt2
objective=denoise | objective=mlm model=bart
objective=tokenlabel | pairs objective=mlm
objective.replacement.mask=1.2 | objective.replacement.mask
objective.replacement.mask=0.9 objective.replacement.random=0.2 | 0.9 0.2 1.1
objective.selection.rate=1.5 | objective.selection.rate
objective.selection.rate=nan | objective.selection.rate
model/embed=albert model/head=tied model.embed.width=8 | model/head=mlm
tokenizer.vocab_size=3 | tokenizer.vocab_size=3
tokenizer.template='' | tokenizer.template {text}
tokenizer.template='{bos}' | tokenizer.template {text}
tokenizer=unigram tokenizer.vocab_size=7 | tokenizer.vocab_size=7
tokenizer=bpe tokenizer.normalization=nfd | tokenizer.normalization nfkc
tokenizer=file | tokenizer.path
tokenizer=file tokenizer.path=/nowhere | /nowhere
tokenizer=none | tokenizer=unigram
tokenizer.specials.mask=null | tokenizer.specials.mask
tokenizer.specials.mask='<pad>' | distinct
data.files=/nowhere/x.txt | data.files /nowhere/x.txt
data.files='/nowhere/*.txt' | data.files no file matches
data.files=null | data.files='corpus/*.txt'
data.files=3 | data.files
data.files=FOLDER | data.files folder FOLDER/*.txt
data.files=FOLDER/empty.txt | FOLDER/empty.txt is empty
data.files=FOLDER/latin.txt | FOLDER/latin.txt offset 1203 0xe9 data.encoding_errors
data.files=FOLDER/short.txt | data.batch=1
data.files=FOLDER/blank.txt | usable
data.valid_files=/nowhere | data.valid_files
data.valid_share=0 | data.valid_share
data.valid_share=1.5 | data.valid_share
data.held_out=documnts | 'documents'
data.encoding_errors=ignore | data.encoding_errors strict
data.cache_dir=3 | data.cache_dir
data=jsonl data.files=FOLDER/bad.jsonl | FOLDER/bad.jsonl line 2
data=jsonl data.files=FOLDER/good.jsonl data.key=txet | data.key text
data=csv data.files=FOLDER/good.jsonl | FOLDER/good.jsonl data.column 'text'
data=csv data.files=FOLDER/good.jsonl data.delimiter=';;' | data.delimiter ';'
data=parquet | Parquet
"""
WRONG_SEQ2SEQ = """
objective=clm | objective=denoise model=gpt2
objective=mlm | objective=denoise model=bert
objective=seq2seq | pairs
objective.noises=3 | objective.noises list
objective.start=sos | objective.start 'eos'
objective.noises=[{_target_:fxformer.objective.noise.infill.TextInfilling,rate:2}] | noises[0].rate
objective.noises=[{_target_:fxformer.objective.noise.infill.TextInfiling}] | 'TextInfilling'
objective.noises=[{_target_:fxformer.objective.noise.infill.TextInfilling,rat:0.3}] | 'rate'
objective.noises[0].share=2 | objective.noises[0].share=2
model.encoder.layers=0 | model.encoder.layers
model.encoder.causal=true | model.encoder.causal
model.decoder.causal=false | model.decoder.causal
model.decoder.dim=32 | 16 32
data.length=1 | data.length
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("bad")
    for name, content in {
        "good.txt": b"a line of text, the same again\n\n" * 400,
        "empty.txt": b"",
        "latin.txt": b"hello " * 200 + b"caf\xe9 " * 20,
        "short.txt": b"a b",
        "blank.txt": b"  \n" * 500,
        "bad.jsonl": b'{"text": "a"}\n{"text":\n',
        "good.jsonl": b'{"text": "a long line of text"}\n' * 200,
    }.items():
        (place / name).write_bytes(content)
    return place


def answer(base, written, words, folder):
    """Refuses what is refused wrongly: accepted, or without the words."""
    argv = [*base, *written.replace("FOLDER", str(folder)).split()]
    said = refusal(argv)
    assert said is not None, f"accepted: {written}"
    missing = [w for w in words.replace("FOLDER", str(folder)).split() if w not in said]
    assert not missing, f"{written}: {said!r} lacks {missing}"


def table(text):
    return [tuple(part.strip() for part in line.split(" | ")) for line in text.strip().split("\n")]


def test_a_typo_in_a_choice_is_answered_by_the_nearest_choice():
    for group, wrong in TYPOS.items():
        said = refusal([*DECODER, f"{group}={wrong}"])
        assert said and f"{group}={wrong}" in said and "did you mean" in said, said
    groups = {path.name for path in conf_folder().iterdir() if path.is_dir()}
    assert set(TYPOS) >= groups - {"hydra", "search"}


@pytest.mark.parametrize("sign", ["", "+", "++"])
def test_an_unknown_key_is_answered_by_the_nearest_key(sign):
    for key, near in UNKNOWN:
        said = refusal([*DECODER, f"{sign}{key}=1"])
        assert said and key in said and f"{near}'" in said, said


@pytest.mark.parametrize("part", range(6))
def test_wrong_values_for_a_decoder(part, folder):
    for written, words in table(WRONG)[part::6]:
        answer(DECODER, written, words, folder)


def test_wrong_values_for_an_encoder_on_text(folder):
    for written, words in table(WRONG_ENCODER):
        answer(encoder(folder / "good.txt"), written, words, folder)


def test_wrong_values_for_a_seq2seq(folder):
    for written, words in table(WRONG_SEQ2SEQ):
        answer(seq2seq(folder / "good.txt"), written, words, folder)


def test_what_they_are_written_on_top_of_is_sound(folder):
    file = folder / "good.txt"
    decoder = ["model=gpt2", "objective=clm", *text(file)]
    for base in (DECODER, encoder(file), seq2seq(file), decoder):
        assert passed(list(base)).parameters
