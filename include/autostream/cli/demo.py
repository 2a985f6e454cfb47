"""`autostream demo`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from autostream.cli import interrupts
from autostream.cli.flink_health import show_report
from autostream.cli.grid import NAME, NUMBER, TEXT, Column, show_grid
from autostream.cli.output import JsonOption, emit, progress
from autostream.cli.terminal import say, say_whole
from autostream.sizes import format_size

if TYPE_CHECKING:
    from autostream.demo.run import Demonstration
    from autostream.demo.timeline import Timeline
    from autostream.health.health_report import HealthReport

app = typer.Typer()


@app.command()
def demo(
    directory: Annotated[
        Path, typer.Option(help="Where the lakehouse and Airflow's home are made; an earlier demo there is replaced.")
    ] = Path(".demo"),
    flink: Annotated[
        bool,
        typer.Option(
            "--flink",
            help="Instead, run three jobs on a real Flink for some minutes, and show how they are. Their samples are "
            "kept in DIRECTORY-flink.",
        ),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Seed a small lakehouse, compact it through Airflow, and have a workflow run for an hour that is complete.

    Then show how three stand-in Flink jobs are, with the reasons and fixes.
    """
    if flink:
        _show_real_fleet(directory.with_name(f"{directory.name}-flink"), as_json=as_json)
        return
    from autostream.demo.run import demonstrate

    interrupts.leave_behind(f"{directory} holds an unfinished demo. Run it again: it starts from the beginning.")
    with progress("demo") as report:
        done = demonstrate(directory, report_progress=report)
    emit(done.to_dict(), as_json=as_json, render=lambda: _render(done))


def _render(done: Demonstration) -> None:
    from autostream.demo.fleet import CONFIGURATION

    rows = [
        [
            change.table,
            f"{change.before.data_files} → {change.after.data_files}",
            f"{change.before.delete_files} → {change.after.delete_files}",
            f"{format_size(change.before.size_bytes)} → {format_size(change.after.size_bytes)}",
            f"{change.before.query_seconds * 1000:.0f} → {change.after.query_seconds * 1000:.0f} ms",
            f"{change.after.rows:,}",
            "the same",
        ]
        for change in done.changes
    ]
    headings = ("data files", "delete files", "size", "query", "rows", "contents")
    say()
    say("The DAG lake_compaction ran in Airflow on four tables with upserts:")
    say()
    show_grid([Column("table", NAME), *(Column(heading, NUMBER) for heading in headings)], rows)
    if done.hour is not None:
        _render_hour(done.hour)
    if done.fleet is not None:
        say()
        say("Flink jobs are judged, too. These three are stand-ins, with an hour of samples that were made up:")
        say()
        show_report(done.fleet)
    spent = ", ".join(f"{phase} {seconds:.0f} s" for phase, seconds in done.seconds.items())
    say()
    say((f"Took: {spent}.", "dim"))
    say()
    say("To look at the result:")
    say(
        "  make up                                 Airflow with this DAG and this lakehouse, to trigger it yourself",
        indent=42,
    )
    say_whole(f"  export PYICEBERG_HOME={done.directory}")
    say_whole(f"  {_command()} table inspect {done.changes[0].table}")
    say_whole(f"  {_command()} watermark get lake.shop.events")
    say_whole(f"  export AUTOSTREAM_CONFIG={done.directory / CONFIGURATION}")
    say_whole(f"  {_command()} flink health")
    say_whole(f"  {_command()} serve")
    say()


def _show_real_fleet(directory: Path, *, as_json: bool) -> None:
    from autostream.demo.fleet import CONFIGURATION
    from autostream.demo.real_fleet import VERSION, judge_real_fleet

    interrupts.leave_behind("Flink was stopped.")
    with progress("demo") as report:
        fleet = judge_real_fleet(directory, report_progress=report)
    configuration = directory.resolve() / CONFIGURATION
    emit(fleet.to_dict(), as_json=as_json, rows="jobs", render=lambda: _render_real(fleet, configuration, VERSION))


def _render_real(fleet: HealthReport, configuration: Path, version: str) -> None:
    say()
    say(f"Three jobs ran on Flink {version}. autostream sampled them over REST, and judged them by what it saw:")
    say()
    show_report(fleet)
    say()
    say("Flink has stopped. To look at the result, for an hour:")
    say_whole(f"  export AUTOSTREAM_CONFIG={configuration}")
    say_whole(f"  {_command()} flink metrics {fleet.jobs[0].record.job} --since 1h")
    say_whole(f"  {_command()} serve")
    say()


def _render_hour(hour: Timeline) -> None:
    say()
    say(
        f"Then a writer completed the hour {hour.hour} of {hour.table}. The DAG example_hourly_partition ran for "
        "exactly that hour, in Airflow with scheduler and triggerer:"
    )
    say()
    show_grid(
        [Column("after", NUMBER), Column("what", TEXT)], [[f"{seconds:.1f} s", what] for what, seconds in hour.steps()]
    )
    counted = ", ".join(f"{count} {kind}" for kind, count in sorted((hour.outcome or {}).items()))
    say()
    say(f"It counted {counted}: the events of that hour, with corrections applied.")


def _command() -> str:
    """Return this very `autostream`, as it can be typed here."""
    command = Path(sys.executable).with_name("autostream")
    return str(command.relative_to(Path.cwd())) if command.is_relative_to(Path.cwd()) else str(command)
