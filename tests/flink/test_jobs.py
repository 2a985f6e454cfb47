"""What a job manager says of a job, from recorded answers of a real one."""

import json

import pytest

from autostream.errors import ServiceError
from autostream.flink.jobs import JobRun, find_job
from tests.flink.serving import RECORDED, Direct
from tests.support.json_server import Answers

JOB = json.loads((RECORDED / "job.json").read_text())
JOB_ID = JOB["jid"]


@pytest.fixture
def answers() -> Answers:
    found = Answers({f"/jobs/{JOB_ID}": JOB})
    for number, vertex in enumerate(JOB["vertices"]):
        detail = json.loads((RECORDED / f"vertex{number}_detail.json").read_text())
        found.paths[f"/jobs/{JOB_ID}/vertices/{vertex['id']}"] = detail
    return found


@pytest.fixture
def rest(answers: Answers) -> Direct:
    return Direct(answers)


def test_a_running_job_is_as_old_as_its_oldest_attempt(rest: Direct) -> None:
    job = find_job(rest, JOB_ID)
    details = [json.loads((RECORDED / f"vertex{n}_detail.json").read_text()) for n in range(3)]
    oldest = max(d["now"] - s["start-time"] for d in details for s in d["subtasks"])
    assert job == JobRun(JOB_ID, "backlog-job", "RUNNING", oldest)
    assert not job.ended


def test_only_the_committer_counts_where_there_is_one(rest: Direct, answers: Answers) -> None:
    named = json.loads(json.dumps(JOB))
    named["vertices"][2]["name"] = "IcebergFilesCommitter -> Sink"
    answers.paths[f"/jobs/{JOB_ID}"] = named
    detail = json.loads((RECORDED / "vertex2_detail.json").read_text())
    job = find_job(rest, JOB_ID)
    assert job is not None
    assert job.committer_age_ms == detail["now"] - detail["subtasks"][0]["start-time"]


def test_a_job_without_a_running_attempt(rest: Direct, answers: Answers) -> None:
    answers.paths[f"/jobs/{JOB_ID}"] = {**JOB, "state": "FAILED"}
    for path, answer in answers.paths.items():
        for subtask in answer.get("subtasks", ()):
            answers.paths[path] = answer
            subtask["status"] = "FAILED"
    job = find_job(rest, JOB_ID)
    assert job is not None
    assert (job.ended, job.committer_age_ms) == (True, None)


def test_an_unknown_job(rest: Direct) -> None:
    assert find_job(rest, "0" * 32) is None


@pytest.mark.parametrize("key", ["now", "start-time"])
def test_that_a_subtask_does_not_say_since_when_it_runs(rest: Direct, answers: Answers, key: str) -> None:
    path = f"/jobs/{JOB_ID}/vertices/{JOB['vertices'][0]['id']}"
    answers.paths[path] = json.loads(json.dumps(answers.paths[path]).replace(f'"{key}"', '"other"'))
    with pytest.raises(ServiceError, match=f"Cannot understand the answer .*{path} .it does not say when"):
        find_job(rest, JOB_ID)


def test_answers_that_are_none(rest: Direct, answers: Answers) -> None:
    answers.paths[f"/jobs/{JOB_ID}"] = {"jid": "x"}
    with pytest.raises(ServiceError, match="Cannot understand"):
        find_job(rest, JOB_ID)
