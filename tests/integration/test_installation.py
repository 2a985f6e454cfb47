"""What docs/installation.md says, done with nothing but the built wheel in fresh virtual environments."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.services import need_programs, skip

pytestmark = [pytest.mark.integration, pytest.mark.exhaustive, pytest.mark.slow]

ROOT = Path(__file__).parents[2]
GUIDE = ROOT / "docs" / "installation.md"
WORKFLOWS = {"lake_compaction", "lock_janitor", "watermark_publish"}
OURS = ("AUTOSTREAM_", "PYICEBERG_", "AIRFLOW", "COV_", "COVERAGE_", "PYTHON", "VIRTUAL_ENV")

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


class Environment:
    """A virtual environment with the wheel, and a home of its own."""

    def __init__(self, directory: Path, requirement: str) -> None:
        self.directory = directory
        kept = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
        self.environ = kept | {
            "HOME": str(directory / "home"),
            "UV_CACHE_DIR": subprocess.check_output(["uv", "cache", "dir"], text=True).strip(),
            "UV_SYSTEM_CERTS": os.environ.get("UV_SYSTEM_CERTS", "true"),
            "AIRFLOW_HOME": str(directory / "airflow"),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "PATH": f"{directory / 'venv/bin'}:{os.environ['PATH']}",
        }
        (directory / "home").mkdir(parents=True)
        python = directory / "venv" / "bin" / "python"
        for command in (
            ["uv", "venv", "-q", "--python", sys.executable, str(directory / "venv")],
            ["uv", "pip", "install", "-q", "--python", str(python), "-c", str(ROOT / "requirements.txt"), requirement],
        ):
            done = subprocess.run(command, env=self.environ, capture_output=True, text=True, timeout=900)
            if done.returncode:
                skip("an environment with the wheel", done.stderr)

    def run(self, *command: str, **variables: str) -> str:
        done = subprocess.run(
            command, env=self.environ | variables, cwd=self.directory, capture_output=True, text=True, timeout=600
        )
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
        return done.stdout

    def json(self, *command: str) -> list[dict[str, str]]:
        out = self.run(*command)
        rows: list[dict[str, str]] = json.loads(out[out.index("[{") :])
        return rows


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    need_programs("an environment with the wheel", "uv")
    directory = tmp_path_factory.mktemp("wheel")
    subprocess.run([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", directory], cwd=ROOT, check=True)
    (built,) = directory.glob("*.whl")
    return built


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
    copy = quoted("cp $WORKFLOWS/{lake_compaction,lock_janitor,watermark_publish}.py $AIRFLOW_HOME/dags/")
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
