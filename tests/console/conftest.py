"""The console over a lake of one table, and what is recorded of that table's watermarks."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.schema import Schema
from pyiceberg.types import LongType, NestedField
from pyiceberg.utils.config import Config

from autostream.console.alone import create_app_alone
from autostream.watermark.changes import WatermarkChange, WriterReport, apply_reports
from autostream.watermark.history.publications import record_publication
from autostream.watermark.publish import publish
from tests.console.support import MINUTE, T0, Browser
from tests.support.clocks import FakeClock


@pytest.fixture
def configured(lake: SqlCatalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clock: FakeClock) -> SqlCatalog:
    """The lake with a table `db.t`, as the configuration of this process has it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("PYICEBERG_HOME", raising=False)
    monkeypatch.setattr("pyiceberg.catalog._ENV_CONFIG", Config())
    clock.ms = T0 + 30 * MINUTE
    lake.create_table("db.t", Schema(NestedField(1, "id", LongType())))
    return lake


@pytest.fixture
def client(configured: SqlCatalog) -> Iterator[Browser]:
    """A browser on this machine, of whose console no token was ever created."""
    with Browser(create_app_alone()) as client:
        yield client


@pytest.fixture
def change(lake: SqlCatalog) -> Callable[..., None]:
    def act(
        decide: Callable[..., WatermarkChange], *arguments: object, at: int = T0 + 20 * MINUTE, **more: object
    ) -> None:
        table = lake.load_table("db.t")
        done = publish(table, lambda properties: decide(properties, *arguments, now_ms=at, **more))
        record_publication(table, done.events)

    return act


@pytest.fixture
def filled(client: Browser, change: Callable[..., None]) -> Browser:
    reports = [WriterReport("fast", T0 + 10 * MINUTE), WriterReport("slow", T0, job_id="abc", note="idle since 15:00")]
    change(apply_reports, reports, at=T0 + 11 * MINUTE)
    return client
