"""`autostream demo`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from autostream.cli.output import JsonOption, emit, output_console, progress
from autostream.resources import format_size

if TYPE_CHECKING:
    from rich.console import Console

    from autostream.demo.run import Demonstration
    from autostream.demo.timeline import Timeline

app = typer.Typer()


@app.command()
def demo(
    directory: Annotated[
        Path, typer.Option(help="Where the lakehouse and Airflow's home are made; an earlier demo there is replaced.")
    ] = Path(".demo"),
    as_json: JsonOption = False,
) -> None:
    """Seed a small lakehouse, compact it through Airflow, and have a workflow run for an hour that is complete."""
    from autostream.demo.run import demonstrate

    with progress("demo") as report:
        done = demonstrate(directory, report_progress=report)
    emit(done.to_dict(), as_json=as_json, render=lambda: _render(done))


def _render(done: Demonstration) -> None:
    from rich.table import Table

    console = output_console()
    console.width = max(console.width, 110)  # a table whose names are cut says nothing; let a narrow terminal wrap it
    table = Table("table", box=None, pad_edge=False)
    for heading in ("data files", "delete files", "size", "query", "rows", "contents"):
        table.add_column(heading, justify="right", no_wrap=True)
    for change in done.changes:
        before, after = change.before, change.after
        table.add_row(
            change.table,
            f"{before.data_files} → {after.data_files}",
            f"{before.delete_files} → {after.delete_files}",
            f"{format_size(before.size_bytes)} → {format_size(after.size_bytes)}",
            f"{before.query_seconds * 1000:.0f} → {after.query_seconds * 1000:.0f} ms",
            f"{after.rows:,}",
            "the same",
        )
    console.print("\nThe DAG lake_compaction ran in Airflow on four tables that jobs had upserted into:\n")
    console.print(table)
    if done.hour is not None:
        _render_hour(console, done.hour)
    spent = ", ".join(f"{phase} {seconds:.0f} s" for phase, seconds in done.seconds.items())
    console.print(f"\nTook: {spent}.", style="dim")
    console.print(
        f"""
See for yourself:
  make up                                 Airflow with this DAG and this lakehouse, to trigger it by hand
  export PYICEBERG_HOME={done.directory}
  {_command()} table inspect {done.changes[0].table}
  {_command()} watermark get lake.shop.events
""",
        soft_wrap=True,
    )


def _render_hour(console: Console, hour: Timeline) -> None:
    from rich.table import Table

    console.print(
        f"\nThen a writer completed the hour {hour.hour} of {hour.table}, and the DAG example_hourly_partition ran for "
        "exactly that hour, in Airflow with scheduler and triggerer:\n",
        soft_wrap=True,
    )
    table = Table.grid(padding=(0, 2))
    table.add_column(justify="right")
    for what, seconds in hour.steps():
        table.add_row(f"{seconds:.1f} s", what)
    console.print(table)
    counted = ", ".join(f"{count} {kind}" for kind, count in sorted((hour.outcome or {}).items()))
    console.print(f"\nIt counted {counted}: the events of that hour, corrections applied.", soft_wrap=True)


def _command() -> str:
    """This very `autostream`, as it can be typed here."""
    command = Path(sys.executable).with_name("autostream")
    return str(command.relative_to(Path.cwd())) if command.is_relative_to(Path.cwd()) else str(command)
