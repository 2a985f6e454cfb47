"""`autostream flink watch`: samples the jobs of all clusters, until it is stopped."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

import autostream
from autostream.cli.grid import NAME, NUMBER, TEXT, Column, show_grid
from autostream.cli.heartbeat import beating
from autostream.cli.interrupts import stopped_by_signals
from autostream.cli.output import JsonOption, emit
from autostream.errors import ConfigurationError, UsageError
from autostream.times import parse_length

if TYPE_CHECKING:
    from autostream.telemetry.collecting import ClusterTally


def watch(
    length: Annotated[
        str | None,
        typer.Option("--for", metavar="LENGTH", help="End after this long, such as 10m. Default: on SIGTERM."),
    ] = None,
    interval: Annotated[
        str | None,
        typer.Option("--interval", metavar="LENGTH", help="Time between looks. Default: telemetry.interval_seconds."),
    ] = None,
    heartbeat: Annotated[
        Path | None,
        typer.Option("--heartbeat", metavar="FILE", help="Touch this file every second, for health checks."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Sample what the Flink jobs of all clusters use and do, into the database.

    Flink and its jobs stay as they are. Several of these may run: each cluster is looked at by one of them, and another
    one takes over where that ends. Notices that are due are sent meanwhile, and log levels are reset whose time is
    over. Exit code 1: a cluster could not be looked at even once.
    """
    from autostream.config import load_settings
    from autostream.diagnosis.level_sweep import levels_reset_when_due
    from autostream.store.database import open_database
    from autostream.telemetry.collecting import Collector

    settings = load_settings()
    if not (settings.flink.clusters or settings.flink.kubernetes or settings.telemetry.prometheus):
        raise ConfigurationError(
            "There is nothing to watch: no Flink cluster is configured. Write [[flink.clusters]] with `name` and `url` "
            "into autostream.toml, or set AUTOSTREAM_FLINK__CLUSTERS__PROD__URL=http://jobmanager:8081."
        )
    collector = Collector(
        settings.flink,
        settings.telemetry,
        open_database(settings.database),
        interval_seconds=None if interval is None else _interval_seconds(interval),
    )
    stop = threading.Event()
    seconds = None if length is None else parse_length(length) / 1000
    with (
        stopped_by_signals(stop),
        autostream.Lakehouse(settings=settings).delivering_notices(),
        levels_reset_when_due(settings.flink, open_database(settings.database)),
    ):
        collector.run(stop, seconds=seconds, on_step=beating(heartbeat))
    tallies = collector.tallies
    document = {"clusters": [_as_json(tally) for tally in tallies], "samples": sum(tally.samples for tally in tallies)}
    emit(document, as_json=as_json, rows="clusters", render=lambda: _render(tallies))
    if any(tally.failed and not tally.looks for tally in tallies):
        raise typer.Exit(1)


def _interval_seconds(text: str) -> int:
    seconds = parse_length(text) / 1000
    if not 5 <= seconds <= 900:
        raise UsageError(
            f"--interval cannot be {text}. Choose between 5s and 15min: Flink collects metrics every 10 s by default."
        )
    return round(seconds)


def _as_json(tally: ClusterTally) -> dict[str, Any]:
    return {
        "cluster": tally.cluster,
        "looks": tally.looks,
        "failed": tally.failed,
        "samples": tally.samples,
        "last_look_seconds": round(tally.seconds, 3),
        "problem": tally.problem,
    }


def _render(tallies: list[ClusterTally]) -> None:
    columns = [Column("cluster", NAME), Column("looks", NUMBER), Column("failed", NUMBER), Column("samples", NUMBER)]
    show_grid(
        [*columns, Column("problem", TEXT)],
        [[t.cluster, str(t.looks), str(t.failed), str(t.samples), (t.problem, "yellow")] for t in tallies],
    )
