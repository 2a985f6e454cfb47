"""`autostream flink log-level`: levels of loggers, changed for a while, reset, and listed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from autostream import times
from autostream.cli.grid import LABEL, NAME, TEXT, Column, show_grid
from autostream.cli.output import JsonOption, emit
from autostream.cli.terminal import say
from autostream.errors import UsageError
from autostream.spelling import counted
from autostream.times import describe_length, parse_length

if TYPE_CHECKING:
    from collections.abc import Sequence

    from autostream.diagnosis.level_changes import LevelChange


def change_log_level(
    job: Annotated[
        str | None,
        typer.Argument(metavar="[JOB]", help="CLUSTER/NAME. All jobs of the cluster have the same log configuration."),
    ] = None,
    logger: Annotated[
        str | None,
        typer.Argument(metavar="[LOGGER]", help="A class or a package, such as org.apache.iceberg, or root."),
    ] = None,
    level: Annotated[str | None, typer.Argument(metavar="[LEVEL]", help="DEBUG, TRACE, INFO and so on.")] = None,
    length: Annotated[
        str, typer.Option("--for", metavar="LENGTH", help="After how long it is reset, such as 15m; 24h at most.")
    ] = "15m",
    reset: Annotated[
        bool, typer.Option("--reset", help="Reset the logger now; without LOGGER, all that are changed.")
    ] = False,
    forget: Annotated[
        bool,
        typer.Option("--forget", help="With --reset: leave the configuration, which others have written, as it is."),
    ] = False,
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why, for the journal.")] = "",
    as_json: JsonOption = False,
) -> None:
    """Change the level of a logger for a while, without a restart; list what is changed.

    The cluster's processes watch their log configuration: a file (`log4j_file` of the cluster) or a ConfigMap of
    Kubernetes. `autostream flink watch` resets a level when its time is over, and so does the next call of this
    command. Exit code 3: others have written the configuration since; it is left as it is.
    """
    import autostream

    if forget and not reset:
        raise UsageError("--forget goes with --reset.")
    if reset:
        if job is None or level is not None:
            raise UsageError("Give JOB, and LOGGER where only one is meant: autostream flink log-level JOB --reset")
        chosen = [logger] if logger else []
        done = autostream.reset_log_levels(job, loggers=chosen, why=reason, forget=forget)
        document = {"reset": [change.to_dict() for change in done], "forgotten": forget}
        emit(document, as_json=as_json, rows="reset", render=lambda: _render_reset(done, forgotten=forget))
        return
    if logger is None:
        changes, problems = autostream.log_levels(job)
        document = {"changes": [change.to_dict() for change in changes], "problems": list(problems)}
        emit(document, as_json=as_json, rows="changes", render=lambda: _render_changes(changes, problems))
        if problems:
            raise typer.Exit(3)
        return
    if job is None or level is None:
        raise UsageError(f"Give the level of {logger}, too: autostream flink log-level JOB {logger} DEBUG --for 15m")
    found = autostream.set_log_level(job, logger, level, for_seconds=parse_length(length) / 1000, why=reason)

    def render() -> None:
        say(f"Changed in the {found.place}. The processes of the cluster see it within {found.seen_within_seconds} s.")
        _render_changes(found.changes, ())

    emit(found.to_dict(), as_json=as_json, rows="changes", render=render)


def _render_reset(done: Sequence[LevelChange], *, forgotten: bool) -> None:
    if not done:
        say("No level is changed.")
    elif forgotten:
        say(f"Forgotten: {counted(len(done), 'level')}. The configuration was not touched.")
    for change in () if forgotten else done:
        say(f"Reset: {change.logger}, from {change.level} to {change.before or 'no level of its own'}.")


def _render_changes(changes: Sequence[LevelChange], problems: Sequence[str]) -> None:
    for problem in problems:
        say(("error: ", "bold red"), problem)
    if not changes:
        say("No level is changed.")
        return
    now_ms = times.now_ms()
    columns = [Column("cluster", NAME), Column("logger", NAME), Column("level", LABEL), Column("before", LABEL)]
    show_grid(
        [*columns, Column("reset in", LABEL), Column("by", LABEL), Column("why", TEXT)],
        [
            [
                change.cluster,
                change.logger,
                change.level,
                change.before or "-",
                describe_length(max(change.until_ms - now_ms, 0)),
                change.by,
                change.why,
            ]
            for change in changes
        ],
    )
