"""`autostream flink diagnose`: why a job is slow, stuck or failing, part by part."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from autostream.cli.grid import NAME, NUMBER, Column, show_grid
from autostream.cli.output import JsonOption, emit, progress
from autostream.cli.terminal import note, say
from autostream.errors import AutostreamError
from autostream.findings import Severity

if TYPE_CHECKING:
    from autostream.diagnosis.diagnosing import JobDiagnosis, Part

_STYLES: Final = {Severity.ERROR: "bold red", Severity.WARNING: "yellow", Severity.INFO: "blue", Severity.OK: "green"}
_TITLES: Final = {
    "exceptions": "Failures by root cause",
    "back-pressure": "Back pressure",
    "skew": "Skew",
    "checkpoints": "Checkpoint",
    "watermarks": "Watermarks",
    "threads": "Threads",
    "logs": "Logs",
    "flame-graph": "Flame graph",
}


def show_diagnosis(
    job: Annotated[str, typer.Argument(metavar="JOB", help="CLUSTER/NAME, such as prod/orders-enrich.")],
    part: Annotated[
        list[str] | None,
        typer.Option(
            "--part",
            metavar="PART",
            help="Only this: exceptions, back-pressure, skew, checkpoints, watermarks, threads, logs or flame-graph; "
            "may be repeated. Default: all but flame-graph.",
        ),
    ] = None,
    job_id: Annotated[
        str | None,
        typer.Option("--job-id", metavar="ID", help="Which of several jobs of this name; its beginning is enough."),
    ] = None,
    checkpoint: Annotated[
        int | None,
        typer.Option(
            "--checkpoint", metavar="ID", help="Take this checkpoint apart. Default: the one that tells most."
        ),
    ] = None,
    flame_graph: Annotated[
        Path | None,
        typer.Option(
            "--flame-graph", metavar="FILE.svg", help="Sample the tasks, and write a flame graph to this file."
        ),
    ] = None,
    flame_kind: Annotated[
        str, typer.Option("--flame-kind", metavar="KIND", help="What to sample: full, on_cpu or off_cpu.")
    ] = "full",
    profile: Annotated[
        Path | None,
        typer.Option("--profile", metavar="FILE.html", help="Run the async-profiler, and write its page to this file."),
    ] = None,
    profile_mode: Annotated[
        str, typer.Option("--profile-mode", metavar="MODE", help="What to profile: CPU, ALLOC, LOCK, WALL or ITIMER.")
    ] = "CPU",
    profile_seconds: Annotated[
        int, typer.Option("--profile-seconds", metavar="SECONDS", help="For how long to profile.")
    ] = 30,
    task_manager: Annotated[
        str | None,
        typer.Option(
            "--task-manager", metavar="ID", help="Which task manager to profile. Default: the job's first one."
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Find out why a job is slow, stuck or failing: who is the bottleneck, what fails, who waits for whom.

    Flink is asked while the job runs; the job stays as it is. What its version or configuration does not tell is said
    with the setting that would change that. Exit code 1: a part could not be read.
    """
    import autostream

    parts = list(part) if part else [] if (flame_graph or profile) else None
    if flame_graph is not None and parts is not None:
        parts.append("flame-graph")
    with progress(f"looking at {job}") as report:
        found = autostream.diagnose(
            job,
            job_id=job_id,
            parts=parts,
            checkpoint_id=checkpoint,
            flame_kind=flame_kind,
            report_progress=report,
        )
    document: dict[str, Any] = found.to_dict()
    if flame_graph is not None and (svg := found.flame_graph_svg) is not None:
        _write(flame_graph, svg.encode())
        document["flame_graph_file"] = str(flame_graph)
    if profile is not None:
        with progress(f"profiling {job} for {profile_seconds} s") as report:
            report(profile_mode.upper())
            run, page = autostream.profile(
                job,
                job_id=found.life.job_id,
                task_manager_id=task_manager,
                mode=profile_mode.upper(),
                seconds=profile_seconds,
            )
        _write(profile, page)
        document["profile"] = {**run.to_dict(), "written_to": str(profile)}
    emit(document, as_json=as_json, render=lambda: _render(found, document))
    if any(one.unread for one in found.parts.values()):
        raise typer.Exit(1)


def _write(file: Path, content: bytes) -> None:
    try:
        file.write_bytes(content)
    except OSError as error:
        raise AutostreamError(f"Cannot write {file}: {error.strerror or error}. Choose another file.") from error


def _render(found: JobDiagnosis, document: dict[str, Any]) -> None:
    say((str(found.life.job), "bold"), f" is {found.life.state} ({found.life.job_id})")
    for name, part in found.parts.items():
        say((_TITLES[name], "bold"))
        _render_part(part)
        if name == "checkpoints" and part.figures:
            _render_checkpoint(part.figures)
        if name == "back-pressure" and part.figures:
            _render_vertices(part.figures)
    if "flame_graph_file" in document:
        note(("flame graph: ", "bold"), document["flame_graph_file"])
    if "profile" in document:
        note(("profile: ", "bold"), f"{document['profile']['written_to']} ({document['profile']['task_manager_id']})")


def _render_part(part: Part) -> None:
    for finding in part.findings:
        style = _STYLES[finding.severity]
        say("  ", (f"{finding.severity.value}: ", style), finding.reason, indent=4)
        if finding.remedy:
            say("    ", ("do: ", "bold"), finding.remedy, indent=6)
    for reason in part.unread:
        say("  ", ("not read: ", "yellow"), reason, indent=4)


def _render_vertices(figures: dict[str, Any]) -> None:
    def share(value: float | None) -> str:
        return "-" if value is None else f"{value:.0%}"

    show_grid(
        [
            Column("vertex", NAME),
            Column("subtasks", NUMBER),
            Column("busy at most", NUMBER),
            Column("in the mean", NUMBER),
            Column("waits at most", NUMBER),
        ],
        [
            [
                vertex["name"],
                str(vertex["parallelism"]),
                share(vertex["busy_max"]),
                share(vertex["busy_mean"]),
                share(vertex["back_pressured_max"]),
            ]
            for vertex in figures["vertices"]
        ],
    )


def _render_checkpoint(figures: dict[str, Any]) -> None:
    rows = []
    for vertex in figures["vertices"]:
        slowest = next((one for one in vertex["subtasks"] if one["index"] == vertex["slowest"]), None)
        if slowest is not None:
            parts = slowest["parts_ms"]
            rows.append([vertex["name"], str(slowest["index"]), *(f"{parts[name]:,}" for name in parts)])
    if rows:
        headings = ("start delay ms", "alignment ms", "sync ms", "async ms", "other ms")
        columns = [Column("vertex", NAME), Column("slowest", NUMBER), *(Column(name, NUMBER) for name in headings)]
        show_grid(columns, rows)
