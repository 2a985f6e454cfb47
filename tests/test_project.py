"""The files that make this a project: what is declared, locked and promised by `make`."""

import ast
import os
import re
import subprocess
import sys
import tomllib
from collections import defaultdict
from collections.abc import Iterator
from importlib.metadata import entry_points
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
LOCK = (ROOT / "requirements.txt").read_text()
TARGETS = ("setup", "demo", "up", "test", "test-integration", "soak", "lint", "bench", "lock", "clean")
NOT_LOCKED = {"pyspark"}
SCRIPTS = [*sorted(ROOT.glob("scripts/**/*.sh")), ROOT / ".ci/run"]


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def name_of(requirement: str) -> str:
    matched = re.match(r"[A-Za-z0-9._-]+", requirement)
    assert matched, requirement
    return canonical(matched.group())


def locked() -> dict[str, str]:
    """Name -> the lines of its pin in requirements.txt, continuation lines joined."""
    joined = LOCK.replace("\\\n", " ")
    pins = (line for line in joined.splitlines() if line and not line.startswith((" ", "#")))
    return {name_of(pin): pin for pin in pins}


def test_every_locked_package_is_pinned_by_hash() -> None:
    assert len(locked()) > 150
    assert [pin for pin in locked().values() if not re.match(r"\S+==\S+ .*--hash=sha256:[0-9a-f]{64}", pin)] == []


def test_the_lock_names_neither_an_index_nor_a_path() -> None:
    assert re.findall(r".*(?:://|--index-url|--find-links|file:| /).*", LOCK) == []
    assert "make lock" in LOCK.splitlines()[1]


@pytest.mark.parametrize(
    "name",
    [
        "apache-airflow",
        "apache-airflow-providers-apache-hdfs",
        "apache-airflow-providers-apache-iceberg",
        "apache-airflow-providers-cncf-kubernetes",
        "duckdb",
        "hypothesis",
        "import-linter",
        "kazoo",
        "mypy",
        "psycopg2-binary",
        "pyiceberg",
        "pytest",
        "pytest-xdist",
        "requests",
        "ruff",
        "uv",
    ],
)
def test_the_lock_holds_the_whole_product(name: str) -> None:
    assert name in locked()


def test_all_that_is_declared_is_locked() -> None:
    declared = [*PROJECT["project"]["dependencies"], *PROJECT["build-system"]["requires"]]
    for requirements in PROJECT["project"]["optional-dependencies"].values():
        declared += requirements

    assert {name_of(requirement) for requirement in declared} - set(locked()) == NOT_LOCKED


def test_versions_that_internals_are_built_upon_are_held() -> None:
    assert locked()["pyiceberg"].startswith("pyiceberg==0.12.0 ")
    assert locked()["duckdb"].startswith("duckdb==2.0.0 ")
    assert locked()["apache-airflow"].startswith("apache-airflow==3.3.")


def test_the_lock_is_for_the_oldest_supported_python() -> None:
    assert PROJECT["project"]["requires-python"] == ">=3.11"
    assert "--python-version 3.11" in (ROOT / "Makefile").read_text()


@pytest.mark.parametrize(("group", "name"), [("console_scripts", "autostream"), ("airflow.plugins", "autostream")])
def test_entry_points_lead_somewhere(group: str, name: str) -> None:
    (entry,) = entry_points(group=group, name=name)

    assert callable(entry.load())


def test_airflow_finds_the_provider() -> None:
    (entry,) = (
        entry
        for entry in entry_points(group="apache_airflow_provider")
        if entry.module.startswith("autostream_airflow")
    )

    assert entry.load()()["package-name"] == "autostream"


def test_make_explains_itself() -> None:
    plain = {key: value for key, value in os.environ.items() if not key.startswith("MAKE")}
    shown = subprocess.run(["make"], cwd=ROOT, env=plain, capture_output=True, text=True, check=True).stdout

    explained = dict(re.findall(r"^  make (\S+) +(\S.*)$", shown, flags=re.MULTILINE))
    assert [target for target in TARGETS if target not in explained] == []
    declared = re.search(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)
    assert declared
    assert set(declared.group(1).split()) - {"help"} == set(explained) - {"help"}


def test_what_ci_and_make_call_exists_and_can_be_run() -> None:
    makefile = (ROOT / "Makefile").read_text()
    called = [ROOT / name for name in re.findall(r"@(scripts/\S+)", makefile)] + [ROOT / ".ci/run"]

    assert len(called) >= 4
    assert [str(path) for path in called if not os.access(path, os.X_OK)] == []
    steps = (ROOT / ".ci/run").read_text()
    assert [step for step in ("make lint", "make test", "make demo") if step not in steps] == []


@pytest.mark.parametrize(
    "script", [*sorted(ROOT.glob("scripts/**/*.sh")), ROOT / ".ci/run"], ids=lambda path: path.name
)
def test_scripts_are_sound_shell(script: Path) -> None:
    subprocess.run(["bash", "-n", script], check=True)
    assert re.match(r"#!(/usr/bin/env |/bin/)bash\n", script.read_text())


