"""What docs/installation.md says, done with nothing but the built wheel in fresh virtual environments."""

from pathlib import Path

import pytest

from tests.support.environments import ROOT, Environment, built_wheel

pytestmark = [pytest.mark.integration, pytest.mark.exhaustive, pytest.mark.slow]

GUIDE = ROOT / "docs" / "installation.md"
WORKFLOWS = {"deliver_notices", "flink_health", "lake_compaction", "lock_janitor", "watermark_publish"}

LIBRARY = """
import sys
from pathlib import Path

import autostream
from autostream.demo.seed import catalog_properties, clear, seed

directory = Path(sys.argv[1])
clear(directory)
seed(directory)
lakehouse = autostream.Lakehouse(catalogs={"lake": catalog_properties(directory)})
orders = lakehouse.table("lake.shop.orders")
rows = orders.scan().count()
result = orders.compact()
assert result.status == "committed", result.error
assert orders.scan().count() == rows > 0
assert "airflow" not in sys.modules
print(result.before.data_files, result.before.equality_delete_files, result.after.data_files, rows)
"""

EXPORTS = """
import json
import sys
from pathlib import Path

from autostream.demo.seed import catalog_properties

print(json.dumps({"conn_type": "iceberg", "extra": catalog_properties(Path(sys.argv[1]))}))
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return built_wheel(tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def plain(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    return Environment(tmp_path_factory.mktemp("plain"), str(wheel))


def quoted(command: str) -> str:
    """Return a command of the guide, which has to have it."""
    assert f"    {command}\n" in GUIDE.read_text()
    return command


def test_the_library_works_without_airflow(plain: Environment, tmp_path: Path) -> None:
    before, deletes, after, _ = map(int, plain.run("python", "-c", LIBRARY, str(tmp_path / "lake")).split())
    assert before > after
    assert deletes > 0
    assert "tables" in plain.run("autostream", "--help")


@pytest.mark.airflow
def test_airflow_knows_connections_plugin_and_workflows(
    wheel: Path, tmp_path_factory: pytest.TempPathFactory, tmp_path: Path
) -> None:
    airflow = Environment(tmp_path_factory.mktemp("installed"), f"{wheel}[airflow,console]")
    airflow.run("airflow", "db", "migrate")
    types = {
        row["connection_type"]: row["class"] for row in airflow.json("airflow", "providers", "hooks", "-o", "json")
    }
    assert "iceberg" in types
    for own in ("zookeeper", "hive_metastore", "webhdfs"):
        assert types[own].startswith("autostream_airflow.hooks.")
    (plugin,) = (row for row in airflow.json("airflow", "plugins", "-o", "json") if row["name"] == "autostream")
    assert plugin["source"].startswith("autostream==")

    (airflow.directory / "airflow" / "dags").mkdir()
    find = quoted("""WORKFLOWS=$(python -c 'import autostream_airflow; print(autostream_airflow.__path__[0])')/dags""")
    chosen = ",".join(sorted(WORKFLOWS))
    copy = quoted(f"cp $WORKFLOWS/{{{chosen}}}.py $AIRFLOW_HOME/dags/")
    pool = quoted('airflow pools set lake_compaction 2 "Work items of lake_compaction that run at a time"')
    airflow.run("bash", "-euc", f"{find}\n{copy}\n{pool}")
    airflow.run("airflow", "dags", "reserialize")
    assert {row["dag_id"] for row in airflow.json("airflow", "dags", "list", "-o", "json")} == WORKFLOWS
    assert "No data found" in airflow.run("airflow", "dags", "list-import-errors")

    lake = tmp_path / "lake"
    airflow.run("python", "-c", LIBRARY, str(lake))  # compacts orders; the workflow finds the other tables
    connection = airflow.run("python", "-c", EXPORTS, str(lake)).strip()
    shown = airflow.run(
        "airflow",
        "dags",
        "test",
        "lake_compaction",
        AIRFLOW_CONN_LAKE=connection,
        AUTOSTREAM_COMPACTION__CATALOGS="lake",
    )
    assert "lake.shop.events" in shown
    events = "import autostream; print(autostream.table('lake.shop.events').summary().delete_files)"
    assert airflow.run("python", "-c", events, PYICEBERG_HOME=str(lake)).strip() == "0"
