"""Which errors pass by themselves, so that the same act may simply be done again later."""

from __future__ import annotations

from typing import Final

import asyncpg

from asoe.domain.errors import Unavailable

_PASSING: Final = (
    OSError,  # a lost connection, and TimeoutError
    asyncpg.InterfaceError,
    asyncpg.PostgresConnectionError,
    asyncpg.TransactionRollbackError,
    asyncpg.InsufficientResourcesError,
    asyncpg.OperatorInterventionError,
    asyncpg.LockNotAvailableError,
)


def is_transient(error: BaseException) -> bool:
    """Whether waiting helps: the database or a model was not reachable, overloaded, or two transactions met."""
    if isinstance(error, Unavailable):
        return not error.permanent
    return isinstance(error, _PASSING)
