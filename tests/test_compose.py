"""The structure of docker-compose.yaml and Dockerfile; there need be no container engine to check that."""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parent.parent
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
AIRFLOW = ("airflow-apiserver", "airflow-scheduler", "airflow-dag-processor", "airflow-triggerer")
RUN_ONCE = ("airflow-init",)


def mounts() -> list[tuple[str, str]]:
    return [(name, volume.split(":")[0]) for name, service in SERVICES.items() for volume in service.get("volumes", [])]


def test_it_has_all_parts_of_airflow_on_postgresql() -> None:
    assert set(AIRFLOW) | set(RUN_ONCE) | {"postgres"} <= set(SERVICES)
    assert re.fullmatch(r"postgres:16\.\d+\S*", SERVICES["postgres"]["image"])
    commands = {name: SERVICES[name]["command"][0] for name in AIRFLOW}
    assert commands == {name: name.removeprefix("airflow-").replace("apiserver", "api-server") for name in AIRFLOW}


@pytest.mark.parametrize("name", sorted(set(SERVICES) - set(RUN_ONCE)))
def test_every_lasting_service_has_a_health_check(name: str) -> None:
    check = SERVICES[name]["healthcheck"]

    assert check["test"][0] in {"CMD", "CMD-SHELL"}
    assert {"interval", "timeout", "retries", "start_period"} <= set(check)


@pytest.mark.parametrize("name", AIRFLOW)
def test_airflow_starts_when_database_and_init_are_done(name: str) -> None:
    needed = {other: how["condition"] for other, how in SERVICES[name]["depends_on"].items()}

    assert needed["postgres"] == "service_healthy"
    assert needed["airflow-init"] == "service_completed_successfully"


def test_nothing_waits_for_what_is_not_there_or_has_no_health() -> None:
    for name, service in SERVICES.items():
        for other, how in service.get("depends_on", {}).items():
            assert other in SERVICES, f"{name} depends on {other}"
            if how["condition"] == "service_healthy":
                assert "healthcheck" in SERVICES[other], f"{name} waits for the health of {other}"


LAKE = ("zookeeper", "namenode", "datanode", "metastore")


def test_the_lake_starts_only_when_it_is_asked_for() -> None:
    assert {name for name, service in SERVICES.items() if "profiles" in service} == {*LAKE, "watermark-recorder"}
    assert [name for name in LAKE if SERVICES[name]["profiles"] != ["lake"]] == []
    others = [service for name, service in SERVICES.items() if name not in LAKE]
    assert [other for service in others for other in service.get("depends_on", {}) if other in LAKE] == []


def test_the_lake_is_what_the_tests_run_against() -> None:
    poms = ROOT / "scripts/services/hadoop/poms"
    images = {name: SERVICES[name]["image"].split(":") for name in LAKE}

    assert images["metastore"] == ["apache/hive", "4.0.0"]
    assert (poms / "hive-4.0.0.xml").exists()
    for name, pom in (("zookeeper", "zookeeper"), ("namenode", "hdfs")):
        version = images[name][1].rsplit(".", 1)[0]
        assert f">{version}." in (poms / f"{pom}.xml").read_text(), f"{name} is no {version}"


def test_every_port_is_open_to_this_machine_only() -> None:
    ports = [port for service in SERVICES.values() for port in service.get("ports", [])]

    assert len(ports) == 4
    assert [port for port in ports if not port.startswith("127.0.0.1:")] == []


def test_airflow_finds_the_lake_by_the_names_of_its_services() -> None:
    addresses = re.findall(r"\w+:\d+", (ROOT / "scripts/compose_lake.env").read_text())

    assert addresses == ["metastore:9083", "namenode:9870", "zookeeper:2181"]
    assert {SERVICES[name]["env_file"] for name in (*AIRFLOW, *RUN_ONCE)} == {"${LAKE_ENV:-/dev/null}"}


def test_no_image_floats() -> None:
    images = [service["image"] for service in SERVICES.values()]
    images += re.findall(r"^FROM (\S+)", (ROOT / "Dockerfile").read_text(), flags=re.MULTILINE)

    assert [image for image in images if not re.search(r":\d+\.\d+", image)] == []


