"""Roles and what each may do. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Permission(StrEnum):
    """What a route asks for."""

    READ = "read"
    """Look at everything that is shown."""
    REPORT = "report"
    """Report, and ask for resources, on behalf of jobs: what programs do."""
    OPERATE = "operate"
    """Change tables, jobs and budgets."""
    ADMINISTER = "administer"
    """Decide who may do what, and read the audit log."""


class Role(StrEnum):
    """What someone is; each role has a fixed set of permissions."""

    VIEWER = "viewer"
    SERVICE = "service"
    OPERATOR = "operator"
    ADMIN = "admin"

    def may(self, permission: Permission) -> bool:
        """Say whether the role has a permission."""
        return permission in _PERMISSIONS[self]


_PERMISSIONS: Final = {
    Role.VIEWER: {Permission.READ},
    Role.SERVICE: {Permission.READ, Permission.REPORT},
    Role.OPERATOR: {Permission.READ, Permission.REPORT, Permission.OPERATE},
    Role.ADMIN: set(Permission),
}


@dataclass(frozen=True, kw_only=True)
class Identity:
    """Who makes a request.

    Attributes:
        name: The name of the token, or of Airflow's user.
        role: What that one may do.
        team: The team that it belongs to; empty for none.
        login: How it was recognised: `token`, `session`, `airflow`, or `none` for whoever sits at this machine.
        form_secret: What only this browser's session has: forms prove by it that they come from our own pages. None
            where nothing is sent by itself, as browsers send cookies, so that no other site can send it.
    """

    name: str
    role: Role
    team: str = ""
    login: str
    form_secret: bytes | None = None
