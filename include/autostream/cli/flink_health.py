"""`autostream flink health`: how jobs are, why, and what to change."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final

import typer

from autostream.cli.grid import LABEL, NAME, NUMBER, TEXT, Column, show_grid
from autostream.cli.output import JsonOption, emit
from autostream.cli.terminal import Part, note, say
from autostream.errors import NotReadyError, UsageError
from autostream.sizes import format_size
from autostream.times import parse_length

if TYPE_CHECKING:
    from autostream.health.health_changes import HealthChange
    from autostream.health.health_report import HealthReport
    from autostream.health.job_findings import JobFinding
    from autostream.health.job_health import JobHealth

_STYLES: Final = {"error": "bold red", "warning": "yellow", "info": "cyan"}
_LONGEST_MS: Final = 86_400_000


def show_health(
    job: Annotated[
        str | None, typer.Argument(metavar="JOB", help="CLUSTER/NAME, such as prod/orders-enrich. Default: all jobs.")
    ] = None,
    window: Annotated[
        str | None,
        typer.Option("--window", metavar="LENGTH", help="Over how long, such as 10m. Default: health.window_seconds."),
    ] = None,
    team: Annotated[str | None, typer.Option("--team", metavar="NAME", help="Only jobs of this team.")] = None,
    record: Annotated[
        bool,
        typer.Option("--record", help="Also write down how all jobs are, and send alerts, as the workflow does."),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Show how Flink jobs are: a score from 0 to 100, the reasons, and fixes with numbers.

    Jobs are judged by the samples that `autostream flink watch` has taken. docs/health.md explains each finding.
    Exit code 4: of the jobs that were asked for, none has a score.
    """
    import autostream

    if record and (job or team or window):
        raise UsageError("--record is about all jobs and the configured window. Leave JOB, --team and --window out.")
    report = autostream.health(job, team=team, window_seconds=_seconds(window), record=record)
    emit(report.to_dict(), as_json=as_json, rows="jobs", render=lambda: show_report(report, closely=job is not None))
    if all(one.score is None for one in report.jobs):
        raise typer.Exit(NotReadyError.exit_code)


def _seconds(window: str | None) -> int | None:
    if window is None:
        return None
    length_ms = parse_length(window)
    if not 1000 <= length_ms <= _LONGEST_MS:
        raise UsageError(f"Invalid --window {window}. Give a length from 1 s to 1 d, such as 10m.")
    return length_ms // 1000


def show_report(report: HealthReport, *, closely: bool = False) -> None:
    """Print how jobs are.

    Args:
        report: How they are.
        closely: Whether one of them was asked for: then all that is said of it.
    """
    if not report.jobs:
        say("There are no jobs to judge. `autostream flink watch` takes the samples that they are judged by.")
        return
    if not closely:
        columns = [Column("job", NAME), Column("team"), Column("score", NUMBER), Column("sure", NUMBER)]
        rows = [_row(job, report) for job in report.jobs]
        show_grid([*columns, Column("trend", LABEL), Column("since yesterday", NUMBER), Column("findings", TEXT)], rows)
    for job in report.jobs:
        if closely or any(finding.deduction for finding in job.findings):
            _render_job(job, report)
    if not closely:
        _render_teams(report)


def _row(job: JobHealth, report: HealthReport) -> list[Part]:
    change, name = report.changes.get(job.record.job), job.record.job
    return [
        str(name),
        job.record.team or "-",
        _score(job.score),
        f"{job.confidence:.0%}",
        report.trends.get(name, "-"),
        f"{change.score:+d}" if change and change.score is not None else "-",
        ", ".join(finding.id for finding in job.findings) or "-",
    ]


def _score(score: int | None) -> Part:
    if score is None:
        return "?"
    return str(score), "green" if score >= 80 else "yellow" if score >= 60 else "red"


def _render_job(job: JobHealth, report: HealthReport) -> None:
    say("")
    score = "no score" if job.score is None else f"{job.score} of 100"
    say((str(job.record.job), "bold"), f": {score}, {job.confidence:.0%} sure")
    if job.unknown:
        note((job.unknown, "dim"))
    for finding in job.findings:
        _render_finding(finding)
    change = report.changes.get(job.record.job)
    if change is not None and (said := _changed(change)):
        note((f"Since yesterday: {said}.", "dim"))


def _render_finding(finding: JobFinding) -> None:
    cost = f" -{finding.deduction:g}" if finding.deduction else ""
    say((f"{finding.id}{cost}", _STYLES.get(finding.severity.value, "")), f": {finding.reason}", indent=4)
    if finding.remedy:
        say(finding.remedy, indent=4)


def _changed(change: HealthChange) -> str:
    parts = [f"score {change.score:+d}"] if change.score else []
    parts += [f"new: {', '.join(change.began)}"] if change.began else []
    parts += [f"gone: {', '.join(change.ended)}"] if change.ended else []
    for name, (before, after) in change.resources.items():
        shown = [format_size(value) if name == "memory_bytes" else f"{value:g}" for value in (before, after)]
        parts.append(f"{name.removesuffix('_bytes').replace('_', ' ')} {shown[0]} → {shown[1]}")
    return "; ".join(parts)


def _render_teams(report: HealthReport) -> None:
    say("")
    columns = [Column("team", NAME), *(Column(name, NUMBER) for name in ("score", "jobs", "cores", "memory"))]
    scores = [*((team.team or "(none)", team) for team in report.teams), ("all", report.platform)]
    rows: list[list[Part]] = [
        [
            name,
            _score(team.score),
            str(team.jobs),
            f"{team.cpu_cores:g}",
            format_size(team.memory_bytes),
            f"{team.frees_cpu_cores:g} cores, {format_size(team.frees_memory_bytes)}",
        ]
        for name, team in scores
    ]
    show_grid([*columns, Column("fixes free", NUMBER)], rows)
