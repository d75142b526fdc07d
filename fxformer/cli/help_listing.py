"""The options of config groups that `--help` lists, read from one copy of Hydra's sources.

Hydra copies its sources anew for each of the hundred groups, twice, which is half of the time that
`fxformer train --help` took.
"""

import contextlib
import functools
from collections.abc import Iterator

from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.object_type import ObjectType


@contextlib.contextmanager
def one_copy() -> Iterator[None]:
    """While Hydra lists the options of groups, of no other config and without overrides."""
    known = ConfigLoaderImpl.get_group_options

    @functools.cache
    def repository(loader: ConfigLoaderImpl):
        return loader._parse_overrides_and_create_caching_repo(None, [])[1]

    def get_group_options(
        self: ConfigLoaderImpl,
        group_name: str,
        results_filter: ObjectType | None = ObjectType.CONFIG,
        config_name: str | None = None,
        overrides: list[str] | None = None,
    ) -> list[str]:
        if config_name is not None or overrides:
            return known(self, group_name, results_filter, config_name, overrides)
        return repository(self).get_group_options(group_name, results_filter)

    ConfigLoaderImpl.get_group_options = get_group_options  # type: ignore[method-assign]
    try:
        yield
    finally:
        ConfigLoaderImpl.get_group_options = known  # type: ignore[method-assign]
