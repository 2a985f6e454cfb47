"""The demonstration, all but Airflow itself: that runs in `make demo` and in tests/dags."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from autostream.cli import demo as command
from autostream.demo import run, seed
from autostream.demo.airflow import LocalAirflow, find_project
from autostream.demo.measure import Figures, measure
from autostream.demo.timeline import Timeline
from autostream.errors import AutostreamError, UsageError
from autostream.iceberg.state import read_state
from autostream.lake.compaction.compaction_options import CompactionOptions
from autostream.lake.compaction.table_compaction import compact_table

NAMES = ["lake.shop.orders", "lake.shop.users", "lake.shop.events", "lake.shop.payments"]


@pytest.fixture(autouse=True)
def _few_checkpoints(monkeypatch: pytest.MonkeyPatch) -> None:
    streams = tuple(replace(stream, checkpoints=4) for stream in seed.STREAMS)
    for module in (seed, run):
        monkeypatch.setattr(module, "STREAMS", streams)
    monkeypatch.setattr(run, "measure", partial(measure, repetitions=1))


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "demo"


@pytest.fixture
def airflow(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """In place of Airflow's processes: what was asked of them; the tables are compacted all the same."""
    asked: list[str] = []

    @contextmanager
    def started(airflow: LocalAirflow, dag_ids: Any, **variables: str) -> Iterator[LocalAirflow]:
        asked.append("started")
        yield airflow
        asked.append("stopped")

    def compact_lakehouse(airflow: LocalAirflow) -> None:
        asked.append("compact_lakehouse")
        catalog = seed.open_demo_catalog(airflow.directory)
        for stream in seed.STREAMS:
            table = catalog.load_table(stream.name.identifier)
            options = CompactionOptions.from_properties(table.properties, {"rewrite-all": "true"})
            compact_table(table, stream.name, options=options)

    def complete_an_hour(airflow: LocalAirflow, start: datetime, *, report_progress: Any) -> Timeline:
        asked.append("complete_an_hour")
        # What is written later belongs neither to what was before the compaction nor to what came of it.
        seed.write_more(airflow.directory, checkpoints=1)
        return Timeline(
            "lake.shop.events", "2026-11-23T01:00:00", 100.0, 105.0, 107.0, 108.5, 110.0, {"view": 2, "buy": 1}
        )

    monkeypatch.setattr(run, "complete_an_hour", complete_an_hour)
    monkeypatch.setattr(LocalAirflow, "forget", lambda self: asked.append("forget"))
    monkeypatch.setattr(LocalAirflow, "prepare", lambda self: asked.append("prepare"))
    monkeypatch.setattr(run, "started", started)
    monkeypatch.setattr(run, "compact_lakehouse", compact_lakehouse)
    return asked


def test_the_demo_shows_what_compaction_did(directory: Path, airflow: list[str]) -> None:
    done = CliRunner().invoke(command.app, ["--directory", str(directory), "--json"])
    assert done.exit_code == 0, done.output
    document = json.loads(done.stdout)
    assert [row["table"] for row in document["tables"]] == NAMES
    for row in document["tables"]:
        assert row["same_contents"]
        assert row["after"]["delete_files"] == 0 < row["before"]["delete_files"]
        assert row["after"]["data_files"] < row["before"]["data_files"]
        assert row["after"]["size_bytes"] < row["before"]["size_bytes"]
        assert row["after"]["rows"] == row["before"]["rows"] > 0
    assert set(document["seconds"]) == {"seed", "measure", "setup", "workflow", "hour", "fleet"}
    assert {job["job"] for job in document["fleet"]["jobs"]} == {
        "stand-in/orders-enrich",
        "stand-in/clicks-sessions",
        "stand-in/users-backfill",
    }
    assert document["hour"]["hour"] == "2026-11-23T01:00:00"
    assert document["hour"]["seconds"]["the workflow of the hour has started"] == 8.5
    assert airflow == ["forget", "prepare", "started", "compact_lakehouse", "complete_an_hour", "stopped"]


def test_the_demo_for_people_names_each_table_and_the_next_steps(directory: Path, airflow: list[str]) -> None:
    done = CliRunner().invoke(command.app, ["--directory", str(directory)], env={"COLUMNS": "40"})
    assert done.exit_code == 0, done.output
    assert [name for name in NAMES if name not in done.stdout] == []
    said = " ".join(done.stdout.split())
    assert "4 → 1" in said
    assert f"export PYICEBERG_HOME={directory}" in done.stdout
    assert "make up" in said
    assert "a writer completed the hour 2026-11-23T01:00:00 of lake.shop.events" in said
    assert "8.5 s the workflow of the hour has started" in said
    assert "It counted 1 buy, 2 view" in said
    assert "These three are stand-ins, with an hour of samples that were made up" in said
    assert "io-bound" in said


def test_contents_that_changed_are_a_failure(
    directory: Path, airflow: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Figures, "same_contents", lambda self, other: False)
    with pytest.raises(AutostreamError, match=r"Compaction changed the contents of lake\.shop\.orders, "):
        run.demonstrate(directory, report_progress=lambda step: None)


def test_an_airflow_of_an_earlier_lakehouse_is_forgotten(directory: Path) -> None:
    """It would know the hour already, and the hour would not be announced again."""
    airflow = LocalAirflow(directory, find_project())
    airflow.home.mkdir(parents=True)
    for name in ("airflow.db", "airflow.db-wal", "passwords.json"):
        (airflow.home / name).touch()
    (airflow.home / "logs" / "dag_id=x").mkdir(parents=True)
    airflow.forget()
    assert [file.name for file in airflow.home.iterdir()] == ["passwords.json"]


