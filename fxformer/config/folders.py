"""Where the configuration lies, in the source tree or in a wheel, and how Hydra finds it.

`experiment=NAME` selects experiments/NAME/recipe.yaml: Hydra wants one yaml per option in a folder
of the group's name, we want one folder per claim, so a small config source translates.
"""

import functools
import re
from pathlib import Path

import yaml

PACKAGE = Path(__file__).resolve().parent.parent


def conf_folder() -> Path:
    """The folder with train.yaml: inside the package in a wheel, beside it in the source tree."""
    packed = PACKAGE / "_conf"
    return packed if packed.is_dir() else PACKAGE.parent / "conf"


def experiments_folder() -> Path:
    """The folder whose folders hold a recipe.yaml each."""
    packed = PACKAGE / "_experiments"
    return packed if packed.is_dir() else PACKAGE.parent / "experiments"


def defaults() -> dict[str, str | None]:
    """The groups of conf/train.yaml and what each defaults to."""
    entries = _primary("train")["defaults"]
    pairs = [pair for entry in entries if isinstance(entry, dict) for pair in entry.items()]
    return {group.removeprefix("optional ").strip(): choice for group, choice in pairs}


def top_keys(name: str = "train") -> tuple[set[str], set[str]]:
    """The keys that a config composed from conf/NAME.yaml may have at the top, and must have.

    Every such file is train.yaml or builds on it.
    """
    groups = {group for group in defaults() if "/" not in group}
    elsewhere = {"size", "search", "experiment"}  # these write into other keys
    plain = {key for file in {"train", name} for key in _primary(file)} - {"defaults", "hydra"}
    return groups | plain, (groups - elsewhere) | plain


def targets() -> frozenset[str]:
    """Every `_target_` that a yaml of conf/ or experiments/ spells."""
    return _targets(conf_folder(), experiments_folder())


@functools.cache
def _targets(conf: Path, experiments: Path) -> frozenset[str]:
    files = [*conf.rglob("*.yaml"), *experiments.glob("*/recipe.yaml")]
    return frozenset(
        target
        for file in files
        for target in re.findall(r"_target_:\s*([\w.]+)", file.read_text(encoding="utf-8"))
    )


def _primary(name: str) -> dict:
    return yaml.safe_load((conf_folder() / f"{name}.yaml").read_text(encoding="utf-8"))


@functools.cache  # a second time would make Hydra look for each recipe twice
def register() -> None:
    """Teach Hydra the address experiments://."""
    from hydra.core.config_search_path import ConfigSearchPath
    from hydra.core.object_type import ObjectType
    from hydra.core.plugins import Plugins
    from hydra.plugins.config_source import ConfigLoadError, ConfigResult, ConfigSource
    from hydra.plugins.search_path_plugin import SearchPathPlugin
    from omegaconf import OmegaConf

    def recipe(path: str) -> Path | None:
        group, _, name = path.removesuffix(".yaml").partition("/")
        return experiments_folder() / name / "recipe.yaml" if group == "experiment" else None

    class Recipes(ConfigSource):
        """experiment/NAME is experiments/NAME/recipe.yaml."""

        @staticmethod
        def scheme() -> str:
            return "experiments"

        def load_config(self, config_path: str) -> ConfigResult:
            file = recipe(config_path)
            if file is None or not file.is_file():
                raise ConfigLoadError(f"there is no recipe {file}")
            text = file.read_text(encoding="utf-8")
            return ConfigResult(
                provider=self.provider,
                path=f"experiments://{file}",
                config=OmegaConf.create(text),
                header={"package": "_global_", **_stated(self._get_header_dict(text))},
            )

        def available(self) -> bool:
            return experiments_folder().is_dir()

        def is_group(self, config_path: str) -> bool:
            return config_path in ("", "experiment")

        def is_config(self, config_path: str) -> bool:
            file = recipe(config_path)
            return file is not None and file.is_file()

        def list(self, config_path: str, results_filter: ObjectType | None) -> list[str]:
            if config_path == "":
                return [] if results_filter is ObjectType.CONFIG else ["experiment"]
            if config_path != "experiment" or results_filter is ObjectType.GROUP:
                return []
            return sorted(file.parent.name for file in experiments_folder().glob("*/recipe.yaml"))

    class RecipesOnThePath(SearchPathPlugin):
        def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
            search_path.append("fxformer", "experiments://")

    Plugins.instance().register(Recipes)
    Plugins.instance().register(RecipesOnThePath)


def _stated(header: dict) -> dict:
    return {key: value for key, value in header.items() if value is not None}
