"""What Flink's Kubernetes operator says of deployments and session jobs, as values. Pure.

The objects are those of `flink.apache.org/v1beta1`, as the API server has them: their schema is loose, and whatever is
missing or strange in one is not known.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from autostream.flink.job_states import UNKNOWN
from autostream.flink.ownership import OWNER, TEAM

READY: Final = "READY"
"""Status of a job manager that can be asked."""
_MOST_ERROR: Final = 300
_AMOUNT: Final = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([a-zA-Z]*)\s*")
# Flink's units, which count in 1,024s and whose case does not matter, then those of Kubernetes which Flink has not.
_FLINK_UNITS: Final = {
    unit: 1024**power
    for power, units in enumerate(
        (
            ("", "b", "bytes"),
            ("k", "kb", "kibibytes"),
            ("m", "mb", "mebibytes"),
            ("g", "gb", "gibibytes"),
            ("t", "tb", "tebibytes"),
        )
    )
    for unit in units
}
_KUBERNETES_UNITS: Final = {"ki": 1024, "mi": 1024**2, "gi": 1024**3, "ti": 1024**4}


@dataclass(frozen=True)
class AskedResources:
    """What a deployment asks for each of its processes of one kind. None: it does not say.

    Attributes:
        cpu_cores: Cores.
        memory_bytes: Memory.
        replicas: How many processes.
    """

    cpu_cores: float | None = None
    memory_bytes: int | None = None
    replicas: int | None = None


@dataclass(frozen=True)
class DeployedJob:
    """A job as Kubernetes knows it.

    Attributes:
        name: What Flink calls it, as far as Kubernetes knows; else the name of its object.
        job_id: Its id; empty before it has one.
        state: The lifecycle of its object, such as `SUSPENDED`.
        labels: Whose it is: `autostream.team` and `autostream.owner`, where its object has such labels.
        note: What else Kubernetes says.
    """

    name: str
    job_id: str
    state: str
    labels: Mapping[str, str] = field(default_factory=dict)
    note: str = ""


@dataclass(frozen=True)
class Deployment:
    """A FlinkDeployment: a cluster, and the jobs that are to run there.

    Attributes:
        namespace: Where it is.
        name: What it is called there.
        kind: `application` or `session`.
        lifecycle: `STABLE`, `SUSPENDED`, `FAILED` and so on.
        job_manager: Status of its job manager: `READY`, `MISSING`, `DEPLOYING` and so on.
        error: What the operator says is wrong; empty where nothing is.
        rest_port: Port of its REST service.
        secure: Whether its REST service speaks TLS.
        labels: Whose it is.
        job_managers: What is asked for its job managers.
        task_managers: What is asked for its task managers.
        jobs: Its own job, or the session jobs that name it.
    """

    namespace: str
    name: str
    kind: str
    lifecycle: str
    job_manager: str
    error: str = ""
    rest_port: int = 8081
    secure: bool = False
    labels: Mapping[str, str] = field(default_factory=dict)
    job_managers: AskedResources = AskedResources()
    task_managers: AskedResources = AskedResources()
    jobs: tuple[DeployedJob, ...] = ()

    @property
    def ready(self) -> bool:
        """Whether there is a job manager to be asked."""
        return self.job_manager == READY

    @property
    def service(self) -> str:
        """Name of the service of its REST interface, as Flink names it."""
        return f"{self.name}-rest"

    @property
    def status(self) -> str:
        """What Kubernetes says of it, in words."""
        words = f"Kubernetes: {self.lifecycle}, job manager {self.job_manager}."
        return f"{words} {self.error}".strip()

    def labels_of(self, job_id: str) -> Mapping[str, str]:
        """Return whose a job is that runs here, by its session job's labels and then by those of the deployment."""
        own = next((job.labels for job in self.jobs if job.job_id == job_id), {})
        return {**self.labels, **own}

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return {
            "namespace": self.namespace,
            "name": self.name,
            "kind": self.kind,
            "lifecycle": self.lifecycle,
            "job_manager_status": self.job_manager,
            "error": self.error or None,
            "asked": {"job_managers": vars(self.job_managers), "task_managers": vars(self.task_managers)},
        }


def deployments_of(
    deployments: Iterable[Mapping[str, Any]],
    session_jobs: Iterable[Mapping[str, Any]],
    *,
    team_labels: Sequence[str] = (TEAM,),
    owner_labels: Sequence[str] = (OWNER,),
    complete: bool = True,
) -> list[Deployment]:
    """Return what objects of the operator say; a session job whose cluster is not there has one that is `MISSING`.

    Args:
        deployments: FlinkDeployments.
        session_jobs: FlinkSessionJobs.
        team_labels: Labels that name a team; the first that an object has counts.
        owner_labels: Labels that name an owner likewise.
        complete: Whether these are all deployments that there are; else session jobs of others are left out.
    """
    names = {TEAM: team_labels, OWNER: owner_labels}
    found = {}
    for item in deployments:
        deployment = _deployment(item, names)
        found[deployment.namespace, deployment.name] = deployment
    for item in session_jobs:
        metadata, spec = _mapping(item, "metadata"), _mapping(item, "spec")
        key = str(metadata.get("namespace") or "default"), str(spec.get("deploymentName") or "")
        if key not in found and not complete:
            continue
        missing = Deployment(*key, "session", UNKNOWN, "MISSING", error="There is no such deployment.")
        cluster = found.get(key, missing)
        job = _job(item, names, lifecycle=_lifecycle(item))
        found[key] = replace(cluster, jobs=(*cluster.jobs, job))
    return list(found.values())


