"""`autostream flink`: what it prints for people and programs, and what it refuses."""

import fcntl
import json
import os
import pty
import signal
import subprocess
import sys
import termios
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import autostream
from tests.flink.serving import SESSION_JOB, session
from tests.support.commands import Finished, autostream_here, environment
from tests.support.json_server import Answers, served

TOML = """
[[flink.clusters]]
name = "prod"
url = "{url}"
[[flink.jobs]]
job = "prod/backlog-.*"
team = "trade"
"""
STRANGE = "a/b [red]x[/red] \x1b[31m\n☃"


@pytest.fixture
def answers() -> Answers:
    return session()


@pytest.fixture(autouse=True)
def prod(answers: Answers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, logging_as_found: None) -> Iterator[str]:
    """A cluster `prod` that the commands are configured for."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    with served(answers) as url:
        (tmp_path / "autostream.toml").write_text(TOML.format(url=url))
        yield url


def run(*words: str, **environ: str) -> Finished:
    return autostream_here("flink", *words, **environ)


def with_a_strange_job(answers: Answers) -> None:
    answers.paths["/jobs/overview"]["jobs"].append({"jid": "0" * 32, "name": STRANGE, "state": "FAILED"})


def test_jobs_for_programs(answers: Answers) -> None:
    with_a_strange_job(answers)
    done = run("jobs", "--json")
    assert done.exit_code == 0
    assert [(job["job"], job["state"], job["team"]) for job in done.document["jobs"]] == [
        ("prod/backlog-job", "RUNNING", "trade"),
        (f"prod/{STRANGE}", "FAILED", None),
    ]
    assert done.document["errors"] == []
    lines = run("jobs", "--output", "csv", "--team", "trade").stdout.splitlines()
    assert lines[0] == "job,cluster,name,job_id,state,team,owner,started,started_ms,note"
    assert lines[1].startswith(
        f"prod/backlog-job,prod,backlog-job,{SESSION_JOB},RUNNING,trade,,2026-11-23T08:00:36.335Z"
    )
    assert len(lines) == 2


def test_jobs_for_people(answers: Answers) -> None:
    with_a_strange_job(answers)
    done = run("jobs")
    headings, first, second = done.stdout.splitlines()
    assert headings.split() == ["team", "job", "state", "owner", "age", "note"]
    assert first.split()[:4] == ["trade", "prod/backlog-job", "RUNNING", "-"]
    assert second.startswith("(no team)  prod/a/b [red]x[/red] \\x1b[31m\\n☃  FAILED")
    assert "1 RUNNING, 1 FAILED. Without a team: 1." in done.stderr
    assert run("jobs", "--state", "suspended").stdout == "No job matches.\n"


def test_a_cluster_that_fails_is_told_and_the_others_are_listed() -> None:
    done = run("jobs", AUTOSTREAM_FLINK__CLUSTERS__DOWN__URL="http://127.0.0.1:1")
    assert done.exit_code == 1
    assert "prod/backlog-job" in done.stdout
    assert "error: cluster down: Flink cluster down" in done.stderr
    only = run("jobs", "--json", "--cluster", "prod", AUTOSTREAM_FLINK__CLUSTERS__DOWN__URL="http://127.0.0.1:1")
    assert (only.exit_code, len(only.document["jobs"])) == (0, 1)


def test_one_job_for_people_and_programs() -> None:
    told = run("show", "prod/backlog-job").stdout
    for words in (
        "prod/backlog-job is RUNNING",
        "team: trade",
        "Flink: 2.3.0, session cluster, adaptive scheduler",
        "checkpoints: every 10 s, time-out 10 min, aligned, deleted when the job is cancelled, 5 completed, 0 failed",
        "number 5, 2026-11-23T08:01:40.643Z, in 30 s, 19.2 KiB",
        "sum -> drop: Writer",
        "127.0.0.1:39661-2b4102     12            1              0",
        "Each is allotted: cores 12, process memory 768.0 MiB",
        "Cores: the cluster configures none, so Flink takes each slot for a core.",
    ):
        assert words in told
    document = run("show", "prod/backlog-job", "--json").document
    assert document == json.loads(json.dumps(autostream.flink().show("prod/backlog-job").to_dict()))
    assert document["settings"]["checkpoint_interval_ms"] == 10_000
    assert document["checkpoints"]["last_completed"]["size_bytes"] == 19_693


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("show", "backlog-job"), "Invalid job name 'backlog-job'"),
        (
            ("show", "prod/backlog"),
            "There is no job 'prod/backlog'. Jobs of the cluster: prod/backlog-job. Did",
        ),
        (("show", "pro/backlog-job"), "Unknown Flink cluster 'pro'."),
        (("show", "prod/backlog-job", "--job-id", "ff"), "has no job whose id begins with 'ff'"),
        (("jobs", "--state", "runing"), "Unknown state 'runing'. There are: INITIALIZING, "),
        (("jobs", "--cluster", "uk"), "Unknown Flink cluster 'uk'."),
        (("jobs", "--watch"), "--watch shows a table on a terminal."),
        (("jobs", "--watch", "--json"), "--watch shows a table on a terminal."),
    ],
)
def test_what_is_refused(words: tuple[str, ...], says: str) -> None:
    done = run(*words)
    assert (done.exit_code, done.stdout) == (2, "")
    assert says in done.stderr


def test_no_cluster_is_configured(tmp_path: Path) -> None:
    (tmp_path / "autostream.toml").write_text("")
    done = run("jobs")
    assert done.exit_code == 2
    assert "No Flink cluster is configured. Add `[[flink.clusters]]`" in done.stderr


def _take_the_terminal() -> None:
    """Let Ctrl-C on the terminal reach a command, also where the tests themselves run in the background."""
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    signal.signal(signal.SIGINT, signal.default_int_handler)


def watch(*words: str, until: bytes, times: int) -> tuple[int, bytes]:
    """Run a command on a terminal until it has shown something so often, then press Ctrl-C."""
    ours, theirs = pty.openpty()
    program = "from autostream.cli.main import run_command; run_command()"
    process = subprocess.Popen(
        [sys.executable, "-c", program, "flink", *words, "--watch", "--interval", "1"],
        stdin=theirs, stdout=theirs, stderr=theirs, env=environment(TERM="xterm"), start_new_session=True,
        preexec_fn=_take_the_terminal,
    )  # fmt: skip
    os.close(theirs)
    seen, pressed = b"", False
    while True:
        try:
            data = os.read(ours, 65536)
        except OSError:  # how the end of a terminal is told
            break
        if not data:
            break
        seen += data
        if seen.count(until) >= times and not pressed:
            os.write(ours, b"\x03")
            pressed = True
    os.close(ours)
    return process.wait(60), seen


@pytest.mark.parametrize(
    ("words", "until"), [(("jobs",), b"prod/backlog-job"), (("show", "prod/backlog-job"), b"Source: backlog")]
)
def test_it_is_shown_again_and_again_until_ctrl_c(answers: Answers, words: tuple[str, ...], until: bytes) -> None:
    looks = 0
    overview = answers.paths["/jobs/overview"]

    def answer(_: dict[str, str]) -> Any:
        nonlocal looks
        looks += 1
        return 500 if looks in (2, 3) else overview  # a look that fails, its second try too, ends nothing

    answers.paths["/jobs/overview"] = answer
    code, seen = watch(*words, until=until, times=2)
    assert code == 130
    assert seen.count(b"\x1b[2J") >= 2
    assert b"500" in seen
