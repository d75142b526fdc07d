"""Parts composed without Hydra's own config are those that `hydra.compose` returns."""

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException
from omegaconf import OmegaConf

from fxformer.config import folders
from fxformer.config.compose_parts import compose_parts, has_hydra


@pytest.fixture(autouse=True)
def initialized():
    folders.register()
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(folders.conf_folder()), version_base="1.3"):
        yield


@pytest.mark.parametrize(
    "name, words",
    [
        (None, ["+model=bert", "model/task_head=[classification,pooler]", "model.dropout=0.5"]),
        (None, ["+size=tiny", "+model=gpt2", "model/position=rotary", "++model.new=1"]),
        ("objective/denoise", []),
        ("no/such_option", []),
    ],
)
def test_a_part_is_that_of_hydra(name, words):
    assert not has_hydra(name, words)
    try:
        wanted = compose(name, words)
    except HydraException as error:
        with pytest.raises(type(error)) as ours:
            compose_parts(name, words)
        assert str(ours.value) == str(error)
        return
    found = compose_parts(name, words)
    assert OmegaConf.to_container(found) == OmegaConf.to_container(wanted)
    assert OmegaConf.to_yaml(found) == OmegaConf.to_yaml(wanted)  # references and order
    assert OmegaConf.is_struct(found) and OmegaConf.is_struct(wanted)


@pytest.mark.parametrize(
    "words",
    [
        ["+model=berd"],
        ["+model=bert", "model/norm=no_such"],
        ["+model=bert", "model.no_such=1"],
        ["+model=bert,gpt2"],
        ["+model=bert", "model.dim=[1"],
    ],
)
def test_what_hydra_refuses_is_refused_in_its_words(words):
    errors = []
    for build in (compose, compose_parts):
        with pytest.raises(HydraException) as error:
            build(None, words)
        errors.append((type(error.value), str(error.value)))
    assert errors[0] == errors[1]


@pytest.mark.parametrize(
    "name, words, whole",
    [
        ("train", [], True),
        (None, ["+experiment=mlm_stdlib"], True),
        (None, ["hydra/help=fxformer"], True),
        (None, ["hydra.verbose=true"], True),
        (None, ["+model=bert"], False),
        ("suite/mini", [], False),
    ],
)
def test_hydra_composes_commands_recipes_and_its_own_options(name, words, whole):
    assert has_hydra(name, words) is whole
