"""A lake of connections: metastore, HDFS and ZooKeeper, all real, compacted by the operators as the team's account."""

import json
import uuid
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest

from autostream.demo.writer import Changes, UpsertWriter
from autostream.lake.compaction.workload import WorkItem
from autostream.lake.scan import scan_table
from autostream_airflow.hooks.catalog import CatalogHook
from autostream_airflow.hooks.webhdfs import WebHdfsHook
from autostream_airflow.operators.compaction import CompactionOperator
from autostream_airflow.operators.planning import PlanCompactionOperator
from tests.plugins.conftest import SCHEMA

if TYPE_CHECKING:
    from tests.support.hadoop import Hdfs, HiveMetastore, ZooKeeper

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.xdist_group("hadoop")]


@pytest.fixture(autouse=True)
def _no_connections() -> None:
    """There are some here, unlike in the other tests of operators."""


@pytest.fixture
def connections(
    hive_on_hdfs: "HiveMetastore", hdfs: "Hdfs", zookeeper: "ZooKeeper", monkeypatch: pytest.MonkeyPatch
) -> None:
    """The catalog `hadoop` by three connections; svc acts for alice."""
    lake = {
        "warehouse": hive_on_hdfs.warehouse,
        "autostream.lock.type": "zookeeper",
        "webhdfs_conn_id": "files",
        "zookeeper_conn_id": "locks",
        "proxy_user": "alice",
    }
    for name, connection in {
        "hadoop": {"conn_type": "hive_metastore", "host": hive_on_hdfs.uri, "login": "svc", "extra": lake},
        "files": {"conn_type": "webhdfs", "host": hdfs.webhdfs_url, "login": "svc"},
        "locks": {"conn_type": "zookeeper", "host": zookeeper.hosts, "extra": {"root": f"/{uuid.uuid4()}"}},
    }.items():
        monkeypatch.setenv(f"AIRFLOW_CONN_{name.upper()}", json.dumps(connection))


@pytest.mark.usefixtures("connections")
def test_a_table_is_compacted_and_its_files_are_the_teams(context: dict[str, Any], hdfs: "Hdfs") -> None:
    namespace = f"ns_{uuid.uuid4().hex[:12]}"
    catalog = CatalogHook("hadoop").get_conn()
    catalog.create_namespace(namespace)
    table = catalog.create_table((namespace, "orders"), SCHEMA, properties={"format-version": "2"})
    writer = UpsertWriter(table)
    for checkpoint in range(6):
        rows = [{"id": key, "value": f"{checkpoint}"} for key in range(10)]
        writer.checkpoint(Changes(("id",), upserts=pa.Table.from_pylist(rows)))
    name = f"hadoop.{namespace}.orders"

    context["params"] |= {"tables": [name], "options": {"rewrite-all": True}}
    (item,) = PlanCompactionOperator(task_id="plan").execute(context)
    (row,) = CompactionOperator(task_id="compact", item=item).execute(context)

    assert [part.table for part in WorkItem.from_dict(item).parts] == [name]
    assert (row["status"], row["before"]["data_files"], row["after"]["data_files"]) == ("committed", 6, 1)
    now = catalog.load_table((namespace, "orders"))
    assert sorted(scan_table(now).to_arrow()["value"].to_pylist()) == ["5"] * 10
    files = list(WebHdfsHook("files").get_conn().walk(now.location().removeprefix(hdfs.uri)))
    assert {file.owner for file in files} == {"alice"}
    assert len(files) > 6
