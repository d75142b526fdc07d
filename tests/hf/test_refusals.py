"""What cannot be carried over exactly is refused, in words that say what to do."""

import json
import shutil

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from fxformer.config.options import composed, plain
from fxformer.hf.config_map import ConfigMismatch
from fxformer.hf.convert import WeightMismatch
from fxformer.hf.detect_family import detect_family
from fxformer.hf.published_model import load_model, read_published
from fxformer.hf.tensor_layout import FLATTENED, SAME, TRANSPOSED, by_head, columns, rows
from tests.hf.fixture import HERE


def changed(tmp_path, name, config=(), tensors=lambda t: t):
    """A copy of a fixture with fields of its config.json and its tensors changed."""
    folder = tmp_path / name
    shutil.copytree(HERE / name, folder)
    stated = json.loads((folder / "config.json").read_text()) | dict(config)
    (folder / "config.json").write_text(json.dumps(stated))
    made = tensors(load_file(folder / "model.safetensors"))
    save_file({k: np.ascontiguousarray(v) for k, v in made.items()}, folder / "model.safetensors")
    return folder


@pytest.mark.parametrize(
    "name,field,value,words",
    [
        ("bert", "position_embedding_type", "relative_key", "no counterpart"),
        ("bert", "hidden_act", "quick_gelu", "no counterpart; known: gelu"),
        ("bert", "hidden_sizes", 8, "did you mean 'hidden_size'"),
        ("bert", "auto_map", {"AutoModel": "evil.Model"}, "auto_map"),
        ("bert", "model_type", "brt", "did you mean 'bert'"),
        ("bert", "num_hidden_layers", 1_000_000_000, "is impossible"),
        ("bert", "hidden_size", -8, "is impossible"),
        ("gpt2", "add_cross_attention", True, "no counterpart"),
        ("gpt2", "scale_attn_weights", False, "no counterpart"),
        ("t5", "feed_forward_proj", "gated-squared-relu", "not known"),
        ("bart", "normalize_before", True, "no counterpart"),
        ("llama", "rope_scaling", {"rope_type": "yarn", "factor": 4.0}, "rope_type='yarn'"),
        ("llama", "partial_rotary_factor", 0.5, "partial_rotary_factor=0.5 has no counterpart"),
        ("llama", "rope_scaling", {"type": "linear"}, "rope of type 'linear' lacks factor"),
        ("llama", "rope_scaling", {"type": "linear", "factor": 2.0, "beta": 1}, "take beta=1"),
        ("llama", "rope_interleaved", True, "no counterpart"),
        ("llama", "rope_theta", 77.0, "rope_theta=77.0 and 10000.0 in rope_parameters"),
        ("gpt_neox", "rotary_pct", 0.25, "rotary_pct=0.25 and 0.5 in rope_parameters"),
        ("t5_gated", "dense_act_fn", "gelu", "feed_forward_proj='gated-gelu' says 'gelu_new'"),
        ("t5", "is_gated_act", True, "feed_forward_proj='relu' says False"),
        ("llama", "qkv_bias", True, "qkv_bias=True is not known"),
        ("roberta", "positions", 7, "positions=7 is not known"),
        ("qwen2", "layer_types", ["full_attention", "chunked_attention"], "not understood"),
        ("qwen2", "num_hidden_layers", 1_000_000_000, "cannot be"),
        ("gpt_neox", "rope_scaling", {"type": "dynamic", "factor": 2.0}, "rope_type='dynamic'"),
        ("gpt_neo", "attention_types", [[["global"], 10**9]], "names 1000000000 layers"),
        ("gpt_neo", "attention_types", [[["local"], 2]], "are not attention_layers"),
        ("gpt_neo", "window_size", 0, "no window"),
        ("gptj", "rotary_dim", None, "no counterpart"),
        ("gptj", "rotary_dim", 64, "a head is 4 wide"),
        ("gptj", "rotary", False, "no counterpart"),
        ("openai_gpt", "afn", "tanh", "no counterpart"),
        ("transfo_xl", "attn_type", 2, "no counterpart"),
        ("transfo_xl", "sample_softmax", 5, "no counterpart"),
        ("transfo_xl", "mem_len", 0, "same_length=True sees nothing"),
        ("transfo_xl", "cutoffs", "wide", "no list of ids"),
        ("transfo_xl", "tie_word_embeddings", False, "no output projection"),
        ("transfo_xl_shared", "d_embed", 6, "one projection for all clusters"),
        ("prophetnet", "add_cross_attention", False, "a decoder without cross-attention"),
        ("prophetnet", "max_position_embeddings", 1, "1 positions"),
        ("bloom", "apply_residual_connection_post_layernorm", True, "no counterpart"),
        ("bert", "vocab_size", 999, "vocab_size=999, but the embedding has 23 rows"),
        ("bart", "vocab_size", 22, "vocab_size=22, but the embedding has 23 rows"),
        ("marian_two_tables", "vocab_size", 999, "vocab_size=999, but the embedding has"),
        (
            "marian_two_tables",
            "decoder_vocab_size",
            999,
            "decoder_vocab_size=999, but the embedding",
        ),
        ("bert_classes", "id2label", {"0": "no", "1": "yes"}, "id2label has 2 labels"),
    ],
)
def test_a_config_that_means_something_else(name, field, value, words, tmp_path):
    with pytest.raises(ConfigMismatch, match=words):
        read_published(changed(tmp_path, name, {field: value}))


