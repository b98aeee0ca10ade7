"""Says what an error of asyncpg means: the store is down, a setting is wrong, or neither; it knows no statement.

No text of it holds more of a server's error than its one-line message: DETAIL may hold what a client wrote.
"""

from __future__ import annotations

import asyncpg
from asyncpg import exceptions as errors

from serving.errors import SettingsError, StoreDown

# What asyncpg raises when a connection cannot be made, breaks, or is ended between two steps of a call (AttributeError:
# its own parts are gone by then).
FAILURES = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError, AttributeError)
# Another transaction was faster; the same statement again may succeed.
LOST_A_RACE = errors.TransactionRollbackError

_OURS = (errors.DataError, errors.IntegrityConstraintViolationError, errors.SyntaxOrAccessError)
_OF_THE_SERVER = (
    errors.PostgresConnectionError,
    errors.AdminShutdownError,
    errors.CrashShutdownError,
    errors.CannotConnectNowError,
    errors.ReadOnlySQLTransactionError,
)
_FIXES: tuple[tuple[tuple[type[Exception], ...], str], ...] = (
    (
        (errors.InvalidAuthorizationSpecificationError,),
        "correct the user and the password in the URL (or PGPASSWORD), or the server's pg_hba.conf",
    ),
    ((errors.InvalidCatalogNameError,), "create the database (createdb), or correct its name"),
    (
        (errors.InsufficientPrivilegeError,),
        "GRANT CREATE ON DATABASE to this user, or run `tidegate db init` as the owner",
    ),
    ((errors.ReadOnlySQLTransactionError, errors.TargetServerAttributeNotMatched), "name the primary, not a standby"),
    ((asyncpg.PostgresError,), "see the server's log"),
    ((OSError,), "start the server, or correct the host, port and TLS parameters in the URL"),
)


def is_ours(error: BaseException, connection_lives: bool) -> bool:
    """A mistake of the statement or its values: asking again does not help, and the server is not down."""
    if isinstance(error, asyncpg.PostgresError):
        return isinstance(error, _OURS)
    return connection_lives


def is_of_the_server(error: BaseException) -> bool:
    """True of all that are connected: it stops, has stopped, or has become a read-only standby."""
    return isinstance(error, _OF_THE_SERVER)


def down(error: BaseException) -> StoreDown:
    return StoreDown(f"PostgreSQL: {_message(error)}")


def refused_start(error: BaseException, name: str) -> SettingsError:
    """`name` is the database in words, without its password."""
    fix = next((fix for kinds, fix in _FIXES if isinstance(error, kinds)), "correct the parameters in the URL")
    return SettingsError("front.store", f"{name} cannot be used: {_message(error)}; {fix}")


def _message(error: BaseException) -> str:
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, asyncpg.PostgresError):
        return str(error.args[0])
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__
