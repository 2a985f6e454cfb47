"""Log levels in ConfigMaps of a real API server: changed by comparison, undone exactly, by an account of its own."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from autostream.config import FlinkKubernetesSettings, FlinkSettings
from autostream.diagnosis.level_targets import level_target_of
from autostream.diagnosis.log_levels import LogLevels
from autostream.errors import ConflictError, DeniedError, NotFoundError
from autostream.store.database import Database
from tests.diagnosis.test_log4j_text import FLINK
from tests.support.kubernetes import ApiServer, api_server

pytestmark = [pytest.mark.integration, pytest.mark.exhaustive]

KEY, NAME = "log4j-console.properties", "flink-config-orders"


@pytest.fixture(scope="module")
def server() -> Iterator[ApiServer]:
    with api_server() as started:
        started.create_namespace("flink")
        yield started


@pytest.fixture
def maps(server: ApiServer) -> Iterator[Any]:
    """The ConfigMaps of the namespace, one of them of a cluster `orders`."""
    from kubernetes import client

    api = client.CoreV1Api(server.api("admin"))
    api.create_namespaced_config_map("flink", {"metadata": {"name": NAME}, "data": {KEY: FLINK, "config.yaml": "a: b"}})
    yield api
    api.delete_namespaced_config_map(NAME, "flink")


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = Database(f"sqlite:///{tmp_path}/a.db")
    yield database
    database.close()


def settings(server: ApiServer, context: str = "admin") -> FlinkSettings:
    entry = FlinkKubernetesSettings(name="k8s", kubeconfig=server.kubeconfig, context=context)
    return FlinkSettings(kubernetes=(entry,))


def text(maps: Any) -> str:
    found = maps.read_namespaced_config_map(NAME, "flink").data
    assert found["config.yaml"] == "a: b"
    shown: str = found[KEY]
    return shown


def test_a_level_comes_and_goes(server: ApiServer, maps: Any, database: Database) -> None:
    levels = LogLevels(settings(server), database)
    done = levels.set("k8s.flink.orders/enrich", "root", "DEBUG", for_ms=60_000)
    assert (done.place, done.seen_within_seconds) == (f"ConfigMap flink/{NAME}", 120)
    assert "rootLogger.level = DEBUG\n" in text(maps)
    levels.reset("k8s.flink.orders/enrich")
    assert text(maps) == FLINK


def test_others_who_write_it(server: ApiServer, maps: Any, database: Database) -> None:
    target = level_target_of(settings(server), "k8s.flink.orders")
    read, version = target.read()
    maps.patch_namespaced_config_map(NAME, "flink", {"data": {KEY: FLINK + "# theirs\n"}})
    with pytest.raises(ConflictError, match="Others have changed ConfigMap"):
        target.write(read, version=version)
    levels = LogLevels(settings(server), database)
    levels.set("k8s.flink.orders/enrich", "root", "DEBUG", for_ms=60_000)
    maps.patch_namespaced_config_map(NAME, "flink", {"data": {KEY: FLINK}})
    with pytest.raises(ConflictError, match="it is left as it is"):
        levels.reset("k8s.flink.orders/enrich")
    assert text(maps) == FLINK


def test_accounts_and_maps_that_are_not_there(server: ApiServer, maps: Any, database: Database) -> None:
    denied = LogLevels(settings(server, "nobody"), database)
    with pytest.raises(DeniedError, match=rf'verbs \["get", "patch"\] .* resourceNames \["{NAME}"\]'):
        denied.set("k8s.flink.orders/enrich", "root", "DEBUG", for_ms=60_000)
    with pytest.raises(NotFoundError, match="has no ConfigMap flink-config-other in namespace flink"):
        LogLevels(settings(server), database).set("k8s.flink.other/x", "root", "DEBUG", for_ms=60_000)
    server.allow(["configmaps"], ["get", "patch"], namespace="flink", names=[NAME])
    denied.set("k8s.flink.orders/enrich", "root", "DEBUG", for_ms=60_000)
    denied.reset("k8s.flink.orders/enrich")
    assert text(maps) == FLINK