def _deployment(item: Mapping[str, Any], names: Mapping[str, Sequence[str]]) -> Deployment:
    metadata, spec, status = (_mapping(item, key) for key in ("metadata", "spec", "status"))
    configuration = dict(_flat(_mapping(spec, "flinkConfiguration")))
    lifecycle = _lifecycle(item)
    application = bool(spec.get("job"))
    replicas = _integer(_mapping(status, "taskManager").get("replicas"))
    return Deployment(
        namespace=str(metadata.get("namespace") or "default"),
        name=str(metadata.get("name") or ""),
        kind="application" if application else "session",
        lifecycle=lifecycle,
        job_manager=str(status.get("jobManagerDeploymentStatus") or "MISSING"),
        error=_error(status),
        rest_port=_integer(configuration.get("rest.port")) or 8081,
        secure=configuration.get("security.ssl.rest.enabled", "").lower() == "true",
        labels=_ownership(metadata, names),
        job_managers=_resources(spec, "jobManager", configuration, "jobmanager"),
        task_managers=_resources(spec, "taskManager", configuration, "taskmanager", replicas=replicas),
        jobs=(_job(item, names, lifecycle=lifecycle),) if application else (),
    )


def _job(item: Mapping[str, Any], names: Mapping[str, Sequence[str]], *, lifecycle: str) -> DeployedJob:
    metadata, spec, status = (_mapping(item, key) for key in ("metadata", "spec", "status"))
    seen = _mapping(status, "jobStatus")
    configuration = dict(_flat(_mapping(spec, "flinkConfiguration")))
    suspended = _mapping(spec, "job").get("state") == "suspended"
    wanted = "It is suspended by its own specification." if suspended else ""
    return DeployedJob(
        name=str(seen.get("jobName") or configuration.get("pipeline.name") or metadata.get("name") or ""),
        job_id=str(seen.get("jobId") or ""),
        state=lifecycle,
        labels=_ownership(metadata, names),
        note=f"Kubernetes: {lifecycle}. {wanted} {_error(status)}".strip().replace("  ", " "),
    )


def _lifecycle(item: Mapping[str, Any]) -> str:
    return str(_mapping(item, "status").get("lifecycleState") or UNKNOWN)


def _ownership(metadata: Mapping[str, Any], names: Mapping[str, Sequence[str]]) -> dict[str, str]:
    labels = _mapping(metadata, "labels")
    said = {key: next((str(labels[name]) for name in wanted if labels.get(name)), "") for key, wanted in names.items()}
    return {key: text for key, text in said.items() if text}


def _error(status: Mapping[str, Any]) -> str:
    """Return the operator's error in one line; it writes a Java stack trace as JSON."""
    words = " ".join(str(status.get("error") or "").split())
    if message := re.search(r'"message"\s*:\s*"((?:[^"\\]|\\.)*)"', words):
        words = message[1].replace('\\"', '"')
    return f"{words[: _MOST_ERROR - 1]}…" if len(words) > _MOST_ERROR else words


def _resources(
    spec: Mapping[str, Any],
    key: str,
    configuration: Mapping[str, str],
    process: str,
    *,
    replicas: int | None = None,
) -> AskedResources:
    """Return what is asked for: `resource`, else the newer `resources`, else the configuration."""
    part = _mapping(spec, key)
    old, new = _mapping(part, "resource"), _mapping(_mapping(part, "resources"), "requests")
    cores = old.get("cpu") or new.get("cpu") or configuration.get(f"kubernetes.{process}.cpu.amount")
    memory = old.get("memory") or new.get("memory") or configuration.get(f"{process}.memory.process.size")
    wanted = _integer(part.get("replicas"))
    return AskedResources(_cores(cores), memory_bytes(memory), replicas if wanted is None else wanted)


def _cores(value: object) -> float | None:
    """Return a number of cores; Kubernetes writes thousandths of one as `500m`."""
    text = str(value).strip()
    scale = 1000 if text.endswith("m") else 1
    try:
        return float(text.removesuffix("m")) / scale
    except ValueError:
        return None


def memory_bytes(value: object) -> int | None:
    """Return an amount of memory as Flink reads it (`1024m` is 1 GiB), or else as Kubernetes does (`2Gi`)."""
    match = _AMOUNT.fullmatch(str(value))
    unit = match[2].lower() if match else "?"
    scale = _FLINK_UNITS.get(unit) or _KUBERNETES_UNITS.get(unit)
    return int(float(match[1]) * scale) if match and scale else None


def _mapping(parent: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = parent.get(key)
    return value if isinstance(value, Mapping) else {}


def _integer(value: object) -> int | None:
    try:
        return int(str(value))
    except ValueError:
        return None


def _flat(configuration: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yield settings by their full keys: they may be written as a tree."""
    for key, value in configuration.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", str(value).lower() if isinstance(value, bool) else str(value)
