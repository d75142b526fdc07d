"""Config files that are parsed once give the same configs, and what has changed is parsed anew."""

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException
from omegaconf import OmegaConf, open_dict

from fxformer.config import folders
from fxformer.config.parsed_files import parse_once


@pytest.fixture
def begun():
    """folder -> a Hydra that is initialized with it."""
    folders.register()

    def begin(folder, *, once=True):
        GlobalHydra.instance().clear()
        initialize_config_dir(str(folder), version_base="1.3")
        if once:
            parse_once()

    yield begin
    GlobalHydra.instance().clear()


@pytest.mark.parametrize(
    "words",
    [
        ["model=bart", "objective=denoise", "size=base"],
        ["experiment=mlm_stdlib", "model.dropout=0.5", "hydra.verbose=true"],
    ],
)
def test_a_config_is_that_of_hydra_each_time(words, begun):
    begun(folders.conf_folder(), once=False)
    wanted = OmegaConf.to_yaml(compose("train", words))
    for _ in range(2):
        begun(folders.conf_folder())
        cfg = compose("train", words)
        assert OmegaConf.to_yaml(cfg) == wanted
        with open_dict(cfg):  # which changes no later one
            cfg.model.clear()
            cfg.trainer.steps = -1


def test_a_file_that_has_changed_is_read_again(tmp_path, begun):
    (tmp_path / "part").mkdir()
    (tmp_path / "main.yaml").write_text("defaults: [part: a, _self_]\n")
    option = tmp_path / "part" / "a.yaml"

    def value():
        begun(tmp_path)
        return compose("main").part.value

    option.write_text("value: 1\n")
    assert value() == 1
    option.write_text("value: 22\n")
    assert value() == 22
    option.unlink()
    with pytest.raises(HydraException, match="part/a"):
        value()
