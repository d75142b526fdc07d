"""Where the configuration lies, in the source tree or in a wheel, and how Hydra finds it.

`experiment=NAME` selects experiments/NAME/recipe.yaml: Hydra wants one yaml per option in a folder
of the group's name, we want one folder per claim, so a small config source translates.
"""

import functools
import re
from pathlib import Path

import yaml

from fxformer.config import packages

PACKAGE = Path(__file__).resolve().parent.parent


def conf_folder() -> Path:
    """The folder with train.yaml: inside the package in a wheel, beside it in the source tree."""
    packed = PACKAGE / "_conf"
    return packed if packed.is_dir() else PACKAGE.parent / "conf"


def experiments_folder() -> Path:
    """The folder whose folders hold a recipe.yaml each."""
    packed = PACKAGE / "_experiments"
    return packed if packed.is_dir() else PACKAGE.parent / "experiments"


def option_files(group: str) -> list[Path]:
    """The yaml files of the options of a group: ours, and those of declared packages."""
    places = [conf_folder(), *packages.folders("conf").values()]
    return sorted((f for place in places for f in (place / group).glob("*.yaml")), key=_stem)


def pretraining_objectives() -> list[str]:
    """The options of the group objective that one chooses: not those that only a task chooses."""
    return [
        file.stem
        for file in option_files("objective")
        if "${task}" not in file.read_text(encoding="utf-8")
    ]


def _stem(file: Path) -> str:
    return file.stem


def is_group(name: str) -> bool:
    """Whether there is a config group of this name."""
    places = [conf_folder(), *packages.folders("conf").values()]
    return any((place / name).is_dir() for place in places)


def recipe_files() -> dict[str, Path]:
    """The recipe.yaml of each experiment by its name: ours, and those of declared packages."""
    places = [*packages.folders("experiments").values(), experiments_folder()]
    files = [file for place in places for file in place.glob("*/recipe.yaml")]
    return {file.parent.name: file for file in files}


def clashes() -> list[str]:
    """A line for each yaml of a declared package that has the name of one of fxformer's."""
    return [
        f"packages: {file} has the name of an option of fxformer; give it another name"
        for place in packages.folders("conf").values()
        for file in place.rglob("*.yaml")
        if (conf_folder() / file.relative_to(place)).is_file()
    ]


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
    elsewhere = {
        "size",
        "search",
        "experiment",
        "task",
        "distillation",
    }  # into other keys, or optional
    plain = {key for file in {"train", name} for key in _primary(file)} - {"defaults", "hydra"}
    return groups | plain, (groups - elsewhere) | plain


def targets() -> frozenset[str]:
    """Every `_target_` that a yaml of conf/ or experiments/ spells."""
    more = [path for kind in ("conf", "experiments") for path in packages.folders(kind).values()]
    return _targets(conf_folder(), experiments_folder(), *more)


@functools.cache
def _targets(*places: Path) -> frozenset[str]:
    files = [file for place in places for file in place.rglob("*.yaml")]
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
        return recipe_files().get(name) if group == "experiment" else None

    class Recipes(ConfigSource):
        """experiment/NAME is experiments/NAME/recipe.yaml."""

        @staticmethod
        def scheme() -> str:
            return "experiments"

        def load_config(self, config_path: str) -> ConfigResult:
            file = recipe(config_path)
            if file is None or not file.is_file():
                raise ConfigLoadError(f"there is no recipe {config_path}")
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
            return sorted(recipe_files())

    class RecipesOnThePath(SearchPathPlugin):
        def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
            search_path.append("fxformer", "experiments://")
            for name, place in packages.folders("conf").items():
                search_path.append(name, f"file://{place}")

    Plugins.instance().register(Recipes)
    Plugins.instance().register(RecipesOnThePath)


def _stated(header: dict) -> dict:
    return {key: value for key, value in header.items() if value is not None}
