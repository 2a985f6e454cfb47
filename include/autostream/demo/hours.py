"""The second half of the demonstration: a writer with event times completes an hour, and a workflow runs for it."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyiceberg.io.pyarrow import schema_to_pyarrow

from autostream import times
from autostream.demo.airflow import EVENTS
from autostream.demo.seed import NAMESPACE, open_demo_catalog
from autostream.demo.session import Session
from autostream.demo.timeline import Timeline, read_timeline
from autostream.demo.writer import Changes, UpsertWriter
from autostream.errors import AutostreamError
from autostream.times import to_ms
from autostream.watermark.changes import WriterReport, apply_reports
from autostream.watermark.partitions import HOUR_KEY
from autostream.watermark.publish import publish

TABLE = EVENTS
PUBLISHER = "watermark_publish"
WORKFLOW = "example_hourly_partition"

_HOUR = timedelta(hours=1)
_CHECKPOINT = timedelta(minutes=15)
EVENTS_A_CHECKPOINT = 500


class EventWriter:
    """What a Flink job in event time does to `lake.shop.events`: checkpoints of upserts, and a watermark after each.

    Args:
        directory: The demo's.
        start: The event time that it begins with.
    """

    def __init__(self, directory: Path, start: datetime) -> None:
        table = open_demo_catalog(directory).load_table((NAMESPACE, "events"))
        self._writer = UpsertWriter(table, job_id="demo-hours")
        self._schema = schema_to_pyarrow(table.schema())
        self._chance = random.Random(0)
        self.event_time = start
        self.events: dict[int, dict[str, Any]] = {}
        self.report()

    def checkpoint(self) -> float:
        """Write events of fifteen minutes; return when their watermark was in the table, epoch seconds."""
        rows = []
        for number in range(EVENTS_A_CHECKPOINT):
            # Numbers of our own, below those of the events that are there.
            event_id, at = -1 - len(self.events), self.event_time + number * _CHECKPOINT / EVENTS_A_CHECKPOINT
            if self.events and self._chance.random() < 0.2:  # one that is there is corrected
                event_id = -1 - self._chance.randrange(len(self.events))
                at = self.events[event_id]["event_time"]
            self.events[event_id] = {
                "event_id": event_id,
                "event_time": at,
                "kind": self._chance.choice(("view", "click", "buy")),
                "user_id": self._chance.randrange(30_000),
                "payload": f"{self._chance.getrandbits(128):032x}",
            }
            rows.append(self.events[event_id])
        upserts = pa.Table.from_pylist(rows, schema=self._schema)
        self._writer.checkpoint(Changes(("event_id", "event_time"), upserts=upserts))
        self.event_time += _CHECKPOINT
        return self.report()

    def report(self) -> float:
        """Record how far it has got; return when that was in the table, epoch seconds."""
        report = WriterReport("demo", to_ms(self.event_time), job_id="demo-hours")
        self._writer.table.refresh()
        publish(self._writer.table, lambda known: apply_reports(known, [report], now_ms=times.now_ms()))
        return times.now_ms() / 1000

    def kinds(self) -> dict[str, int]:
        """Return how many events of each kind there are."""
        return dict(Counter(event["kind"] for event in self.events.values()))


def last_full_hour() -> datetime:
    """Return when the last hour that is over has begun."""
    return times.now().replace(minute=0, second=0, microsecond=0) - _HOUR


def complete_an_hour(session: Session, start: datetime, *, report_progress: Callable[[str], None]) -> Timeline:
    """Has an hour completed in the demo's table, and watches the workflow of that hour run in Airflow.

    Args:
        session: Airflow, which publishes hours from `start` on.
        start: When the hour begins.
        report_progress: Told what is done.

    Raises:
        AutostreamError: The workflow failed, worked on other events than those of the hour, or did not run.
    """
    airflow, api, hour = session.airflow, session.api, start.strftime(HOUR_KEY)
    report_progress(f"writing events of the hour {hour} to {TABLE}")
    writer = EventWriter(airflow.directory, start)
    while writer.event_time < start + _HOUR / 2:
        writer.checkpoint()
    report_progress(f"waiting for {PUBLISHER} to watch the table")
    session.wait_until(lambda: api.knows(PUBLISHER) and api.knows(WORKFLOW))
    api.change(f"/dags/{WORKFLOW}", is_paused=False)
    # The first event of the watcher is of the hour before, which is not published.
    session.wait_until(lambda: any(_ran_for_event(run) for run in api.runs(PUBLISHER)))
    report_progress(f"completing the hour {hour}")
    while writer.event_time < start + _HOUR:
        published = writer.checkpoint()
    found: list[Timeline] = []

    def ended() -> bool:
        timeline = read_timeline(api, WORKFLOW, table=TABLE, hour=hour, published=published)
        found.extend([timeline] if timeline else [])
        return bool(found)

    session.wait_until(ended)
    if found[0].outcome != writer.kinds():
        raise AutostreamError(
            f"{WORKFLOW} counted {found[0].outcome} in the hour {hour}, but the right numbers are {writer.kinds()}. "
            f"Please report this, and keep {airflow.directory} as it is."
        )
    return found[0]


def _ran_for_event(run: dict[str, Any]) -> bool:
    return bool(run["run_type"] == "asset_triggered" and run["state"] == "success")
