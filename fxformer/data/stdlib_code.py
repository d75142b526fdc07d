"""Corpus `stdlib_code`: the source code of Python's standard library, a module a document."""

import dataclasses

from fxformer.data.stdlib import StandardLibrary


@dataclasses.dataclass(kw_only=True)
class StdlibCode(StandardLibrary):
    """About 7 MB of Python."""

    def document(self, source: str) -> str:
        return source
