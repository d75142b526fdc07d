"""GenerationConfig: checks, generation_config.json in and out, and the files of conf/generation."""

import pytest
from hydra.utils import instantiate

from fxformer.config.options import composed
from fxformer.errors import UserError
from fxformer.inference.decoding.config import GenerationConfig
from tests.models import choices


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"top_p": 1.5}, r"generation.top_p=1.5: expected a number of at least 0 and at most 1"),
        ({"temperature": 0}, "generation.temperature=0: expected a number above 0; write 1.0"),
        ({"num_beams": 0}, "generation.num_beams=0: expected an integer of at least 1; write 1"),
        ({"early_stopping": "no"}, "expected one of true, false, never"),
        ({"bad_words_ids": [4]}, r"expected lists of ids, such as \[\[5\], \[3, 7\]\]"),
        ({"num_beams": 6, "num_beam_groups": 4}, "write generation.num_beam_groups=3"),
        ({"num_beams": 2, "num_return_sequences": 3}, "write generation.num_beams=3"),
        ({"num_return_sequences": 2}, "generation.do_sample=true or generation.num_beams=2"),
        ({"num_beams": 2, "do_sample": True}, "generation.num_beams=1"),
        ({"diversity_penalty": 0.5, "num_beams": 4}, "write generation.num_beam_groups=4"),
    ],
)
def test_a_wrong_value_is_named_with_a_right_one(given, message):
    with pytest.raises(UserError, match=message):
        GenerationConfig(**given)


def test_an_unknown_setting_names_the_nearest():
    with pytest.raises(UserError, match="'num_beam': did you mean num_beams?"):
        GenerationConfig().replace(num_beam=4)


def test_generation_config_json_in_and_out():
    theirs = {"do_sample": True, "top_p": 0.9, "eos_token_id": [1, 2], "bad_words_ids": [[7]]}
    ours = GenerationConfig.from_hf({**theirs, "transformers_version": "4.46", "bos_token_id": 0})
    assert ours.top_k == 50 and ours.eos_ids == (1, 2) and ours.pad_id == 1
    assert ours.to_hf() == theirs
    greedy = GenerationConfig.from_hf({"top_p": 0.9, "top_k": 5, "max_length": 30})
    assert greedy == GenerationConfig(max_length=30) and greedy.to_hf() == {"max_length": 30}
    with pytest.raises(UserError, match="guidance_scale=1.5, which is not implemented"):
        GenerationConfig.from_hf({"guidance_scale": 1.5})


@pytest.mark.parametrize("name", choices("generation"))
def test_a_file_of_conf_generation_is_a_config(name):
    made = instantiate(composed(None, [f"+generation={name}"]).generation)
    assert isinstance(made, GenerationConfig)
    strategy = {"sample": made.do_sample, "beam": made.num_beams > 1}
    assert strategy.get(name, True)
