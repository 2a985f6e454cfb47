"""The demonstration: a lakehouse is compacted by the hourly workflow, and an hour of it worked on once complete."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from autostream import times
from autostream.demo.airflow import DAG_ID, LocalAirflow, find_project
from autostream.demo.compaction import compact_lakehouse
from autostream.demo.fleet import show_fleet
from autostream.demo.hours import PUBLISHER, WORKFLOW, complete_an_hour, last_full_hour
from autostream.demo.measure import Figures, measure
from autostream.demo.seed import CATALOG, STREAMS, clear, open_demo_catalog, seed
from autostream.demo.session import started
from autostream.demo.timeline import Timeline
from autostream.errors import AutostreamError
from autostream.health.health_report import HealthReport

_WORKFLOWS = (DAG_ID, PUBLISHER, WORKFLOW)


@dataclass(frozen=True)
class Change:
    """What the workflow did to one table."""

    table: str
    before: Figures
    after: Figures


@dataclass
class Demonstration:
    """What was done and seen.

    Attributes:
        directory: Where the lakehouse and Airflow's home are.
        changes: One per table.
        hour: The way of an hour from its writer to the workflow that works on it.
        fleet: How three stand-in Flink jobs are.
        seconds: Wall time by phase: `seed`, `setup` of Airflow, `workflow`, `hour`, `measure`, `fleet`.
    """

    directory: Path
    changes: list[Change] = field(default_factory=list)
    hour: Timeline | None = None
    fleet: HealthReport | None = None
    seconds: dict[str, float] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return the document of `autostream demo --json`."""
        return {
            "directory": str(self.directory),
            "catalog": CATALOG,
            "tables": [
                {
                    "table": change.table,
                    "before": asdict(change.before),
                    "after": asdict(change.after),
                    "same_contents": change.before.same_contents(change.after),
                }
                for change in self.changes
            ],
            "hour": self.hour.to_dict() if self.hour else None,
            "fleet": self.fleet.to_dict() if self.fleet else None,
            "seconds": {phase: round(seconds, 3) for phase, seconds in self.seconds.items()},
        }


def demonstrate(directory: Path, *, report_progress: Callable[[str], None]) -> Demonstration:
    """Seeds the lakehouse again, has Airflow compact it and work on an hour, and measures what came of it.

    Raises:
        UsageError: The directory holds something else, or there is no checkout of the project.
        AutostreamError: A workflow failed, or a table's contents are not what they were.
    """
    demo = Demonstration(directory.resolve())
    airflow = LocalAirflow(demo.directory, find_project())
    with airflow.alone():
        _demonstrate(demo, airflow, report_progress=report_progress)
    return demo


def _demonstrate(demo: Demonstration, airflow: LocalAirflow, *, report_progress: Callable[[str], None]) -> None:
    directory = demo.directory
    clear(directory)
    with _timed(demo, "seed"):
        seed(directory, report_progress=lambda step: report_progress(f"seeding {step}"))
    before = _snapshots(directory)
    with ExitStack() as running:
        with _timed(demo, "setup"):
            report_progress(f"making Airflow's database in {airflow.home}")
            airflow.forget()
            airflow.prepare()
            report_progress("starting Airflow: API server, scheduler, DAG processor and triggerer")
            hour = last_full_hour()
            publish_from = {"AUTOSTREAM_WATERMARK__PUBLISH_FROM": hour.isoformat()}
            session = running.enter_context(started(airflow, _WORKFLOWS, **publish_from))
        report_progress(f"running the DAG {DAG_ID}")
        with _timed(demo, "workflow"):
            compact_lakehouse(session)
        after = _snapshots(directory)
        with _timed(demo, "hour"):
            demo.hour = complete_an_hour(session, hour, report_progress=report_progress)
        report_progress("stopping Airflow")
    report_progress("measuring the tables before and after the compaction")
    with _timed(demo, "measure"):
        demo.changes = list(_changes(directory, before, after))
    if changed := [c.table for c in demo.changes if not c.before.same_contents(c.after)]:
        raise AutostreamError(
            f"Compaction changed the contents of {', '.join(changed)}, which must never happen. Please report this, "
            f"and keep {demo.directory} as it is."
        )
    with _timed(demo, "fleet"):
        report_progress("judging three stand-in Flink jobs")
        demo.fleet = show_fleet(directory)


def _snapshots(directory: Path) -> dict[str, int]:
    """Return the current snapshot of each table."""
    catalog = open_demo_catalog(directory)
    tables = {stream.table: catalog.load_table(stream.name.identifier) for stream in STREAMS}
    return {name: table.current_snapshot().snapshot_id for name, table in tables.items()}  # type: ignore[union-attr]


def _changes(directory: Path, before: Mapping[str, int], after: Mapping[str, int]) -> Iterator[Change]:
    catalog = open_demo_catalog(directory)
    for stream in STREAMS:
        table = catalog.load_table(stream.name.identifier)
        snapshots = (before[stream.table], after[stream.table])
        yield Change(str(stream.name), *measure(table, snapshots, columns=stream.columns, question=stream.question))


@contextmanager
def _timed(demo: Demonstration, phase: str) -> Iterator[None]:
    started = times.monotonic()
    yield
    demo.seconds[phase] = demo.seconds.get(phase, 0.0) + times.monotonic() - started
