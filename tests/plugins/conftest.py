"""Airflow, imported with a home of its own, and a lake of small upsert tables."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

# Before anything imports airflow: it makes its home when it is imported.
os.environ["AIRFLOW_HOME"] = str(Path(__file__).parents[2] / ".pytest_cache" / "airflow")

import pyarrow as pa
import pytest
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.schema import Schema
from pyiceberg.table import Table
from pyiceberg.types import LongType, NestedField, StringType

from autostream.demo.writer import Changes, UpsertWriter

SCHEMA = Schema(
    NestedField(1, "id", LongType(), required=True),
    NestedField(2, "value", StringType()),
    identifier_field_ids=[1],
)


@pytest.fixture
def make_table(lake: SqlCatalog) -> Callable[..., Table]:
    """Makes `lake.db.NAME`, enabled, with so many checkpoints of ten upserts, all of the same keys."""

    def make(name: str, *, checkpoints: int = 12, key: tuple[str, ...] = ("id",), **properties: str) -> Table:
        enabled = {"format-version": "2", "autostream.compaction.enabled": "true"}
        table = lake.create_table(("db", name), SCHEMA, properties=enabled | properties)
        writer = UpsertWriter(table)
        for checkpoint in range(checkpoints):
            rows = [{"id": key, "value": f"{checkpoint}"} for key in range(10)]
            writer.checkpoint(Changes(key, upserts=pa.Table.from_pylist(rows)))
        return table

    return make


class FakeTaskInstance:
    """The part of a task instance that operators use: XComs of this task and of others."""

    def __init__(self, *, try_number: int = 1, max_tries: int = 2) -> None:
        self.try_number = try_number
        self.max_tries = max_tries
        self.pushed: dict[str, Any] = {}
        self.others: dict[tuple[str, str, int | None], Any] = {}

    def xcom_push(self, key: str, value: Any) -> None:
        self.pushed[key] = value

    def xcom_pull(self, *, task_ids: str, key: str = "return_value", map_indexes: int | None = None) -> Any:
        return self.others.get((task_ids, key, map_indexes))


class FakeStore(dict[str, Any]):
    """The part of Airflow's task state store that operators use."""

    def set(self, key: str, value: Any) -> None:
        self[key] = value

    def delete(self, key: str) -> None:
        self.pop(key, None)


@pytest.fixture
def context() -> dict[str, Any]:
    """What Airflow gives to a task of a run without params."""
    return {
        "params": {"tables": [], "where": None, "dry_run": False, "options": {}},
        "ti": FakeTaskInstance(),
        "task_state_store": FakeStore(),
    }