def test_multiple_choice_is_read_where_config_json_states_it(tmp_path):
    folder, stated = HERE / "bert_multiple_choice", {"architectures": None}
    assert read_published(folder).variant.architecture == "BertForMultipleChoice"
    other = read_published(changed(tmp_path, "bert_multiple_choice", {**stated, "num_labels": 1}))
    assert other.variant.architecture == "BertForSequenceClassification"
    with pytest.raises(ConfigMismatch, match="summary_type='mean' has no counterpart"):
        read_published(changed(tmp_path, "electra_multiple_choice", {"summary_type": "mean"}))


def test_a_class_that_the_files_are_poorer_than(tmp_path):
    bare = {"tie_word_embeddings": False}
    lacks = changed(tmp_path, "llama", bare, tensors=without("lm_head.weight"))
    with pytest.raises(
        ConfigMismatch, match="LlamaForCausalLM, but the files lack an output projection"
    ):
        read_published(lacks)
    told = {"architectures": ["LlamaModel"]}
    alone = changed(tmp_path / "body", "llama", bare | told, tensors=without("lm_head.weight"))
    assert read_published(alone).variant.architecture == "LlamaModel"
    stated = {"architectures": ["BertForSequenceClassification"]}
    with pytest.raises(ConfigMismatch, match="lack classifier.weight"):
        read_published(changed(tmp_path, "bert", stated))


def test_a_tied_output_may_have_no_tensor_of_its_own(tmp_path):
    lacks = changed(tmp_path, "bart", tensors=without("final_logits_bias"))
    assert read_published(lacks).variant.architecture == "BartForConditionalGeneration"
    body = changed(
        tmp_path / "body", "bart", {"architectures": ["BartModel"]}, without("final_logits_bias")
    )
    assert read_published(body).variant.architecture == "BartModel"


def test_sums_in_parts_leave_out_a_bias(tmp_path):
    parts = {"slow_but_exact": True, "pretraining_tp": 2}
    with pytest.raises(ConfigMismatch, match="leaves out the biases"):
        read_published(changed(tmp_path, "bloom", parts))
    read_published(changed(tmp_path / "fused", "bloom", parts | {"slow_but_exact": False}))
    read_published(changed(tmp_path / "whole", "bloom", parts | {"pretraining_tp": 1}))


def test_what_transformers_4_computes_otherwise_is_said():
    from fxformer.hf.families.t5 import MT5, T5

    def caveats(family, name, **said):
        return family.caveats({"architectures": [f"{name}ForConditionalGeneration"], **said})

    tied = {"tie_word_embeddings": True}
    assert "scales its logits" in caveats(T5, "T5", scale_decoder_outputs=False, **tied)[0]
    assert "scales its logits" in caveats(MT5, "MT5", **tied)[0]
    own = {"tie_word_embeddings": False}
    assert "does not scale" in caveats(T5, "T5", scale_decoder_outputs=True, **own)[0]
    assert not caveats(T5, "T5", scale_decoder_outputs=True, **tied)
    assert not caveats(MT5, "MT5", **own)


def test_the_names_of_foreign_files_do_not_reach_the_terminal_raw(tmp_path, capsys):
    from rich.console import Console

    from fxformer.__main__ import main
    from fxformer.hf import conversion_report

    name = "bert.\x1b]0;owned\x07\x1b[31m\u202eadapter.weight"
    more = changed(tmp_path, "bert", {"a\x1b[2Jb": 1}, lambda t: t | {name: np.ones(2, np.float32)})
    assert main(["import", str(more)]) == 2
    assert "ab=1 is not known" in capsys.readouterr().err
    conversion_report.show([conversion_report.ReportLine("ignored", name, "", (2,))], Console())
    said = capsys.readouterr().out
    assert "adapter.weight" in said and not set("\x1b\x07\u202e") & set(said)


@pytest.mark.parametrize("verb,first", [("import", "fxformer import DIR"), ("export", "RUN DIR")])
def test_the_verbs_say_what_they_take(verb, first, capsys):
    from fxformer.__main__ import main

    assert main([verb, "--help"]) == 0
    assert first in capsys.readouterr().out


