"""Yaml files of config groups, parsed once for many compositions: parsing takes two fifths of the
time of one."""

import copy
import dataclasses
import os

from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.config_repository import ConfigRepository
from hydra.core.global_hydra import GlobalHydra
from hydra.core.object_type import ObjectType
from hydra.plugins.config_source import ConfigResult, ConfigSource

Stamp = tuple[int, int] | None  # time of the last change in ns, size in bytes; None: of a package

_parsed: dict[tuple[str, str, str], tuple[Stamp, ConfigResult]] = {}


class ParsedFiles(ConfigRepository):
    """Hydra's repository; a file that has not changed since it was parsed is not parsed again."""

    def load_config(self, config_path: str) -> ConfigResult | None:
        """The config of a path, for the caller to change; None: there is none."""
        source = self._find_object_source(config_path, ObjectType.CONFIG)
        if source is None or source.scheme() not in ("file", "pkg"):
            return super().load_config(config_path)
        key, stamp = (source.provider, source.path, config_path), _stamp(source, config_path)
        if key not in _parsed or _parsed[key][0] != stamp:
            found = super().load_config(config_path)
            assert found is not None
            _parsed[key] = stamp, found
        found = _parsed[key][1]
        # Hydra copies the defaults list before it changes it
        config, header = copy.deepcopy(found.config), dict(found.header)
        return dataclasses.replace(found, config=config, header=header)


def _stamp(source: ConfigSource, config_path: str) -> Stamp:
    if source.scheme() != "file":
        return None
    known = os.stat(os.path.join(source.path, source._normalize_file_name(config_path)))
    return known.st_mtime_ns, known.st_size


def parse_once() -> None:
    """Let the initialized Hydra load its configs through `ParsedFiles`."""
    loader = GlobalHydra.instance().config_loader()
    assert isinstance(loader, ConfigLoaderImpl)
    loader.repository = ParsedFiles(loader.config_search_path)
