"""How jobs are set up, as real clusters tell it, and as much of it as older or stranger ones do."""

import copy
from typing import Any

import pytest

from autostream.errors import ServiceError
from autostream.flink.job_settings import JobSettings, TaskManagerSettings, VertexSettings
from autostream.flink.settings_reading import read_cluster_setup, read_job_settings, task_manager_ids
from autostream.flink.task_managers import list_task_managers, slots_by_job
from tests.flink.serving import SESSION_JOB, SESSION_TASK_MANAGER, SESSION_VERTICES, Direct, session
from tests.support.json_server import Answers

MB = 1024 * 1024


JOB_ID, VERTICES, TASK_MANAGER = SESSION_JOB, SESSION_VERTICES, SESSION_TASK_MANAGER
PATH = f"/jobs/{JOB_ID}"


def settings(answers: Answers) -> JobSettings:
    found = read_job_settings(Direct(answers), JOB_ID)
    assert found is not None
    return found


def configured(answers: Answers, **entries: str | None) -> Answers:
    """Return the answers with settings of the job manager changed: `_` for `.`, `__` for `-`, None removes one."""
    changed = {key.replace("__", "-").replace("_", "."): value for key, value in entries.items()}
    kept = [entry for entry in answers.paths["/jobmanager/config"] if entry["key"] not in changed]
    added = [{"key": key, "value": value} for key, value in changed.items() if value is not None]
    answers.paths["/jobmanager/config"] = kept + added
    return answers


def test_a_job_of_a_session_cluster() -> None:
    source, work, total = VERTICES
    assert settings(session()) == JobSettings(
        flink_version="2.3.0",
        deployment="session",
        platform="standalone",
        scheduler="adaptive",
        checkpointing=True,
        checkpoint_interval_ms=10_000,
        checkpoint_timeout_ms=600_000,
        unaligned_checkpoints=False,
        checkpoints_retained=False,
        tolerable_failed_checkpoints=0,
        state_backend="HashMapStateBackend",
        restart_strategy="Cluster level default restart strategy",
        vertices=(
            VertexSettings(vertex_id=source, name="Source: backlog", parallelism=1, max_parallelism=128),
            VertexSettings(
                vertex_id=work, name="work", parallelism=1, max_parallelism=128, inputs=((source, "REBALANCE"),)
            ),
            VertexSettings(
                vertex_id=total,
                name="sum -> drop: Writer",
                parallelism=1,
                max_parallelism=128,
                inputs=((work, "HASH"),),
            ),
        ),
        task_manager=TaskManagerSettings(
            cpu_cores=12.0,
            cpu_cores_are_slots=True,
            slots=12,
            process_memory_bytes=768 * MB,
            heap_bytes=352 * MB,
            managed_bytes=64 * MB,
            network_bytes=64 * MB,
            metaspace_bytes=160 * MB,
            off_heap_bytes=64 * MB,
            overhead_bytes=64 * MB,
        ),
    )


def test_a_job_that_its_cluster_does_not_know() -> None:
    assert read_job_settings(Direct(session()), "0" * 32) is None


def test_a_job_that_is_being_initialized_is_not_known_yet() -> None:
    answers = session()
    unknown = dict.fromkeys(("schedulerType", "job-type", "plan"))
    answers.paths[PATH] |= {"state": "INITIALIZING", "vertices": [], **unknown}
    assert read_job_settings(Direct(answers), JOB_ID) is None


@pytest.mark.parametrize(("state", "known"), [("RUNNING", False), ("FAILED", True)])
def test_a_job_whose_parameters_are_not_told(state: str, *, known: bool) -> None:
    """A page that is cached since the job was initialized; a job that failed before it had a plan."""
    answers = session()
    answers.paths[f"{PATH}/config"] = {"jid": JOB_ID, "name": "backlog-job"}
    answers.paths[PATH]["state"] = state
    assert (read_job_settings(Direct(answers), JOB_ID) is not None) is known


def test_what_jobs_of_a_cluster_have_in_common_is_read_once() -> None:
    answers = session()
    cluster = read_cluster_setup(Direct(answers))
    answers.asked.clear()
    assert read_job_settings(Direct(answers), JOB_ID, cluster) == settings(session())
    assert answers.asked == [PATH, f"{PATH}/config", f"{PATH}/checkpoints/config"]


