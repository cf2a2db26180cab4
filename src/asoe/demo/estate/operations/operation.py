"""What a mending operation is: a path, a body, and one function over the store that changes it or refuses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Literal

from pydantic import BaseModel

from asoe.demo.estate.models import Shape
from asoe.demo.estate.store import Item, Store


class Refused(Exception):
    """The estate will not do it: `status` is 404, 409 or 422, `code` is stable, the message says what to do."""

    def __init__(self, status: Literal[404, 409, 422], code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message


@dataclass(frozen=True, slots=True)
class Operation:
    """`kind` is of the item that the path names (None: the operation makes one); `answers` is the kind of the answer."""

    name: str
    method: Literal["POST", "PUT", "DELETE"]
    path: str
    kind: str | None
    answers: str
    about: str
    act: Callable[[Store, Item, Any], Item]
    body: type[BaseModel] | None
    needs_key: bool
    status: int


OPERATIONS: Final[dict[str, Operation]] = {}


class NoBody(Shape):
    """Nothing needs to be said."""


def operation(
    name: str,
    method: Literal["POST", "PUT", "DELETE"],
    path: str,
    *,
    about: str,
    body: type[BaseModel] | None = None,
    answers: str | None = None,
    needs_key: bool = False,
) -> Callable[[Callable[[Store, Item, Any], Item]], Callable[[Store, Item, Any], Item]]:
    """Offer a function as an operation. `needs_key`: repeating it would do it again, so an Idempotency-Key is required."""

    def offer(act: Callable[[Store, Item, Any], Item]) -> Callable[[Store, Item, Any], Item]:
        assert name not in OPERATIONS, name
        kind = path.split("/")[2] if "{id}" in path else None
        OPERATIONS[name] = Operation(
            name=name,
            method=method,
            path=path,
            kind=kind,
            answers=answers or kind or "",
            about=about,
            act=act,
            body=body,
            needs_key=needs_key,
            status=201 if answers is not None and method == "POST" else 200,
        )
        return act

    return offer


def refuse(code: str, message: str) -> Refused:
    """A conflict with the state of things."""
    return Refused(409, code, message)


def of_account(store: Store, kind: str, account_id: str) -> Item:
    """The account's only item of a kind, which the estate always has."""
    return store.find(kind, account_id=account_id)[0]
