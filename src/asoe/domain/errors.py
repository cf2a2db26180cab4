"""Every error ASOE raises on purpose, in five kinds named by what the caller can do.

    AsoeError
    ├── Invalid       fix the input            HTTP 422 (400 when it cannot be read)   exit 2
    ├── Denied        ask for the right        HTTP 401 (no proof) / 403 (no right)    exit 3
    ├── Missing       name another thing       HTTP 404                                exit 4
    ├── Conflict      re-read, then decide     HTTP 409                                exit 5
    └── Unavailable   wait, or repair          HTTP 503 (429 when asked to slow down)  exit 6

`code` is stable and documented in docs/api/errors.md; `message` says what was wrong, where, and what to do.
Expected outcomes (a refusal, a verdict, a plan) are returned values, never errors.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class FieldProblem:
    """One wrong field: its dotted path, what was wrong, and the remedy."""

    field: str
    problem: str


class AsoeError(Exception):
    """Base of the tree; never raised itself."""

    kind = "error"

    def __init__(self, message: str, *, code: str) -> None:
        super().__init__(message)
        self.message = message
        self.code = code


class Invalid(AsoeError):
    """The input is wrong; `fields` names each wrong field."""

    kind = "invalid"

    def __init__(
        self, message: str, *, code: str = "invalid", fields: tuple[FieldProblem, ...] = (), unreadable: bool = False
    ) -> None:
        super().__init__(message, code=code)
        self.fields = fields
        self.unreadable = unreadable


class Denied(AsoeError):
    """The caller may not; `unproven` when it is not known who the caller is."""

    kind = "denied"

    def __init__(self, message: str, *, code: str = "denied", unproven: bool = False) -> None:
        super().__init__(message, code=code)
        self.unproven = unproven


class Missing(AsoeError):
    """There is no such thing, or none the caller may see; the two are never told apart."""

    kind = "missing"

    def __init__(self, message: str, *, code: str = "missing") -> None:
        super().__init__(message, code=code)


class Conflict(AsoeError):
    """The state changed or forbids it; re-read and decide again."""

    kind = "conflict"

    def __init__(self, message: str, *, code: str = "conflict") -> None:
        super().__init__(message, code=code)


class Unavailable(AsoeError):
    """Something needed is not there now. `retry_after` in seconds; `permanent` when waiting will not help."""

    kind = "unavailable"

    def __init__(
        self,
        message: str,
        *,
        code: str = "unavailable",
        retry_after: float | None = None,
        permanent: bool = False,
        throttled: bool = False,
    ) -> None:
        super().__init__(message, code=code)
        self.retry_after = retry_after
        self.permanent = permanent
        self.throttled = throttled
