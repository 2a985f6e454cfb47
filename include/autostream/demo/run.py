"""The demonstration: a lakehouse is compacted by the hourly workflow, and an hour of it worked on once complete."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from autostream.demo.airflow import LocalAirflow, find_project
from autostream.demo.hours import complete_an_hour
from autostream.demo.measure import Figures, measure
from autostream.demo.seed import CATALOG, STREAMS, clear, open_demo_catalog, seed
from autostream.demo.timeline import Timeline
from autostream.errors import AutostreamError


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
        seconds: Wall time by phase: `seed`, `setup` of Airflow, `workflow`, `measure`, `hour`.
    """

    directory: Path
    changes: list[Change] = field(default_factory=list)
    hour: Timeline | None = None
    seconds: dict[str, float] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """The document of `autostream demo --json`."""
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
            "seconds": {phase: round(seconds, 3) for phase, seconds in self.seconds.items()},
        }


def demonstrate(directory: Path, *, report_progress: Callable[[str], None]) -> Demonstration:
    """Seeds the lakehouse anew, has Airflow compact it, measures before and after, and has an hour worked on.

    Raises:
        UsageError: The directory holds something else, or there is no checkout of the project.
        AutostreamError: The workflow failed, or a table's contents are not what they were.
    """
    demo = Demonstration(directory.resolve())
    airflow = LocalAirflow(demo.directory, find_project())
    clear(directory)
    with _timed(demo, "seed"):
        seed(directory, report_progress=lambda step: report_progress(f"seeding {step}"))
    report_progress("measuring the tables as they are")
    with _timed(demo, "measure"):
        before = _figures(directory)
    report_progress(f"making Airflow's database in {airflow.home}")
    with _timed(demo, "setup"):
        airflow.forget()
        airflow.prepare()
    report_progress("running the DAG lake_compaction")
    with _timed(demo, "workflow"):
        airflow.run_dag()
    report_progress("measuring the tables as they are now")
    with _timed(demo, "measure"):
        after = _figures(directory)
    demo.changes = [Change(table, before[table], after[table]) for table in before]
    if changed := [c.table for c in demo.changes if not c.before.same_contents(c.after)]:
        raise AutostreamError(
            f"The contents of {', '.join(changed)} changed by compaction, which must never happen: please report it, "
            f"with {demo.directory} as it is."
        )
    with _timed(demo, "hour"):
        demo.hour = complete_an_hour(airflow, report_progress=report_progress)
    return demo


def _figures(directory: Path) -> dict[str, Figures]:
    catalog = open_demo_catalog(directory)
    return {
        str(stream.name): measure(
            catalog.load_table(stream.name.identifier), columns=stream.columns, question=stream.question
        )
        for stream in STREAMS
    }


@contextmanager
def _timed(demo: Demonstration, phase: str) -> Iterator[None]:
    started = time.monotonic()
    yield
    demo.seconds[phase] = demo.seconds.get(phase, 0.0) + time.monotonic() - started
