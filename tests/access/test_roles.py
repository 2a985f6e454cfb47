import pytest

from autostream.access.roles import Permission, Role


@pytest.mark.parametrize(
    ("role", "may"),
    [
        (Role.VIEWER, {Permission.READ}),
        (Role.SERVICE, {Permission.READ, Permission.REPORT}),
        (Role.OPERATOR, {Permission.READ, Permission.REPORT, Permission.OPERATE}),
        (Role.ADMIN, {Permission.READ, Permission.REPORT, Permission.OPERATE, Permission.ADMINISTER}),
    ],
)
def test_what_each_role_may_do(role: Role, may: set[Permission]) -> None:
    assert {permission for permission in Permission if role.may(permission)} == may
