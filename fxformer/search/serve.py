"""`fxformer search serve`: a database for the workers of several machines, on one of them.

Optuna's gRPC proxy over an SQLite file. It knows no passwords: it listens on this machine alone
unless it is told to listen elsewhere, which is for a network one trusts.
"""

import argparse
import warnings
from collections.abc import Sequence
from pathlib import Path

from fxformer.errors import UserError


def main(argv: Sequence[str]) -> None:
    """Serve until interrupted. UserError where it cannot."""
    parser = argparse.ArgumentParser(prog="fxformer search serve", description=__doc__)
    parser.add_argument("--file", default="runs/.searches/served.db", help="where studies are kept")
    parser.add_argument("--host", default="localhost", help="name to listen on; 0.0.0.0: any")
    parser.add_argument("--port", type=int, default=13000)
    given = parser.parse_args(list(argv))
    from fxformer.search.storage import opened

    try:
        from optuna.storages import run_grpc_proxy_server
    except ImportError as error:
        raise UserError("fxformer search serve: pip install grpcio") from error
    file = Path(given.file).resolve()
    file.parent.mkdir(parents=True, exist_ok=True)
    storage = opened(f"sqlite:///{file}")
    where = f"grpc://{given.host}:{given.port}"
    print(f"serving {file}; workers write search.storage={where}", flush=True)
    warnings.simplefilter("ignore")  # that it is experimental
    run_grpc_proxy_server(storage, host=given.host, port=given.port)


if __name__ == "__main__":
    import sys

    main(sys.argv[1:])