def test_transformer_xls_tables_are_its_words(tmp_path):
    def apart(tensors):
        words = tensors["transformer.word_emb.emb_layers.1.weight"]
        return tensors | {"crit.out_layers.1.weight": words + 1}

    with pytest.raises(WeightMismatch, match="crit.out_layers.1.weight differs from transformer"):
        load_model(read_published(changed(tmp_path, "transfo_xl", tensors=apart)))


def test_a_field_may_be_vouched_for(tmp_path):
    folder = changed(tmp_path, "bert", {"house_note": "hello"})
    with pytest.raises(ConfigMismatch, match="--ignore house_note"):
        read_published(folder)
    assert read_published(folder, ignore=["house_note"]).vocab == 23


def without(name):
    return lambda tensors: {k: v for k, v in tensors.items() if k != name}


def test_a_missing_tensor_is_named_with_the_nearest(tmp_path):
    name = "bert.encoder.layer.1.output.dense.weight"
    with pytest.raises(WeightMismatch, match=f"{name} is missing; did you mean"):
        load_model(read_published(changed(tmp_path, "bert", tensors=without(name))))


def test_a_tensor_without_a_place_is_an_error(tmp_path):
    def more(tensors):
        return tensors | {"bert.encoder.layer.0.adapter.weight": np.ones((2, 2), np.float32)}

    with pytest.raises(WeightMismatch, match="adapter.weight: the model has no such tensor"):
        load_model(read_published(changed(tmp_path, "bert", tensors=more)))


def test_a_shape_that_differs_is_an_error(tmp_path):
    name = "bert.encoder.layer.1.output.dense.weight"
    with pytest.raises(WeightMismatch, match=rf"{name} has shape \[12, 8\]"):
        load_model(
            read_published(changed(tmp_path, "bert", tensors=lambda t: t | {name: t[name].T}))
        )


def test_a_layer_more_than_the_config_says_is_an_error(tmp_path):
    folder = changed(tmp_path, "bert", {"num_hidden_layers": 1})
    with pytest.raises(WeightMismatch, match="layer.1"):
        load_model(read_published(folder))


def test_a_copy_that_is_none_makes_a_table_of_its_own(tmp_path):
    def untie(tensors):
        return tensors | {"lm_head.weight": tensors["transformer.wte.weight"] + 1}

    model, _ = load_model(read_published(changed(tmp_path, "gpt2", tensors=untie)))
    assert type(model.head).__name__ == "UntiedHead"


def old_bert(tensors):
    """gamma and beta, a buffer, copies of what is tied."""
    old = {"LayerNorm.weight": "LayerNorm.gamma", "LayerNorm.bias": "LayerNorm.beta"}
    made = {}
    for name, tensor in tensors.items():
        for new, before in old.items():
            name = name.replace(new, before)
        made[name] = tensor
    words = tensors["bert.embeddings.word_embeddings.weight"]
    made["bert.embeddings.position_ids"] = np.arange(8)[None]
    made["cls.predictions.decoder.weight"] = words
    made["cls.predictions.decoder.bias"] = tensors["cls.predictions.bias"]
    return made


def old_gpt2(tensors):
    """No prefix, and every layer's causal mask."""
    made = {k.removeprefix("transformer."): v for k, v in tensors.items()}
    mask = np.tril(np.ones((1, 1, 8, 8), np.uint8))
    return made | {f"h.{i}.attn.bias": mask for i in range(2)}


def old_t5(tensors):
    """All copies of the word table, and a bias nobody reads."""
    lost = "decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight"
    copies = ("encoder.embed_tokens.weight", "decoder.embed_tokens.weight", "lm_head.weight")
    return tensors | {c: tensors["shared.weight"] for c in copies} | {lost: np.ones((8, 2))}


def old_transfo_xl(tensors):
    """All that is tied, twice."""
    made = dict(tensors)
    for name, tensor in tensors.items():
        if ".emb_layers." in name:
            made[name.replace("transformer.word_emb.emb_layers", "crit.out_layers")] = tensor
        if ".emb_projs." in name and not name.endswith(".0"):
            made[name.replace("transformer.word_emb.emb_projs", "crit.out_projs")] = tensor
    return {k: v for k, v in made.items() if not k.endswith("inv_freq")}


def old_prophetnet(tensors):
    """All copies of the word table."""
    words = tensors["prophetnet.word_embeddings.weight"]
    return tensors | {
        name: words for name in ("prophetnet.encoder.word_embeddings.weight", "lm_head.weight")
    }


OLD = {
    "bert": old_bert,
    "gpt2": old_gpt2,
    "t5": old_t5,
    "transfo_xl": old_transfo_xl,
    "prophetnet": old_prophetnet,
}


