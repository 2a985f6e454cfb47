"""`autostream flink diagnose`: what it prints, the files that it writes, and what it refuses."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.diagnosis.test_diagnosing import FILE, JOB, diagnosed_session, profiling
from tests.flink.serving import SESSION_TASK_MANAGER, SESSION_VERTICES
from tests.support.commands import Finished, autostream_here
from tests.support.json_server import Answers, served


@pytest.fixture
def answers() -> Answers:
    return diagnosed_session()


@pytest.fixture(autouse=True)
def prod(answers: Answers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, logging_as_found: None) -> Iterator[str]:
    """A cluster `prod` that the commands are configured for."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    with served(answers) as url:
        (tmp_path / "autostream.toml").write_text(f'[[flink.clusters]]\nname = "prod"\nurl = "{url}"\n')
        yield url


def run(*words: str) -> Finished:
    return autostream_here("flink", "diagnose", "prod/backlog-job", *words)


def test_for_people() -> None:
    done = run()
    assert done.exit_code == 0
    for words in (
        "prod/backlog-job is RUNNING",
        "Failures by root cause\n  ok: Flink remembers no failure of this job",
        "  warning: No vertex is back-pressured, but 'work' is at its limit: its busiest subtask works 99% of",
        "    do: Give it more subtasks (it has 1, it may have up to 128)",
        "start delay ms",
        "ERROR com.acme.Enrich: Lookup of 17 failed",
    ):
        assert words in done.stdout
    assert "Flame graph" not in done.stdout


def test_for_programs_and_only_some_parts() -> None:
    done = run("--json", "--part", "skew", "--part", "exceptions")
    assert done.exit_code == 0
    assert list(done.document["parts"]) == ["exceptions", "skew"]
    assert done.document["parts"]["skew"]["findings"][0]["severity"] == "ok"


def test_a_flame_graph_as_a_file(tmp_path: Path, answers: Answers) -> None:
    done = run("--flame-graph", "flames.svg")
    assert done.exit_code == 0
    assert done.stdout.splitlines()[1] == "Flame graph"
    assert "flame graph: flames.svg" in done.stderr
    assert (tmp_path / "flames.svg").read_text().startswith("<svg")
    nowhere = run("--flame-graph", "no/such/folder/flames.svg")
    assert (nowhere.exit_code, nowhere.stdout) == (1, "")
    assert "Cannot write no/such/folder/flames.svg: No such file or directory" in nowhere.stderr
    for vertex in SESSION_VERTICES:
        answers.paths[f"{JOB}/vertices/{vertex}/flamegraph"] = {"endTimestamp": -2}
    off = run("--flame-graph", "none.svg", "--json")
    assert off.exit_code == 1
    assert "rest.flamegraph.enabled: true" in off.document["parts"]["flame-graph"]["unread"][0]
    assert not (tmp_path / "none.svg").exists()


def test_a_profile_as_a_file(tmp_path: Path, answers: Answers) -> None:
    profiling(answers, "FINISHED")
    done = run("--profile", "profile.html", "--profile-mode", "alloc", "--profile-seconds", "1", "--json")
    assert done.exit_code == 0
    assert done.document["profile"]["file"] == FILE
    assert done.document["profile"]["task_manager_id"] == SESSION_TASK_MANAGER
    assert (tmp_path / "profile.html").read_text() == "<html>flames</html>"
    other = run("--profile", "profile.html", "--task-manager", "tm-9")
    assert other.exit_code == 2
    assert "Task manager 'tm-9' does not run tasks of prod/backlog-job." in other.stderr
    assert SESSION_TASK_MANAGER in other.stderr


@pytest.mark.parametrize(
    ("words", "says"),
    [(("--part", "lag"), "Unknown part 'lag'"), (("--flame-graph", "x.svg", "--flame-kind", "gpu"), "Unknown kind of")],
)
def test_what_is_refused(words: tuple[str, ...], says: str) -> None:
    done = run(*words)
    assert (done.exit_code, done.stdout) == (2, "")
    assert says in done.stderr


def test_what_could_not_be_read_is_told_by_the_exit_code(answers: Answers) -> None:
    answers.paths[f"{JOB}/exceptions"] = 500
    done = run("--part", "exceptions", "--part", "skew")
    assert done.exit_code == 1
    assert "  not read: Flink cluster prod answered GET" in done.stdout
    assert "The work is spread evenly" in done.stdout