def test_the_image_is_this_version() -> None:
    version = re.search(r'^version = "(.+)"$', (ROOT / "pyproject.toml").read_text(), flags=re.MULTILINE)
    assert version
    assert {SERVICES[name]["image"] for name in (*AIRFLOW, *RUN_ONCE)} == {f"autostream:{version.group(1)}"}


def test_every_path_that_is_mounted_exists() -> None:
    host_paths = [source for _, source in mounts() if source.startswith((".", "/", "~"))]

    assert host_paths
    assert [path for path in host_paths if not (ROOT / path).exists()] == []


def test_every_volume_is_declared_and_used() -> None:
    named = {source for _, source in mounts() if not source.startswith((".", "/", "~"))}

    assert named == set(COMPOSE["volumes"])


@pytest.mark.parametrize("name", AIRFLOW)
def test_airflow_services_share_keys_dags_and_warehouse(name: str) -> None:
    environment = SERVICES[name]["environment"]

    assert environment == SERVICES["airflow-init"]["environment"]
    assert environment["AIRFLOW__CORE__EXECUTION_API_SERVER_URL"] == "http://airflow-apiserver:8080/execution/"
    targets = {volume.split(":")[1] for volume in SERVICES[name]["volumes"]}
    assert {"/opt/airflow/dags", "/warehouse"} <= targets


def test_secrets_come_from_the_environment_and_their_absence_is_explained() -> None:
    text = (ROOT / "docker-compose.yaml").read_text()
    required = set(re.findall(r"\$\{([A-Z_]+):\?run scripts/compose_env\.sh first\}", text))

    assert required == {"AIRFLOW_JWT_SECRET", "AIRFLOW_SECRET_KEY", "AIRFLOW_FERNET_KEY", "POSTGRES_PASSWORD"}
    assert set(re.findall(r"\$\{([A-Z_]+):\?", text)) == required


def test_compose_env_writes_all_secrets_once(tmp_path: Path) -> None:
    script = tmp_path / "scripts" / "compose_env.sh"
    script.parent.mkdir()
    script.write_text((ROOT / "scripts/compose_env.sh").read_text())

    subprocess.run(["bash", script], check=True, capture_output=True)
    first = (tmp_path / ".env").read_text()
    subprocess.run(["bash", script], check=True, capture_output=True)

    values = dict(line.split("=", 1) for line in first.splitlines())
    assert set(values) == {"AIRFLOW_JWT_SECRET", "AIRFLOW_SECRET_KEY", "AIRFLOW_FERNET_KEY", "POSTGRES_PASSWORD"}
    assert len(set(values.values())) == 4
    assert min(map(len, values.values())) >= 44
    assert (tmp_path / ".env").read_text() == first
    assert (tmp_path / ".env").stat().st_mode & 0o077 == 0


def test_the_generated_key_encrypts(tmp_path: Path) -> None:
    from cryptography.fernet import Fernet

    script = tmp_path / "scripts" / "compose_env.sh"
    script.parent.mkdir()
    script.write_text((ROOT / "scripts/compose_env.sh").read_text())
    subprocess.run(["bash", script], check=True, capture_output=True)

    values = dict(line.split("=", 1) for line in (tmp_path / ".env").read_text().splitlines())
    fernet = Fernet(values["AIRFLOW_FERNET_KEY"])
    assert fernet.decrypt(fernet.encrypt(b"password")) == b"password"


def test_the_image_builds_from_what_the_context_lets_in() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text()
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copied: set[str] = set()
    for line in re.findall(r"^COPY (?!--from)(.*)$", dockerfile, flags=re.MULTILINE):
        copied |= {part for part in line.split()[:-1] if not part.startswith("--")}

    assert copied == allowed
    assert [path for path in copied if not (ROOT / path).exists()] == []
    assert "--require-hashes" in dockerfile
    assert re.search(r"^USER airflow$", dockerfile, flags=re.MULTILINE)