def test_a_foreign_directory_is_left_alone(tmp_path: Path, airflow: list[str]) -> None:
    (tmp_path / "catalog.db").write_text("mine")
    with pytest.raises(UsageError, match=r"is not empty, and the demo did not create it"):
        run.demonstrate(tmp_path, report_progress=lambda step: None)
    assert (tmp_path / "catalog.db").read_text() == "mine"
    assert airflow == []


def test_streams_go_on_after_compaction_and_a_new_demo_replaces_them(directory: Path, airflow: list[str]) -> None:
    first = run.demonstrate(directory, report_progress=lambda step: None)
    assert seed.is_seeded(directory)
    copy = directory.with_name("copy")
    copy.mkdir()
    for name in ("catalog.db", ".pyiceberg.yaml"):
        (copy / name).write_bytes((directory / name).read_bytes())
    assert not seed.is_seeded(copy)  # what is written to its tables is written to those of the original
    seed.write_more(directory, checkpoints=2)
    catalog = seed.open_demo_catalog(directory)
    for stream in seed.STREAMS:
        table = catalog.load_table(stream.name.identifier)
        assert len(table.metadata.snapshots) == stream.checkpoints + 1 + 1 + 2
        assert read_state(table).deletes
    second = run.demonstrate(directory, report_progress=lambda step: None)
    assert [change.before.checksum for change in first.changes] == [change.before.checksum for change in second.changes]


def test_the_payments_evolve(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seed, "STREAMS", (replace(seed.STREAMS[3], checkpoints=seed.EVOLVES_AT + 1),))
    seed.seed(directory)
    table = seed.open_demo_catalog(directory).load_table(("shop", "payments"))
    assert [field.name for field in table.schema().fields] == ["payment_id", "paid_at", "cents", "currency"]
    assert [len(spec.fields) for spec in table.specs().values()] == [0, 1]
    assert {file.partition[0] for file in read_state(table).data.values()} == {0, 1}


def test_figures_count_what_is_live(directory: Path) -> None:
    seed.seed(directory)
    catalog = seed.open_demo_catalog(directory)
    orders = seed.STREAMS[0]
    table = catalog.load_table(orders.name.identifier)
    snapshot = table.current_snapshot()
    assert snapshot is not None
    snapshots = [snapshot.parent_snapshot_id or 0, snapshot.snapshot_id]
    earlier, figures = measure(table, snapshots, columns=orders.columns, question=orders.question, repetitions=1)
    assert (earlier.data_files, earlier.delete_files) == (3, 6)
    assert (figures.data_files, figures.delete_files) == (4, 8)
    assert figures.same_contents(replace(figures, data_files=1, query_seconds=0.0))
    assert not figures.same_contents(replace(figures, checksum="0"))
    assert not figures.same_contents(replace(figures, rows=0))


def test_airflow_sees_the_lake_and_nothing_of_another_airflow(directory: Path) -> None:
    inherited = {
        "HOME": "/home/me",
        "AIRFLOW_HOME": "/other",
        "AIRFLOW__CORE__EXECUTOR": "X",
        "AUTOSTREAM_CONFIG": "/x",
    }
    environment = LocalAirflow(directory, find_project()).environment(inherited)
    assert environment["HOME"] == "/home/me"
    assert environment["AIRFLOW_HOME"] == f"{directory}/airflow"
    assert "AIRFLOW__CORE__EXECUTOR" not in environment
    assert "AUTOSTREAM_CONFIG" not in environment
    connection: dict[str, Any] = json.loads(environment["AIRFLOW_CONN_LAKE"])
    assert connection == {"conn_type": "iceberg", "extra": seed.catalog_properties(directory)}
    assert Path(environment["AIRFLOW__CORE__DAGS_FOLDER"], "lake_compaction.py").exists()


def test_commands_of_other_terminals_find_the_airflow(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    airflow = LocalAirflow(directory / "it's here", find_project())
    monkeypatch.setattr(LocalAirflow, "run", lambda self, *arguments: "")
    airflow.prepare()
    shown = subprocess.run(
        ["bash", "-c", 'source "$1" && env', "bash", airflow.exports], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    expected = airflow.environment({})
    assert [line for line in shown if line.startswith("AIRFLOW_CONN_LAKE=")] == [
        f"AIRFLOW_CONN_LAKE={expected['AIRFLOW_CONN_LAKE']}"
    ]
    assert f"AIRFLOW_HOME={airflow.home}" in shown
    assert [line for line in shown if line.startswith(f"PATH={Path(sys.executable).parent}:")]
    assert airflow.exports.stat().st_mode & 0o077 == 0


def test_two_demos_do_not_share_a_directory(directory: Path, airflow: list[str]) -> None:
    with (
        LocalAirflow(directory, find_project()).alone(),
        pytest.raises(UsageError, match=r"Another `make demo` or `make up` uses"),
    ):
        run.demonstrate(directory, report_progress=lambda step: None)
    assert airflow == []
    with LocalAirflow(directory, find_project()).alone():
        pass


def test_an_airflow_command_that_fails_says_how_it_ended(directory: Path) -> None:
    airflow = LocalAirflow(directory, find_project())
    airflow.home.mkdir(parents=True)
    with pytest.raises(
        AutostreamError, match=r"`airflow no-such-command` failed with exit code 2. Its output, in .*, ends with:\n"
    ) as raised:
        airflow.run("no-such-command")
    assert str(airflow.home / "failed-command.log") in str(raised.value)
    assert "no-such-command" in (airflow.home / "failed-command.log").read_text()


def test_without_a_checkout_there_is_no_demo(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from autostream.demo import airflow

    monkeypatch.setattr(airflow, "__file__", str(tmp_path / "a" / "b" / "c" / "airflow.py"))
    with pytest.raises(UsageError, match="The demo needs a checkout"):
        find_project()
