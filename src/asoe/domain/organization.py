"""Who acts: organizations, members and their roles. Which role may do what is the table in `asoe.api.permissions`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from uuid import UUID

ROLES: Final = ("owner", "admin", "agent", "client")
"""What people and keys can be; `engine` is the organization's own account and nobody's role."""

STAFF_ROLES: Final = frozenset({"owner", "admin", "agent", "engine"})
ROLE_RANK: Final = {"client": 0, "agent": 1, "admin": 2, "owner": 3}


@dataclass(frozen=True, slots=True)
class Principal:
    """The one account a transaction acts as: a row of `auth.users` with a row in `user_organizations`."""

    user_id: UUID
    org_id: UUID
    role: str
    name: str = ""
    key_id: UUID | None = None
    scopes: frozenset[str] = frozenset()

    @property
    def is_staff(self) -> bool:
        return self.role in STAFF_ROLES

    @property
    def is_engine(self) -> bool:
        return self.role == "engine"

    @property
    def is_client(self) -> bool:
        return not self.is_staff

    def is_staff_for(self, user_id: UUID | None) -> bool:
        """Whether it is staff that writes down what somebody else, with this account or none, is to have said."""
        return self.is_staff and not self.is_engine and self.user_id != user_id
