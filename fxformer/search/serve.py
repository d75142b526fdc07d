"""`fxformer search serve`: a database for the workers of several machines, on one of them.

Optuna's gRPC proxy over an SQLite file. It knows no passwords: it listens on this machine alone
unless it is told to listen elsewhere, which is for a network one trusts.
"""

import warnings
from collections.abc import Sequence
from pathlib import Path

from fxformer.arguments import Parser
from fxformer.errors import UserError


def main(argv: Sequence[str]) -> None:
    """Serve until interrupted. UserError where it cannot."""
    given = serve_parser().parse(argv)
    from fxformer.search.storage import opened

    try:
        from optuna.storages import run_grpc_proxy_server
    except ImportError as error:
        raise UserError("fxformer search serve: pip install grpcio") from error
    file = Path(given.file or Path(given.runs, ".searches", "served.db")).resolve()
    file.parent.mkdir(parents=True, exist_ok=True)
    storage = opened(f"sqlite:///{file}")
    where = f"grpc://{given.host}:{given.port}"
    print(f"serving {file}; workers write search.storage={where}", flush=True)
    warnings.simplefilter("ignore")  # that it is experimental
    run_grpc_proxy_server(storage, host=given.host, port=given.port)


def serve_parser() -> Parser:
    """The arguments of `fxformer search serve`."""
    made = Parser(
        "search serve",
        "Serve a database for the workers of several machines: Optuna's gRPC proxy over an SQLite "
        "file. It knows no passwords: listen on other addresses in a trusted network only.",
        examples=[("--host 0.0.0.0 --port 13000", "for workers on other machines")],
    )
    made.add_argument(
        "--file", metavar="FILE", help="the SQLite file (served.db in .searches of runs=)"
    )
    made.add_argument("--host", default="localhost", help="name to listen on; 0.0.0.0: any")
    made.add_argument("--port", type=int, default=13000, help="(13000)")
    return made


if __name__ == "__main__":
    import sys

    main(sys.argv[1:])