def test_what_a_cluster_does_not_tell_is_not_known() -> None:
    """A job manager of another kind: no configuration, no checkpointing, no versions, no memory, no task managers."""
    answers = session()
    del answers.paths["/jobmanager/config"], answers.paths[f"{PATH}/checkpoints/config"], answers.paths["/config"]
    answers.paths["/taskmanagers"] = {"taskmanagers": []}
    answers.paths[f"{PATH}/config"] = {"jid": JOB_ID, "execution-config": {}}
    job = answers.paths[PATH]
    del job["schedulerType"], job["maxParallelism"], job["job-type"]
    for vertex in job["vertices"]:
        del vertex["maxParallelism"]
    found = settings(answers)
    assert found == JobSettings(
        checkpointing=False,
        vertices=tuple(v.model_copy(update={"max_parallelism": None}) for v in settings(session()).vertices),
    )


@pytest.mark.parametrize(
    ("page", "known"),
    [
        ({"interval": 2**63 - 1, "timeout": 600000}, (False, None, 600000)),
        ({"interval": 500}, (True, 500, None)),
        ({}, (False, None, None)),
        ({"interval": 0}, (False, None, None)),
    ],
)
def test_whether_it_makes_checkpoints(page: dict[str, int], known: tuple[bool, int | None, int | None]) -> None:
    answers = session()
    answers.paths[f"{PATH}/checkpoints/config"] = page
    found = settings(answers)
    assert (found.checkpointing, found.checkpoint_interval_ms, found.checkpoint_timeout_ms) == known
    assert found.checkpoints_retained is None


@pytest.mark.parametrize(
    ("enabled", "deleted", "retained"), [(True, False, True), (True, True, False), (False, False, False)]
)
def test_whether_checkpoints_stay(*, enabled: bool, deleted: bool, retained: bool) -> None:
    answers = session()
    page = answers.paths[f"{PATH}/checkpoints/config"]
    page["externalization"] = {"enabled": enabled, "delete_on_cancellation": deleted}
    assert settings(answers).checkpoints_retained is retained


@pytest.mark.parametrize(
    ("entries", "deployment", "platform"),
    [
        ({"execution_target": "kubernetes-application"}, "application", "kubernetes"),
        ({"execution_target": "kubernetes-session"}, "session", "kubernetes"),
        ({"kubernetes_cluster__id": "orders", "$internal_application_main": "x.Y"}, "application", "kubernetes"),
        ({"execution_target": "yarn-application"}, "application", "yarn"),
        ({"$internal_yarn_log__config__file": "/x"}, "session", "yarn"),
        ({"execution_target": "remote"}, "session", "standalone"),
        ({"execution_target": "embedded"}, "application", "standalone"),
        ({"execution_target": "embedded", "kubernetes_cluster__id": "orders"}, "application", "kubernetes"),
        ({"$internal_application_program__args": ""}, "application", "standalone"),
    ],
)
def test_what_kind_of_cluster_it_is(entries: dict[str, str], deployment: str, platform: str) -> None:
    found = settings(configured(session(), **entries))
    assert (found.deployment, found.platform) == (deployment, platform)


@pytest.mark.parametrize(
    ("page", "job_type", "entries", "scheduler"),
    [
        ("Adaptive", "STREAMING", {}, "adaptive"),
        ("AdaptiveBatch", "BATCH", {}, "adaptive-batch"),
        (None, "STREAMING", {"jobmanager_scheduler": None}, "default"),
        (None, "STREAMING", {"jobmanager_scheduler": "Adaptive"}, "adaptive"),
        (None, "STREAMING", {"jobmanager_scheduler": None, "scheduler__mode": "reactive"}, "adaptive"),
        (None, "", {"jobmanager_scheduler": None}, "default"),
        (None, "BATCH", {"jobmanager_scheduler": None}, None),
        (None, "BATCH", {"jobmanager_scheduler": "AdaptiveBatch"}, "adaptive-batch"),
    ],
)
def test_what_schedules_it(page: str | None, job_type: str, entries: dict[str, Any], scheduler: str | None) -> None:
    answers = configured(session(), **entries)
    answers.paths[PATH] |= {"schedulerType": page or "", "job-type": job_type}
    assert settings(answers).scheduler == scheduler


