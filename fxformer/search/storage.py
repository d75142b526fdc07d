"""Addresses of databases for Optuna studies: validation, connection, redaction."""

import re
import warnings
from typing import TYPE_CHECKING

from fxformer.errors import UserError

if TYPE_CHECKING:
    from optuna.storages import BaseStorage

GRPC = re.compile(r"grpc://([^:/]+|\[[^\]]+\]):(\d+)/?")
# Timeouts of each driver for an unresponsive server.
TIMEOUTS = {
    "sqlite": {"timeout": 60},
    "postgresql": {"connect_timeout": 10, "tcp_user_timeout": 30_000, "keepalives_idle": 10},
    "mysql": {"connect_timeout": 10},
    "mariadb": {"connect_timeout": 10},
}
DATABASE = re.compile(r"(postgresql|mysql|mariadb|sqlite)(\+\w+)?://.+")


def check_address(address: str) -> str:
    """The address, if valid. UserError otherwise."""
    if GRPC.fullmatch(address) or DATABASE.fullmatch(address):
        return address
    raise UserError(
        f"search.storage={redacted(address)}: expected postgresql+psycopg://USER@HOST/DATABASE or "
        "grpc://HOST:PORT (see fxformer search serve)"
    )


def open_storage(address: str) -> "BaseStorage":
    """Open the Optuna storage at an address. UserError for a bad address or a missing driver."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    if found := GRPC.fullmatch(check_address(address)):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # about an experimental feature
                return optuna.storages.GrpcStorageProxy(host=found[1], port=int(found[2]))
        except ImportError as error:
            raise UserError(f"search.storage={address}: pip install grpcio") from error
    connect = next((limits for name, limits in TIMEOUTS.items() if address.startswith(name)), {})
    try:
        plain = optuna.storages.RDBStorage(
            address, engine_kwargs={"pool_pre_ping": True, "connect_args": connect}
        )
    except ImportError as error:
        raise UserError(f"search.storage={redacted(address)}: {first_line(error)}") from error
    return optuna.storages.get_storage(plain)


def redacted(address: str) -> str:
    """An address with its password redacted."""
    return re.sub(r"(//[^:@/]*):[^@/]*@", r"\1:…@", address)


def first_line(error: BaseException) -> str:
    """The first line of an error message, passwords redacted."""
    return redacted((str(error).strip() or type(error).__name__).splitlines()[0])