def test_setup_without_python_3_11_says_what_to_do(tmp_path: Path) -> None:
    for name in ("bash", "dirname", "cat", "sha256sum", "cut"):
        (tmp_path / name).symlink_to(subprocess.check_output(["which", name], text=True).strip())

    ended = subprocess.run(
        [tmp_path / "bash", ROOT / "scripts/setup.sh"],
        env={"PATH": str(tmp_path), "VENV": str(tmp_path / "venv")},
        capture_output=True,
        text=True,
    )

    assert ended.returncode == 1
    assert "Python 3.11 was not found (looked for python3.11, python3, python)" in ended.stderr
    assert "set PYTHON to its path" in ended.stderr
    assert not (tmp_path / "venv").exists()


def test_setup_tells_a_copied_environment_its_new_place(tmp_path: Path) -> None:
    """A copy's scripts begin with the path of the original's interpreter, and its project is the original's."""
    copy, old = tmp_path / "copy", "/where/it was"
    (copy / "scripts").mkdir(parents=True)
    for name in ("scripts/setup.sh", "requirements.txt", "pyproject.toml"):
        (copy / name).write_bytes((ROOT / name).read_bytes())
    (copy / "scripts/setup.sh").chmod(0o755)
    (copy / ".venv/bin").mkdir(parents=True)
    (copy / ".venv/pyvenv.cfg").write_text(f"command = python -m venv {old}/.venv\n")
    (copy / ".venv/bin/tool").write_text(f"#!{old}/.venv/bin/python\n")
    python = copy / ".venv/bin/python"
    python.write_text(f'#!/bin/bash\n[[ $1 == -m ]] && echo "$@" >>"{tmp_path}/ran" || exec "{sys.executable}" "$@"\n')
    python.chmod(0o755)
    stamp = copy / ".venv/.autostream-setup"
    fingerprint = subprocess.check_output(
        "cat requirements.txt pyproject.toml scripts/setup.sh | sha256sum | cut -d' ' -f1",
        shell=True,
        cwd=copy,
        text=True,
    )
    stamp.write_text(f"{fingerprint}{old}\n")

    for _ in range(2):
        subprocess.run([copy / "scripts/setup.sh"], check=True, capture_output=True, env={"PATH": os.environ["PATH"]})

    assert (copy / ".venv/bin/tool").read_text() == f"#!{copy}/.venv/bin/python\n"
    assert old not in (copy / ".venv/pyvenv.cfg").read_text()
    assert stamp.read_text() == f"{fingerprint}{copy}\n"
    (installed,) = (tmp_path / "ran").read_text().splitlines()  # once: the second time nothing has changed
    assert installed.startswith("-m pip install")
    assert installed.endswith("-e .")


def test_pre_commit_fetches_nothing() -> None:
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())

    assert {repository["repo"] for repository in hooks["repos"]} == {"local"}
    assert {hook["language"] for hook in hooks["repos"][0]["hooks"]} == {"system"}


NOT_OURS = {"_read_socket"}  # kazoo's: nothing else breaks its connection's thread


def test_no_private_name_is_patched() -> None:
    """A test that replaces what is private breaks with every tidying up, and proves what nobody relies on."""
    attribute, path = (
        r"""(?:setattr|delattr|patch\.object)\([^"']*["'](_(?!_)\w+)["']""",
        r"""["']autostream\w*\.[\w.]*\.(_(?!_)\w+)["']""",
    )
    patched = re.compile(f"{attribute}|{path}")
    found = [
        f"{file.relative_to(ROOT)}: {name}"
        for file in sorted(ROOT.glob("tests/**/*.py"))
        for match in patched.finditer(file.read_text())
        if (name := match[1] or match[2]) not in NOT_OURS
    ]
    assert found == []


SAME_NAME = {
    "main": "what `python -m` runs",
    "markdown": "a page of docs/reference that scripts/docs.py writes",
    "upgrade": "Alembic's name for a revision's step",
}


def public_definitions(file: Path) -> Iterator[str]:
    """What a module defines to be imported; commands and routes, which a decorator registers, are not."""
    for node in ast.parse(file.read_text()).body:
        registered = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and any(
            isinstance(decorator, ast.Call) and ast.unparse(decorator.func).startswith(("app.", "router."))
            for decorator in node.decorator_list
        )
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and not registered:
            yield node.name


def test_a_public_name_means_one_thing() -> None:
    """What is found by its name in one package must not be something else in another."""
    places = defaultdict(list)
    for file in sorted([*ROOT.glob("include/**/*.py"), *ROOT.glob("plugins/**/*.py")]):
        for name in public_definitions(file):
            if not name.startswith("_"):
                places[name].append(str(file.relative_to(ROOT)))
    assert len(places) > 800
    assert {name: found for name, found in places.items() if len(found) > 1 and name not in SAME_NAME} == {}
    assert {name for name in SAME_NAME if len(places[name]) < 2} == set(), "said to be there twice, but is not"


@pytest.mark.parametrize("users", ["commands", "workflows", "dags"])
def test_a_new_package_is_used_by_the_library_first(users: str) -> None:
    """What the contracts do not name would be allowed."""
    contracts = {contract["id"]: contract for contract in PROJECT["tool"]["importlinter"]["contracts"]}
    contract = contracts[f"{users}-use-the-library"]
    packages = {f"autostream.{file.parent.name}" for file in ROOT.glob("include/autostream/*/__init__.py")}
    free = {"autostream.api", "autostream.config", *contract["source_modules"]}
    assert packages - free == {*contract["forbidden_modules"]} & packages