@pytest.mark.parametrize(
    ("entries", "cores", "are_slots"),
    [
        ({}, 12.0, True),
        ({"taskmanager_cpu_cores": "12"}, 12.0, False),
        ({"kubernetes_taskmanager_cpu_amount": "12.0"}, 12.0, False),
        ({"kubernetes_taskmanager_cpu_amount": "-1.0"}, 12.0, True),
        ({"kubernetes_taskmanager_cpu": "many"}, 12.0, True),
        ({}, 4.0, False),
    ],
)
def test_whether_cores_are_only_slots(entries: dict[str, str], cores: float, *, are_slots: bool) -> None:
    answers = configured(session(), **entries)
    answers.paths["/taskmanagers"]["taskmanagers"][0]["totalResource"]["cpuCores"] = cores
    found = settings(answers).task_manager
    assert (found.cpu_cores, found.cpu_cores_are_slots) == (cores, are_slots)


def test_a_batch_job_of_a_version_that_does_not_say_that_it_is_one() -> None:
    answers = configured(session(), jobmanager_scheduler=None)
    answers.paths[PATH] |= {"schedulerType": "", "job-type": ""}
    del answers.paths[f"{PATH}/checkpoints/config"]
    assert settings(answers).scheduler is None


def test_memory_of_which_a_part_is_not_known() -> None:
    answers = session()
    memory = answers.paths["/taskmanagers"]["taskmanagers"][0]["memoryConfiguration"]
    memory |= {"taskHeap": None, "jvmOverhead": -1}
    del memory["totalProcessMemory"]
    found = settings(answers).task_manager
    assert (found.heap_bytes, found.overhead_bytes, found.process_memory_bytes) == (None, None, None)
    assert found.managed_bytes == 64 * MB


def test_of_different_task_managers_those_count_that_run_the_job() -> None:
    answers = session()
    (small,) = answers.paths["/taskmanagers"]["taskmanagers"]
    large = copy.deepcopy(small) | {"id": "large", "slotsNumber": 32}
    answers.paths["/taskmanagers"] = {"taskmanagers": [large, {**large, "id": "large-2"}, small]}
    assert settings(answers).task_manager.slots == 12
    for vertex in VERTICES:
        page = f"{PATH}/vertices/{vertex}/taskmanagers"
        answers.paths[page] = {"taskmanagers": [{"taskmanager-id": "large"}, {"taskmanager-id": "(unassigned)"}]}
    assert settings(answers).task_manager.slots == 32
    assert task_manager_ids(Direct(answers), JOB_ID, VERTICES) == {"large"}


def test_slots_of_a_task_manager_by_job() -> None:
    rest = Direct(session())
    (one,) = list_task_managers(rest)
    assert (one.task_manager_id, one.slots, one.free_slots) == (TASK_MANAGER, 12, 11)
    assert slots_by_job(rest, TASK_MANAGER) == {JOB_ID: 1}
    assert slots_by_job(rest, "gone") == {}


def test_secrets_among_parameters_and_settings_are_hidden() -> None:
    answers = configured(session(), s3_secret__key="5ecr3t", plain="x")
    answers.paths[f"{PATH}/config"]["execution-config"]["user-config"] = {
        "db.password": "5ecr3t",
        "url": "jdbc:mysql://me:5ecr3t@host/db",
        "team": "trade",
        "none": None,
    }
    cluster = read_cluster_setup(Direct(answers))
    assert cluster.configuration is not None
    assert (cluster.configuration["s3.secret-key"], cluster.configuration["plain"]) == ("********", "x")
    parameters = settings(answers).parameters
    assert "5ecr3t" not in str(parameters)
    assert parameters["team"] == "trade"
    assert set(parameters) == {"db.password", "url", "team"}


def test_a_version_that_a_build_does_not_know() -> None:
    answers = session()
    answers.paths["/config"]["flink-version"] = "<unknown>"
    assert settings(answers).flink_version is None


def test_a_server_of_another_kind() -> None:
    answers = session()
    answers.paths["/taskmanagers"] = {"items": []}
    with pytest.raises(ServiceError, match=r"/taskmanagers \(taskmanagers: Field required\)"):
        settings(answers)
