"""Addresses of databases that Optuna can keep a study in."""

import re
import warnings
from typing import TYPE_CHECKING

from fxformer.errors import UserError

if TYPE_CHECKING:
    from optuna.storages import BaseStorage

GRPC = re.compile(r"grpc://([^:/]+|\[[^\]]+\]):(\d+)/?")
# How long each driver waits for a server that is silent, in its own words.
LIMITS = {
    "sqlite": {"timeout": 60},
    "postgresql": {"connect_timeout": 10, "tcp_user_timeout": 30_000, "keepalives_idle": 10},
    "mysql": {"connect_timeout": 10},
    "mariadb": {"connect_timeout": 10},
}
DATABASE = re.compile(r"(postgresql|mysql|mariadb|sqlite)(\+\w+)?://.+")


def checked(address: str) -> str:
    """The address. UserError where it can be none."""
    if GRPC.fullmatch(address) or DATABASE.fullmatch(address):
        return address
    raise UserError(
        f"search.storage={shown(address)}: wants postgresql+psycopg://USER@HOST/DATABASE or "
        "grpc://HOST:PORT (see fxformer search serve)"
    )


def opened(address: str) -> "BaseStorage":
    """The Optuna storage at an address. UserError where the address or its driver is wrong."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    if found := GRPC.fullmatch(checked(address)):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # that it is experimental
                return optuna.storages.GrpcStorageProxy(host=found[1], port=int(found[2]))
        except ImportError as error:
            raise UserError(f"search.storage={address}: pip install grpcio") from error
    connect = next((limits for name, limits in LIMITS.items() if address.startswith(name)), {})
    try:
        plain = optuna.storages.RDBStorage(
            address, engine_kwargs={"pool_pre_ping": True, "connect_args": connect}
        )
    except ImportError as error:
        raise UserError(f"search.storage={shown(address)}: {first_line(error)}") from error
    return optuna.storages.get_storage(plain)


def shown(address: str) -> str:
    """An address without its password."""
    return re.sub(r"(//[^:@/]*):[^@/]*@", r"\1:…@", address)


def first_line(error: BaseException) -> str:
    """What an error says first, without passwords."""
    return shown((str(error).strip() or type(error).__name__).splitlines()[0])
