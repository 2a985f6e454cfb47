"""Teams on a page and by REST."""

from autostream.console.job_rows import JobRow
from autostream.console.team_rows import TeamRow, teams_of
from autostream.findings import Severity
from autostream.health.health_changes import HealthEntry
from autostream.names import JobName
from autostream.telemetry.job_records import GONE, KnownJob
from tests.console.jobs import fill_fleet
from tests.console.support import MINUTE, T0, Browser, text

NOW = T0 + 30 * MINUTE
GIB = 1 << 30


def row(team: str | None, score: int | None, cores: float, memory: int = 0, *, state: str = "RUNNING") -> JobRow:
    job = JobName("prod", f"{team}-{score}")
    severities = {"cpu-bound": Severity.WARNING} if score is not None and score < 60 else {}
    costs = dict.fromkeys(severities, 40.0)
    health = HealthEntry(job, 0, team, score, 1.0, costs, severities, cpu_cores=cores, memory_bytes=memory)
    return JobRow(KnownJob(job, "a", state, team, None, 0, 0), health, {"cpu_cores_used": 1.0, "cpu_cores": cores})


def test_a_team_is_as_its_large_jobs_are() -> None:
    found = TeamRow.of("trade", [row("trade", 100, 1.0), row("trade", 40, 3.0), row("trade", None, 50.0)])

    assert (found.score, found.jobs, found.without_score, found.unwell) == (55, 3, 1, 1)
    assert (found.use.cpu_cores_used, found.use.cpu_cores) == (3.0, 54.0)
    # As much memory as comes with a core counts as one.
    assert TeamRow.of(None, [row("a", 100, 1.0), row("b", 0, 1.0, 8 * GIB)]).score == 25
    assert TeamRow.of(None, []).score is None


def test_jobs_without_a_team_come_last_and_ended_ones_do_not_count() -> None:
    rows = [row(None, 50, 1.0), row("b", 50, 1.0), row("a", 50, 1.0, state=GONE)]

    assert [(team.team, team.jobs) for team in teams_of(rows)] == [("b", 1), (None, 1)]


def test_teams_are_shown_with_the_way_to_their_jobs(client: Browser) -> None:
    assert "'autostream flink watch' samples" in text(client.get("/teams").text)
    fill_fleet(NOW)

    page = client.get("/teams").text

    said = text(page)
    assert "ads 98 1 0 1.50 of 2.00 – –" in said
    assert "trade 71 1 1 0.03 of 2.00 512.0 MiB of 4.0 GiB 2 of 4" in said
    assert "no team – 1 without a score 1 0 – – –" in said
    assert 'href="/jobs?team=trade"' in page
    assert 'href="/jobs?without_team=true"' in page
    assert "These jobs together: 71 Cores: 0.03 of 2.00 Memory: 512.0 MiB of 4.0 GiB Slots: 2 of 4" in text(
        client.get("/jobs?team=trade").text
    )
    told = client.get("/api/teams").json()
    assert [(each["team"], each["score"], each["jobs"], each["unwell"]) for each in told] == [
        ("ads", 98, 1, 0),
        ("trade", 71, 1, 1),
        (None, None, 1, 0),
    ]
