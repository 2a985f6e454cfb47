"""`autostream flink metrics`: the figures of one job over time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from autostream import times
from autostream.cli.grid import LABEL, NUMBER, Column, show_grid
from autostream.cli.output import JsonOption, emit
from autostream.cli.terminal import Part, note, say
from autostream.sizes import format_size
from autostream.times import describe_length, parse_instant, parse_length

if TYPE_CHECKING:
    from autostream.telemetry.figures import Figure
    from autostream.telemetry.job_metrics import JobMetrics


def metrics(
    job: Annotated[str, typer.Argument(metavar="JOB", help="CLUSTER/NAME, such as prod/orders-enrich.")],
    since: Annotated[
        str, typer.Option("--since", metavar="LENGTH|T", help="How far back, such as 24h, or a point in time.")
    ] = "24h",
    until: Annotated[str | None, typer.Option("--until", metavar="T", help="Up to when. Default: now.")] = None,
    figure: Annotated[
        list[str] | None, typer.Option("--figure", metavar="NAME", help="Only this figure; may be repeated.")
    ] = None,
    vertex: Annotated[
        str | None,
        typer.Option("--vertex", metavar="NAME|ID", help="Of this vertex; the beginning of its name is enough."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Show the figures of a Flink job over time, as `autostream flink watch` has sampled them.

    Samples of the last days are shown as they were taken, older ones in steps of 15 minutes. docs/metrics.md says what
    each figure is. With --json or --output csv each sample is printed. Exit code 4: there are no samples of that time.
    """
    import autostream
    from autostream.errors import NotReadyError

    found = autostream.flink_metrics(job, since=_since_ms(since), until=until, figures=figure or (), vertex=vertex)
    emit(found.to_dict(), as_json=as_json, rows="samples", render=lambda: _render(found))
    if not found.samples:
        raise typer.Exit(NotReadyError.exit_code)


def _since_ms(text: str) -> int:
    """Return an instant that is written as one, or as how long ago it was."""
    from autostream.errors import UsageError

    try:
        return times.now_ms() - parse_length(text)
    except UsageError:
        return parse_instant(text)


def _render(found: JobMetrics) -> None:
    if not found.samples:
        state = f" It is {found.record.state}." if found.record else ""
        say(f"There are no samples of {found.job} of that time.{state}")
        return
    what = f"{found.job}" if found.vertex is None else f"{found.job}, {found.vertex.name}"
    covered = sum(sample.at_ms - sample.from_ms for sample in found.samples)
    say((what, "bold"), f": {len(found.samples)} samples, {describe_length(covered)} covered")
    rows = list(_rows(found))
    if rows:
        columns = [
            Column("figure", LABEL),
            *(Column(name, NUMBER) for name in ("last", "mean, sum", "smallest", "largest")),
        ]
        show_grid(columns, rows)
    for name, why in found.missing.items() if found.vertex is None else ():
        note((f"{name}: {why}", "dim"))


def _rows(found: JobMetrics) -> Sequence[list[Part]]:
    from autostream.telemetry.figures import JOB_FIGURES, VERTEX_FIGURES, Rollup

    known = JOB_FIGURES if found.vertex is None else VERTEX_FIGURES
    rows: list[list[Part]] = []
    for name, figure in known.items():
        points = []
        for sample in found.samples:
            figures, largest = found.values(sample) or ({}, {})
            if name in figures:
                length = max(sample.at_ms - sample.from_ms, 1)
                points.append((length, figures[name], largest.get(name, figures[name])))
        if points:
            total = sum(value for _, value, _ in points)
            mean = sum(length * value for length, value, _ in points) / sum(length for length, _, _ in points)
            smallest, largest_value = min(value for _, value, _ in points), max(most for _, _, most in points)
            together = total if figure.rollup is Rollup.SUM else mean
            numbers = (points[-1][1], together, smallest, largest_value)
            rows.append([name, *(_shown(figure, number) for number in numbers)])
    return rows


def _shown(figure: Figure, value: float) -> str:
    from autostream.telemetry.figures import Unit

    if figure.unit is Unit.BYTES:
        return format_size(value)
    if figure.unit is Unit.SHARE:
        return f"{value:.1%}"
    if figure.unit is Unit.MILLISECONDS:
        return describe_length(round(value))
    return f"{value:,.4g}" if abs(value) < 10_000 else f"{value:,.0f}"
