"""The console in a running API server with the FAB auth manager: what its roles may do.

FAB goes with older versions of others than `requirements.txt` locks, so it has an environment of its own.
"""

import subprocess
from collections.abc import Iterator
from importlib.metadata import version

import pytest
import requests

from autostream.access.roles import Role
from tests.console.walk import DECISIONS
from tests.console.walk import requests as asked
from tests.coordination.locking import until
from tests.support.appenders import free_port
from tests.support.environments import Environment, built_wheel

pytestmark = [pytest.mark.integration, pytest.mark.exhaustive, pytest.mark.slow, pytest.mark.airflow]

FAB = "apache-airflow-providers-fab==3.10.2"
ROLES = {"Viewer": Role.VIEWER, "User": Role.VIEWER, "Op": Role.OPERATOR, "Admin": Role.ADMIN, "Public": None}
MENU = {"Op", "Admin"}
"""Whose menu has the entry: those who may read plugins."""

PREPARE = """
from pyiceberg.catalog import load_catalog
from pyiceberg.schema import Schema
from pyiceberg.types import LongType, NestedField

catalog = load_catalog("lake")
catalog.create_namespace("db")
catalog.create_table("db.t", Schema(NestedField(1, "id", LongType())))
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of Airflow's API server, with a user of each role."""
    wheel = built_wheel(tmp_path_factory.mktemp("wheel"))
    directory = tmp_path_factory.mktemp("fab")
    airflow = f"apache-airflow=={version('apache-airflow')}"
    environment = Environment(directory, f"{wheel}[airflow,console]", airflow, FAB, locked=False)
    port = str(free_port())
    environment.environ |= {
        "AIRFLOW__CORE__AUTH_MANAGER": "airflow.providers.fab.auth_manager.fab_auth_manager.FabAuthManager",
        "AIRFLOW__API__BASE_URL": f"http://localhost:{port}",
        "AIRFLOW__API_AUTH__JWT_SECRET": "of this test alone, and as long as sha512 wants its keys to be",
        "AUTOSTREAM_DATABASE__URL": f"sqlite:///{directory}/control.db",
        "PYICEBERG_CATALOG__LAKE__TYPE": "sql",
        "PYICEBERG_CATALOG__LAKE__URI": f"sqlite:///{directory}/lake.db",
        "PYICEBERG_CATALOG__LAKE__WAREHOUSE": f"file://{directory}/warehouse",
    }
    environment.run("airflow", "db", "migrate")
    environment.run("python", "-c", PREPARE)
    for role in ROLES:
        named = ["--username", role, "--firstname", "a", "--lastname", "b", "--email", f"{role}@example.org"]
        environment.run("airflow", "users", "create", *named, "--role", role, "--password", f"of {role}")
    with (directory / "server.log").open("wb") as log:
        process = subprocess.Popen(
            ["airflow", "api-server", "--host", "127.0.0.1", "--port", port],
            env=environment.environ,
            cwd=directory,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        until(lambda: process.poll() is not None or answers(f"http://127.0.0.1:{port}"), what="the API server")
        assert process.poll() is None, (directory / "server.log").read_text()[-3000:]
        yield f"http://localhost:{port}"
    finally:
        process.terminate()
        process.wait(60)


def answers(address: str) -> bool:
    try:
        return requests.get(f"{address}/api/v2/version", timeout=30).ok
    except requests.ConnectionError:
        return False


def token_of(server: str, role: str) -> str:
    login = requests.post(f"{server}/auth/token", json={"username": role, "password": f"of {role}"}, timeout=60)
    login.raise_for_status()
    token: str = login.json()["access_token"]
    return token


@pytest.mark.parametrize("name", ROLES)
def test_roles_of_fab(server: str, name: str) -> None:
    token, role = token_of(server, name), ROLES[name]
    by_token = {"headers": {"Authorization": f"Bearer {token}"}}
    by_cookie = {"cookies": {"_token": token}}

    me = requests.get(f"{server}/autostream/api/me", **by_token, timeout=60)
    assert me.status_code == (200 if role else 403)
    assert role is None or (me.json()["name"], me.json()["role"]) == (name, role)
    for how in (by_token, by_cookie):
        for method, path, permission in asked(DECISIONS):
            answer = requests.request(method, f"{server}/autostream{path}", **how, timeout=60, allow_redirects=False)
            allowed = permission is None or (role is not None and role.may(permission))
            assert answer.status_code in ((200, 303) if allowed else (403,)), (method, path)
    plugins = requests.get(f"{server}/api/v2/plugins", **by_token, timeout=60)
    assert plugins.status_code == (200 if name in MENU else 403)


def test_nobody_gets_in(server: str) -> None:
    assert requests.get(f"{server}/autostream/api/me", timeout=60).status_code == 401
    wrong = requests.post(f"{server}/auth/token", json={"username": "Admin", "password": "of Op"}, timeout=60)
    assert wrong.status_code == 401
