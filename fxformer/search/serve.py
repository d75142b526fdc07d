"""`fxformer search serve`: database server for workers on several machines.

Optuna's gRPC proxy over an SQLite file. It has no authentication: listen on other addresses than
localhost in trusted networks only.
"""

import warnings
from collections.abc import Sequence
from pathlib import Path

from fxformer.arguments import Parser
from fxformer.errors import UserError


def main(argv: Sequence[str]) -> None:
    """Serve until interrupted. UserError without grpcio."""
    given = serve_parser().parse(argv)
    from fxformer.search.storage import open_storage

    try:
        from optuna.storages import run_grpc_proxy_server
    except ImportError as error:
        raise UserError("fxformer search serve requires grpcio: pip install grpcio") from error
    file = Path(given.file or Path(given.runs, ".searches", "served.db")).resolve()
    file.parent.mkdir(parents=True, exist_ok=True)
    storage = open_storage(f"sqlite:///{file}")
    where = f"grpc://{given.host}:{given.port}"
    print(f"serving {file}; option of the workers: search.storage={where}", flush=True)
    warnings.simplefilter("ignore")  # about an experimental feature
    run_grpc_proxy_server(storage, host=given.host, port=given.port)


def serve_parser() -> Parser:
    """The arguments of `fxformer search serve`."""
    parser = Parser(
        "search serve",
        "Serve a database for the workers of several machines: Optuna's gRPC proxy over an SQLite "
        "file. It has no authentication: listen on other addresses in trusted networks only.",
        examples=[("--host 0.0.0.0 --port 13000", "for workers on other machines")],
    )
    parser.add_argument(
        "--file", metavar="FILE", help="the SQLite file (served.db in .searches of runs=)"
    )
    parser.add_argument("--host", default="localhost", help="address to listen on; 0.0.0.0: all")
    parser.add_argument("--port", type=int, default=13000, help="(13000)")
    return parser


if __name__ == "__main__":
    import sys

    main(sys.argv[1:])
