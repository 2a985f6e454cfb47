"""The whole route table, as everybody: a route that is added needs a decision here too.

`tests/plugins/test_console.py` walks the same table where Airflow serves it.
"""

import pytest

from autostream.access.roles import Role
from autostream.access.tokens import create_token
from autostream.console.alone import create_app_alone
from autostream.store.database import open_database
from tests.console.support import Browser
from tests.console.walk import ALONE, DECISIONS, decisions, requests
from tests.support.clocks import FakeClock
from tests.support.telemetry import fill_telemetry, job_record


def test_every_route_has_a_decision(configured: object) -> None:
    assert decisions(create_app_alone()) == DECISIONS | ALONE


@pytest.mark.parametrize("role", [None, *Role])
def test_each_route_answers_whom_it_should(configured: object, clock: FakeClock, role: Role | None) -> None:
    tokens = {}
    with open_database().write() as connection:
        for each in Role:
            _, secret = create_token(connection, each, role=each, days=1, by="test", now_ms=clock.ms)
            tokens[each] = {"Authorization": f"Bearer {secret}"}
    browser = Browser(create_app_alone(), headers=tokens.get(role, {}))

    fill_telemetry(records=[job_record("prod/orders")])
    for method, path, permission in requests(DECISIONS | ALONE):
        status = browser.request(method, path).status_code
        if permission is None or (role and role.may(permission)):
            assert status in (200, 303), (method, path)
        else:
            assert status == (403 if role else 401), (method, path)
