"""`autostream flink`: the jobs of all clusters, whose they are, and how one of them is set up and fares."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Annotated, Final, TypeVar

import typer

from autostream import times
from autostream.cli import flink_diagnose, flink_health, flink_log_level, flink_metrics, flink_watch
from autostream.cli.grid import NAME, NUMBER, TEXT, Column, show_grid
from autostream.cli.output import JsonOption, emit, is_watched, print_error
from autostream.cli.terminal import Part, note, say, start_anew
from autostream.errors import AutostreamError, ConfigurationError, UsageError
from autostream.sizes import format_size
from autostream.spelling import one_of
from autostream.times import describe_length, iso

if TYPE_CHECKING:
    from autostream.flink.fleet import Fleet
    from autostream.flink.fleet_jobs import FleetListing
    from autostream.flink.job_report import CheckpointReport, JobReport
    from autostream.flink.kubernetes_objects import Deployment
_PLATFORMS: Final = {"kubernetes": "Kubernetes", "yarn": "YARN"}

_Seen = TypeVar("_Seen")

app = typer.Typer(no_args_is_help=True)

_STATE_STYLES: Final = {"RUNNING": "green", "FAILED": "bold red", "FAILING": "red", "RESTARTING": "yellow"}


def complete_job(incomplete: str) -> list[str]:
    """Return the jobs whose names begin so; whatever fails completes nothing."""
    try:
        found = {str(job.job) for job in _fleet().jobs().jobs}
        return sorted(name for name in found if name.startswith(incomplete))
    except Exception:
        return []


def complete_cluster(incomplete: str) -> list[str]:
    """Return the clusters whose names begin so; whatever fails completes nothing."""
    try:
        return [name for name in _fleet().clusters().found if name.startswith(incomplete)]
    except Exception:
        return []


JobArgument = Annotated[
    str,
    typer.Argument(metavar="JOB", help="CLUSTER/NAME, such as prod/orders-enrich.", autocompletion=complete_job),
]
WatchOption = Annotated[bool, typer.Option("--watch", help="Show it again and again on the terminal, until Ctrl-C.")]
IntervalOption = Annotated[
    float, typer.Option("--interval", metavar="SECONDS", min=1.0, help="Time between two looks of --watch.")
]
ClustersOption = Annotated[
    list[str] | None,
    typer.Option(
        "--cluster", metavar="NAME", help="Only jobs of this cluster; may be repeated.", autocompletion=complete_cluster
    ),
]
TeamsOption = Annotated[
    list[str] | None, typer.Option("--team", metavar="NAME", help="Only jobs of this team; may be repeated.")
]


@app.command()
def jobs(
    cluster: ClustersOption = None,
    team: TeamsOption = None,
    without_team: Annotated[
        bool, typer.Option("--without-team", help="Only jobs without a team; with --team, those as well.")
    ] = False,
    state: Annotated[
        list[str] | None,
        typer.Option("--state", metavar="STATE", help="Only jobs in this state, such as RUNNING; may be repeated."),
    ] = None,
    ended: Annotated[
        bool,
        typer.Option("--all", help="Also earlier lives of jobs, as long as their cluster remembers them."),
    ] = False,
    watch: WatchOption = False,
    interval: IntervalOption = 5.0,
    as_json: JsonOption = False,
) -> None:
    """List the Flink jobs of all clusters with their teams, owners and states.

    Of a job that has ended and was not started again its last state is shown. Exit code 1: a cluster could not be
    asked; the jobs of the others are listed.
    """
    fleet = _fleet()
    states = [_state(word) for word in state or ()]

    def look() -> FleetListing:
        return fleet.jobs(
            clusters=cluster or (), teams=team or (), states=states, without_team=without_team, ended=ended
        )

    if watch:
        _keep_showing(look, lambda seen: _render_jobs(seen, ended=ended), seconds=interval, as_json=as_json)
    listing = look()
    emit(listing.to_dict(), as_json=as_json, rows="jobs", render=lambda: _render_jobs(listing, ended=ended))
    if listing.errors:
        raise typer.Exit(1)


@app.command()
def show(
    job: JobArgument,
    job_id: Annotated[
        str | None,
        typer.Option("--job-id", metavar="ID", help="Which of several jobs of this name; its beginning is enough."),
    ] = None,
    watch: WatchOption = False,
    interval: IntervalOption = 5.0,
    as_json: JsonOption = False,
) -> None:
    """Show how a job is set up and how it fares: vertices, attempts, task managers, slots and checkpoints."""
    fleet = _fleet()

    def look() -> JobReport:
        return fleet.show(job, job_id=job_id)

    if watch:
        _keep_showing(look, _render_report, seconds=interval, as_json=as_json)
    report = look()
    emit(report.to_dict(), as_json=as_json, render=lambda: _render_report(report))


app.command("diagnose")(flink_diagnose.show_diagnosis)
app.command("log-level")(flink_log_level.change_log_level)
app.command("metrics")(flink_metrics.metrics)
app.command("watch")(flink_watch.watch)
app.command("health")(flink_health.show_health)


def _fleet() -> Fleet:
    """Return the fleet of the configuration.

    Raises:
        ConfigurationError: No Flink cluster is configured.
    """
    import autostream

    fleet = autostream.flink()
    if not fleet.configured:
        raise ConfigurationError(
            "No Flink cluster is configured. Add `[[flink.clusters]]` with `name` and `url`, or `[[flink.kubernetes]]` "
            "with `name`, to autostream.toml. docs/jobs.md says how."
        )
    return fleet


def _state(word: str) -> str:
    from autostream.flink.job_states import DEPLOYMENT_STATES, JOB_STATES

    known = tuple(dict.fromkeys((*JOB_STATES, *DEPLOYMENT_STATES)))
    if word.upper() not in known:
        raise UsageError(f"Unknown state {word!r}. {one_of(word.upper(), known, 'There are')}")
    return word.upper()


def _keep_showing(look: Callable[[], _Seen], render: Callable[[_Seen], None], *, seconds: float, as_json: bool) -> None:
    """Show something again and again, until Ctrl-C; a look that fails is told, and the next one may not.

    Raises:
        UsageError: There is no terminal, or the output is not for people; or what is asked for cannot be.
    """
    if not is_watched(as_json=as_json):
        raise UsageError("--watch shows a table on a terminal. Run the command on a terminal, without --json or csv.")
    while True:
        try:
            seen = look()
            start_anew()
            render(seen)
        except UsageError:
            raise
        except AutostreamError as error:
            print_error(str(error))
        times.sleep(seconds)


def _render_jobs(listing: FleetListing, *, ended: bool) -> None:
    for one in listing.errors:
        print_error(f"cluster {one.cluster}: {one.error}")
    if not listing.jobs:
        say("No job matches." if not listing.errors else "The other clusters have no job that matches.")
        return
    now_ms = times.now_ms()
    rows: list[list[Part]] = [
        [
            job.team or ("(no team)", "yellow"),
            str(job.job),
            (job.state, _STATE_STYLES.get(job.state, "")),
            job.owner or "-",
            "-" if job.started_ms is None else describe_length(max(now_ms - job.started_ms, 0)),
            *([job.job_id] if ended else []),
            job.note,
        ]
        for job in listing.jobs
    ]
    columns = [Column("team"), Column("job", NAME), Column("state"), Column("owner"), Column("age", NUMBER)]
    show_grid([*columns, *([Column("job id")] if ended else []), Column("note", TEXT)], rows)
    without = sum(job.team is None for job in listing.jobs)
    states = ", ".join(f"{count} {state}" for state, count in Counter(job.state for job in listing.jobs).most_common())
    note((f"{states}." + (f" Without a team: {without}." if without else ""), "dim"))


def _render_report(report: JobReport) -> None:
    life, settings = report.life, report.settings
    age = f", for {describe_length(max(times.now_ms() - life.started_ms, 0))}" if life.started_ms is not None else ""
    say((str(life.job), "bold"), " is ", (life.state, _STATE_STYLES.get(life.state, "")), age)
    for name, text in _facts(report):
        say(f"  {name}: {text}", indent=4)
    if life.note:
        note(("warning: ", "yellow"), life.note)
    _render_vertices(report)
    _render_task_managers(report)
    if settings.parameters:
        say(("Parameters", "bold"))
        for key, value in sorted(settings.parameters.items()):
            say(f"  {key} = {value}", indent=4)
    if report.missing:
        say(("Not known", "bold"))
        for words in report.missing:
            say(f"  {words}", indent=4)


def _facts(report: JobReport) -> Iterator[tuple[str, str]]:
    life, settings = report.life, report.settings
    yield "team", life.team or "none"
    yield "owner", life.owner or "none"
    yield "job id", life.job_id
    place = f"{settings.deployment} cluster" if settings.deployment else ""
    if settings.platform in _PLATFORMS:
        place += f" on {_PLATFORMS[settings.platform]}"
    scheduler = f"{settings.scheduler} scheduler" if settings.scheduler else ""
    yield "Flink", ", ".join(filter(None, (settings.flink_version or "version unknown", place, scheduler)))
    if report.deployment is not None:
        yield "Kubernetes", _deployment(report.deployment)
    restarts = "unknown" if report.restarts is None else str(report.restarts)
    yield "restarts", restarts + (f"; strategy: {settings.restart_strategy}" if settings.restart_strategy else "")
    yield "state backend", settings.state_backend or "unknown"
    yield "checkpoints", _checkpointing(report)
    for name, checkpoint in (
        ("last completed", report.last_completed),
        ("last failed", report.last_failed),
        ("restored from", report.restored),
    ):
        if checkpoint is not None:
            yield name, _checkpoint(checkpoint)


def _deployment(deployment: Deployment) -> str:
    words = [f"{deployment.namespace}/{deployment.name}, {deployment.lifecycle}"]
    for asked, name in ((deployment.job_managers, "job manager"), (deployment.task_managers, "task manager")):
        cores = "" if asked.cpu_cores is None else f"{asked.cpu_cores:g} cores"
        memory = "" if asked.memory_bytes is None else format_size(asked.memory_bytes)
        replicas = "" if asked.replicas is None else f" ({asked.replicas} of them)"
        words.append(f"each {name} asks for {' and '.join(filter(None, (cores, memory))) or 'nothing'}{replicas}")
    return "; ".join(words)


def _checkpointing(report: JobReport) -> str:
    settings = report.settings
    if not settings.checkpointing:
        return "none are made periodically" if settings.checkpointing is False else "unknown"
    words = [f"every {describe_length(settings.checkpoint_interval_ms or 0)}"]
    if settings.checkpoint_timeout_ms is not None:
        words.append(f"time-out {describe_length(settings.checkpoint_timeout_ms)}")
    if settings.unaligned_checkpoints is not None:
        words.append("unaligned" if settings.unaligned_checkpoints else "aligned")
    if settings.checkpoints_retained is not None:
        words.append(f"{'kept' if settings.checkpoints_retained else 'deleted'} when the job is cancelled")
    if report.completed is not None:
        words.append(f"{report.completed} completed, {report.failed} failed")
    return ", ".join(words)


def _checkpoint(checkpoint: CheckpointReport) -> str:
    words = [f"number {checkpoint.checkpoint_id}"]
    if checkpoint.at_ms is not None:
        words.append(iso(checkpoint.at_ms) or "")
    if checkpoint.duration_ms is not None and not checkpoint.failure:
        words.append(f"in {describe_length(checkpoint.duration_ms)}")
    if checkpoint.size_bytes is not None and not checkpoint.failure:
        words.append(format_size(checkpoint.size_bytes))
    words += [text for text in (checkpoint.path, checkpoint.failure) if text]
    return ", ".join(words)


def _render_vertices(report: JobReport) -> None:
    if not report.vertices:
        say("No vertices: the job has not been planned yet.")
        return
    rows: list[list[Part]] = []
    for vertex in report.vertices:
        statuses = ", ".join(f"{count} {status}" for status, count in sorted(vertex.statuses.items())) or "-"
        most = "-" if vertex.max_parallelism is None else str(vertex.max_parallelism)
        attempt = "-" if vertex.attempt is None else str(vertex.attempt + 1)
        rows.append([str(vertex.parallelism), most, attempt, statuses, vertex.name])
    columns = [Column("parallelism", NUMBER), Column("at most", NUMBER), Column("attempt", NUMBER), Column("subtasks")]
    show_grid([*columns, Column("vertex", TEXT)], rows)


def _render_task_managers(report: JobReport) -> None:
    if report.task_managers:
        rows: list[list[Part]] = [
            [one.task_manager_id, str(one.slots), str(one.slots_used), str(one.slots_of_others)]
            for one in report.task_managers
        ]
        columns = [Column("task manager", NAME), Column("slots", NUMBER), Column("of this job", NUMBER)]
        show_grid([*columns, Column("of other jobs", NUMBER)], rows)
    else:
        say("No task manager runs its tasks.")
    allotted = report.settings.task_manager
    if allotted.slots is not None:
        cores = "unknown" if allotted.cpu_cores is None else f"{allotted.cpu_cores:g}"
        sizes = {
            "process memory": allotted.process_memory_bytes,
            "heap": allotted.heap_bytes,
            "managed": allotted.managed_bytes,
            "network": allotted.network_bytes,
            "metaspace": allotted.metaspace_bytes,
        }
        known = ", ".join(f"{name} {format_size(size)}" for name, size in sizes.items() if size is not None)
        say(f"Each is allotted: cores {cores}, {known}.")
