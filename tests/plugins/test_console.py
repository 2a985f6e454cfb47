"""The console where Airflow's API server serves it: Airflow's own application, with its own logins."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.schema import Schema
from pyiceberg.types import LongType, NestedField
from pyiceberg.utils.config import Config
from starlette.routing import Mount

from autostream.access.roles import Permission, Role
from tests.console.walk import DECISIONS, decisions, requests
from tests.support.telemetry import fill_telemetry, job_record

ROLES = {"viewer": Role.VIEWER, "user": Role.VIEWER, "op": Role.ADMIN, "admin": Role.ADMIN}
"""What Airflow's simple auth manager, which lets everybody read the audit log, makes of its roles."""


@pytest.fixture(scope="module")
def airflow() -> Iterator[FastAPI]:
    from airflow import settings
    from airflow.api_fastapi.app import create_app, purge_cached_app
    from airflow.models.revoked_token import RevokedToken

    RevokedToken.metadata.create_all(settings.engine, tables=[RevokedToken.__table__])
    yield create_app(apps="core")
    purge_cached_app()


@pytest.fixture
def server(airflow: FastAPI, lake: SqlCatalog, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> FastAPI:
    """Airflow's API server over a lake with one table; its console is made again."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("pyiceberg.catalog._ENV_CONFIG", Config())
    lake.create_table("db.t", Schema(NestedField(1, "id", LongType())))
    (mount,) = (route for route in airflow.routes if isinstance(route, Mount) and route.path == "/autostream")
    from autostream_airflow.console import MountedConsole

    monkeypatch.setattr(mount, "app", MountedConsole())
    return airflow


@pytest.fixture
def log_in(server: FastAPI) -> Callable[..., TestClient]:
    """Gives the browser, or the program, of a user with a role in Airflow."""
    from airflow.api_fastapi.app import get_auth_manager
    from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser

    def act(role: str | None, *, by_cookie: bool = False) -> TestClient:
        client = TestClient(server, base_url="http://localhost:8080", follow_redirects=False)
        if role:
            token = get_auth_manager().generate_jwt(SimpleAuthManagerUser(username="ann", role=role.upper()))
            if by_cookie:
                client.cookies["_token"] = token
            else:
                client.headers["Authorization"] = f"Bearer {token}"
        return client

    return act


def test_it_serves_the_same_routes_with_the_same_decisions() -> None:
    from autostream.config import load_settings
    from autostream.console.app import create_app
    from autostream_airflow.console import AirflowAccess

    assert decisions(create_app(AirflowAccess(load_settings()))) == DECISIONS


@pytest.mark.parametrize("role", [None, *ROLES])
@pytest.mark.parametrize("by_cookie", [False, True])
def test_each_route_answers_whom_it_should(
    log_in: Callable[..., TestClient], role: str | None, by_cookie: bool
) -> None:
    client = log_in(role, by_cookie=by_cookie)

    fill_telemetry(records=[job_record("prod/orders")])
    for method, path, permission in requests(DECISIONS):
        status = client.request(method, f"/autostream{path}").status_code
        if permission is None or (role and ROLES[role].may(permission)):
            assert status in (200, 303), (method, path)
        else:
            assert status == (403 if role else 401), (method, path)


def test_airflows_user_is_known(log_in: Callable[..., TestClient]) -> None:
    assert log_in("viewer").get("/autostream/api/me").json() == {
        "name": "ann",
        "role": "viewer",
        "team": "",
        "permissions": [Permission.READ],
    }


@pytest.mark.parametrize("how", [{"headers": {"Authorization": "Bearer x"}}, {"cookies": {"_token": "x"}}])
def test_what_airflow_does_not_know_is_refused(server: FastAPI, how: dict[str, dict[str, str]]) -> None:
    client = TestClient(server, base_url="http://localhost:8080", **how)

    answer = client.get("/autostream/api/me")

    assert answer.status_code == 401
    assert "Airflow does not know this login: Invalid JWT token." in answer.json()["detail"]


def test_tokens_of_the_console_are_not_airflows(server: FastAPI) -> None:
    from autostream.access.tokens import create_token
    from autostream.store.database import open_database

    with open_database().write() as connection:
        _, secret = create_token(connection, "ann", role=Role.ADMIN, days=None, by="test", now_ms=0)
    client = TestClient(server, base_url="http://localhost:8080", headers={"Authorization": f"Bearer {secret}"})

    assert client.get("/autostream/api/me").status_code == 401


def test_a_browser_is_led_to_airflows_login_and_back(server: FastAPI) -> None:
    client = TestClient(server, base_url="http://localhost:8080", follow_redirects=False)

    answer = client.get("/autostream/tables/lake.db.t", headers={"Accept": "text/html"})

    assert answer.status_code == 303
    login = answer.headers["location"]
    assert login == "/api/v2/auth/login?next=http%3A%2F%2Flocalhost%3A8080%2Fautostream%2Ftables%2Flake.db.t"
    assert client.get(login).status_code == 307  # Airflow takes the way back for a safe one


def test_pages_stay_below_the_console_and_in_airflows_frame(log_in: Callable[..., TestClient]) -> None:
    client = log_in("viewer", by_cookie=True)

    answer = client.get("/autostream/")

    assert 'href="/autostream/tables/lake.db.t"' in answer.text
    assert 'href="/autostream/static/style.css"' in answer.text
    assert "/logout" not in answer.text
    assert "frame-ancestors 'self'" in answer.headers["content-security-policy"]
    assert client.get("/autostream/language/en?back=/autostream/tables/x").headers["location"] == "/autostream/tables/x"
    assert client.get("/autostream/language/en?back=/").headers["location"] == "/autostream/"


def test_forms_are_tied_to_airflows_user_for_all_its_logins(server: FastAPI) -> None:
    from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser

    from autostream_airflow.console import form_secret

    ann, bob = (SimpleAuthManagerUser(username=name, role="OP") for name in ("ann", "bob"))
    assert form_secret(ann) == form_secret(ann)
    assert form_secret(ann) != form_secret(bob)


def test_a_wrong_configuration_stops_the_console_and_not_airflow(
    log_in: Callable[..., TestClient], monkeypatch: pytest.MonkeyPatch
) -> None:
    client = log_in("admin")
    with monkeypatch.context() as wrong:
        wrong.setenv("AUTOSTREAM_CONSOLE__URL", "hidden")
        answer = client.get("/autostream/api/me")
        assert (answer.status_code, answer.text) == (
            503,
            "Cannot serve the console. The log of the API server says why.",
        )
        assert client.get("/api/v2/version").status_code == 200

    assert client.get("/autostream/api/me").status_code == 200


def test_without_the_extra_the_console_says_what_to_install(
    log_in: Callable[..., TestClient], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    client = log_in("admin")
    with monkeypatch.context() as without:
        without.setitem(sys.modules, "prometheus_client", None)
        assert client.get("/autostream/api/me").status_code == 503
        assert client.get("/api/v2/version").status_code == 200

    assert "install autostream[console] into Airflow's environment" in caplog.text
    assert client.get("/autostream/api/me").status_code == 200


def test_the_menu_has_an_entry_that_shows_the_console(log_in: Callable[..., TestClient]) -> None:
    client = log_in("admin")

    plugins = client.get("/api/v2/plugins").json()["plugins"]

    (plugin,) = (plugin for plugin in plugins if plugin["name"] == "autostream")
    (view,) = plugin["external_views"]
    assert (view["name"], view["destination"], view["url_route"]) == ("autostream", "nav", "autostream")
    assert client.get(view["href"]).status_code == 200
    assert client.get(view["icon"]).headers["content-type"] == "image/svg+xml"


def test_the_menu_leads_below_airflows_own_path(monkeypatch: pytest.MonkeyPatch) -> None:
    from autostream_airflow.console import menu_entry

    monkeypatch.setenv("AIRFLOW__API__BASE_URL", "https://example.org/airflow/")

    assert menu_entry()["href"] == "/airflow/autostream/"
