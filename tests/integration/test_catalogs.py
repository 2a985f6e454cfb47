"""Scan, compaction and commits side by side through real catalog servers: Iceberg's REST server and PostgreSQL."""

import threading
import uuid
from collections.abc import Iterator

import pytest
from pyiceberg.catalog import Catalog, load_catalog
from pyiceberg.catalog.rest import RestCatalog

from autostream.lake.scan import scan_table
from tests.support import commands
from tests.support.lakes import BUCKETED, UNPARTITIONED, Orders, compact
from tests.support.reader import read_table
from tests.support.rows import assert_same_rows
from tests.support.services import rest_catalog

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def rest() -> Iterator[dict[str, str]]:
    with rest_catalog() as (url, warehouse):
        yield {"type": "rest", "uri": url, "warehouse": warehouse}


@pytest.fixture
def postgres(postgres_url: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return {"type": "sql", "uri": postgres_url, "warehouse": f"file://{tmp_path_factory.mktemp('warehouse')}"}


@pytest.fixture(params=["rest", "postgres"])
def served(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Catalog:
    """A catalog ``served`` that commands find too, and a namespace of the test's own."""
    properties = request.getfixturevalue(request.param)
    for key, value in properties.items():
        monkeypatch.setenv(f"PYICEBERG_CATALOG__SERVED__{key.upper()}", value)
    return load_catalog("served", **properties)


@pytest.fixture
def namespace(served: Catalog) -> str:
    name = f"ns_{uuid.uuid4().hex[:8]}"
    served.create_namespace(name)
    return name


@pytest.mark.parametrize(
    "spec",
    [
        pytest.param(UNPARTITIONED, id="unpartitioned", marks=pytest.mark.exhaustive),
        pytest.param(BUCKETED, id="bucketed"),
    ],
)
def test_compacts_and_scans(served: Catalog, namespace: str, spec: object) -> None:
    orders = Orders(served, f"{namespace}.t", spec=spec)  # type: ignore[arg-type]
    orders.checkpoint(6)
    name = f"served.{namespace}.t"
    done = commands.autostream("table", "compact", name, "--option", "rewrite-all=true", "--json")
    assert done.exit_code == 0, done.stderr
    assert done.document["status"] == "committed"
    assert done.document["after"]["equality_delete_files"] == done.document["after"]["position_delete_files"] == 0
    assert int(done.document["snapshot_id"]) == orders.load().current_snapshot().snapshot_id  # type: ignore[union-attr]
    assert_same_rows(read_table(orders.load()), orders.expected())
    orders.checkpoint()
    assert_same_rows(scan_table(orders.load()).to_batches(), orders.expected())
    counted = commands.autostream("table", "scan", name, "--count", "--json")
    assert counted.exit_code == 0, counted.stderr
    assert len(orders.expected()) in counted.document.values()


def test_a_writer_that_commits_first_is_not_undone(
    served: Catalog, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    orders = Orders(served, f"{namespace}.t", **{"commit.retry.min-wait-ms": "1"})
    orders.checkpoint(6)
    table = orders.load()
    commit_table = table.catalog.commit_table
    overtakes = iter([orders.checkpoint, orders.checkpoint])

    def overtaken(*args: object) -> object:
        if checkpoint := next(overtakes, None):
            checkpoint()
        return commit_table(*args)  # type: ignore[arg-type]

    # The compaction's catalog only: the writer has the other one, and commits between our attempts.
    own = load_catalog("served", **served.properties)
    orders.writer.table.catalog = own
    monkeypatch.setattr(table.catalog, "commit_table", overtaken)
    result = compact(table, f"served.{namespace}.t")
    assert result.status == "committed"
    assert next(overtakes, None) is None
    assert_same_rows(read_table(own.load_table(f"{namespace}.t")), orders.expected())


def test_two_compactions_at_once(served: Catalog, namespace: str) -> None:
    # The writer never rests: how often it is faster is a matter of the machine.
    orders = Orders(served, f"{namespace}.t", spec=BUCKETED, **{"commit.retry.num-retries": "30"})
    orders.checkpoint(6)
    name = f"served.{namespace}.t"
    args = ("table", "compact", name, "--option", "rewrite-all=true", "--json")
    both = [commands.start(*args), commands.start(*args)]
    stop = threading.Event()

    def write() -> None:
        while not stop.is_set():
            orders.checkpoint()

    writer = threading.Thread(target=write)
    writer.start()
    try:
        ends = [commands.finish(process) for process in both]
    finally:
        stop.set()
        writer.join()
    assert {end.exit_code for end in ends} <= {0, 3}, [end.stderr for end in ends]
    assert any(end.exit_code == 0 for end in ends)
    assert all(end.document["status"] in ("committed", "conflict") for end in ends)
    assert_same_rows(read_table(orders.load()), orders.expected())


def test_the_rest_server_is_iceberg_s_own(rest: dict[str, str]) -> None:
    assert isinstance(load_catalog("served", **rest), RestCatalog)