@pytest.mark.parametrize("name", OLD)
def test_files_in_an_old_form_are_the_same_model(name, tmp_path):
    new = read_published(HERE / name)
    old = read_published(changed(tmp_path, name, tensors=OLD[name]))
    before, (after, lines) = _load(new)[0], _load(old)
    for path, array in after.items():
        assert np.array_equal(array, before[path]), path
    assert {"ignored", "shared"} & {line.status for line in lines}


def test_files_in_shards_are_the_same_model(tmp_path):
    folder = changed(tmp_path, "bert")
    whole = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    parts = [f"model-0000{n}-of-00003.safetensors" for n in (1, 2, 3)]
    places = {name: parts[n % 3] for n, name in enumerate(whole)}
    for part in parts:
        save_file({k: whole[k] for k in whole if places[k] == part}, folder / part)
    index = {"metadata": {"total_size": 1}, "weight_map": places}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    before, after = _load(read_published(HERE / "bert"))[0], _load(read_published(folder))[0]
    assert before.keys() == after.keys()
    assert all(np.array_equal(before[path], after[path]) for path in before)


def _load(published):
    from fxformer.config.build import build
    from fxformer.hf.published_model import parameter_shapes

    shapes = parameter_shapes(build(published.compose().model.network), published.vocab)
    return published.load(shapes)


# name: (what an old config.json lacks, what it has instead)
OLD_CONFIGS = {
    "llama_long": (
        ("rope_parameters",),
        {
            "rope_theta": 5000.0,
            "rope_scaling": {
                "type": "llama3",
                "factor": 8.0,
                "low_freq_factor": 1.0,
                "high_freq_factor": 4.0,
                "original_max_position_embeddings": 8,
            },
        },
    ),
    "qwen2": (("layer_types",), {}),
    "transfo_xl": (
        ("tie_projs",),
        {
            "proj_share_all_but_first": True,
            "tie_weight": True,
            "ext_len": 0,
            "tgt_len": 128,
            "n_token": 23,
        },
    ),
    "prophetnet": (("add_cross_attention",), {"padding_idx": 0, "encoder_layerdrop": 0.0}),
    "gpt_neox": (("rope_parameters",), {"rotary_pct": 0.5, "rotary_emb_base": 300}),
    "gpt_neo": (("attention_types",), {}),
    "bloom": (
        ("hidden_size", "n_layer", "n_head"),
        {
            "n_embed": 12,
            "num_hidden_layers": 2,
            "num_attention_heads": 3,
            "n_inner": None,
            "masked_softmax_fusion": True,
            "offset_alibi": 100,
        },
    ),
}


@pytest.mark.parametrize("name", OLD_CONFIGS)
def test_a_config_in_an_old_form_says_the_same(name, tmp_path):
    lacks, has = OLD_CONFIGS[name]
    folder = changed(tmp_path, name, has)
    stated = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(
        json.dumps({key: value for key, value in stated.items() if key not in lacks})
    )
    assert sorted(read_published(folder).overrides) == sorted(read_published(HERE / name).overrides)


@pytest.mark.parametrize(
    "layout,shape",
    [
        (SAME, (3, 4)),
        (TRANSPOSED, (3, 4)),
        (FLATTENED, (1, 5)),
        (rows(3), (6, 4)),
        (rows(3), (6,)),
        (columns(3), (4, 6)),
        (columns(3), (6,)),
        (by_head(2), (12, 5)),
        (by_head(2), (12,)),
    ],
)
def test_a_layout_undoes_itself(layout, shape):
    x = np.random.default_rng(0).normal(size=shape)
    assert np.array_equal(layout.to_tensor(layout.to_arrays(x)), x)


@pytest.mark.parametrize(
    "choices",
    [
        pytest.param(("+model=decoder", "model/ffn=gated"), marks=pytest.mark.slow),
        ("+model=encoder",),
        pytest.param(("+model=seq2seq",), marks=pytest.mark.slow),
    ],
)
def test_a_model_that_is_no_published_one_says_why(choices):
    with pytest.raises(ConfigMismatch, match="no family of transformers"):
        detect_family(plain(composed(None, ["+size=tiny", *choices]).model))


@pytest.mark.parametrize("hidden", [64, pytest.param(512, marks=pytest.mark.slow)])
def test_a_foreign_attention_is_named_and_not_what_another_family_cannot_say(hidden):
    choices = ["+model=gpt2", "+size=tiny", "model/attention=qk_norm", f"model.ffn.hidden={hidden}"]
    with pytest.raises(ConfigMismatch, match=r"nearest is gpt2: model\.attention\.qk_norm"):
        detect_family(plain(composed(None, choices).model))


def test_the_plain_decoder_is_a_gpt_neox():
    found = detect_family(plain(composed(None, ["+model=decoder", "+size=tiny"]).model))
    assert found.family.types == ("gpt_neox",)
    assert found.config["use_parallel_residual"] is False and found.config["rope_share"] == 1
