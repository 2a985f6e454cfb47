import json
import os
import stat
from pathlib import Path

import pytest
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.utils.config import Config
from typer.testing import CliRunner, Result

from autostream.cli.config import app
from autostream.errors import ConfigurationError, UsageError


@pytest.fixture(autouse=True)
def _only_this_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The configuration of the person who runs the tests has no say in them."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("PYICEBERG_HOME", raising=False)
    for name in [name for name in os.environ if name.startswith(("PYICEBERG_CATALOG__", "AUTOSTREAM_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("COLUMNS", "200")


def invoke(*arguments: str) -> Result:
    with pytest.MonkeyPatch.context() as patch:
        # PyIceberg reads the environment once for each process; a command is a process of its own.
        patch.setattr("pyiceberg.catalog._ENV_CONFIG", Config())
        return CliRunner().invoke(app, arguments, catch_exceptions=False)


def test_show_names_each_value_with_its_origin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "autostream.toml").write_text("[engine]\nthreads = 3\n")
    monkeypatch.setenv("AUTOSTREAM_ENGINE__MEMORY_LIMIT", "1GB")
    monkeypatch.setenv("PYICEBERG_CATALOG__LAKE__URI", "http://me:hidden@host:8181")
    monkeypatch.setenv("PYICEBERG_CATALOG__LAKE__TOKEN", "hidden")

    result = invoke("show", "--json")

    document = json.loads(result.stdout)
    values = {f"{value['section']}.{value['key']}": value for value in document["values"]}
    assert values["engine.threads"]["value"] == 3
    assert values["engine.threads"]["origin"] == f"file {tmp_path / 'autostream.toml'}"
    assert values["engine.memory_limit"]["origin"] == "environment AUTOSTREAM_ENGINE__MEMORY_LIMIT"
    assert values["compaction.catalogs"]["origin"] == "default"
    assert document["catalogs"]["lake"] == {"uri": "http://me:********@host:8181", "token": "********"}
    assert "hidden" not in result.output


def test_show_for_people(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYICEBERG_CATALOG__LAKE__TOKEN", "hidden")

    result = invoke("show")

    assert "engine.memory_limit" in result.stdout
    assert "640MB" in result.stdout
    assert "catalog lake: token" in result.stdout
    assert "No autostream.toml found" in result.stdout
    assert "hidden" not in result.output


def test_show_does_not_say_there_is_no_file_when_there_is(tmp_path: Path) -> None:
    (tmp_path / "autostream.toml").write_text('[compaction]\ncatalogs = ["a", "b"]\n')

    result = invoke("show")

    assert "a, b" in result.stdout
    assert "No autostream.toml" not in result.stdout


def test_check_proves_that_catalogs_are_reachable(lake: SqlCatalog) -> None:
    result = invoke("check", "--catalog", "lake", "--json")

    document = json.loads(result.stdout)
    assert result.exit_code == 0
    assert document["ok"] is True
    assert {"subject": "catalog lake", "severity": "ok", "reason": "reachable, 1 namespace"} in document["checks"]


def test_check_says_what_is_wrong_and_checks_the_others_all_the_same(
    lake: SqlCatalog, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PYICEBERG_CATALOG__BROKEN__TYPE", "sql")
    monkeypatch.setenv("PYICEBERG_CATALOG__BROKEN__URI", f"sqlite:///{tmp_path}/missing/folder/lake.db")

    result = invoke("check", "--catalog", "broken", "--catalog", "lake", "--json")

    checks = {check["subject"]: check for check in json.loads(result.stdout)["checks"]}
    assert result.exit_code == 1
    assert checks["catalog broken"]["severity"] == "error"
    assert "unable to open database file" in checks["catalog broken"]["reason"]
    assert checks["catalog lake"]["severity"] == "ok"


def test_check_for_people(lake: SqlCatalog) -> None:
    result = invoke("check")

    assert result.exit_code == 0
    assert "ok     catalog lake: reachable, 1 namespace" in result.stdout


def test_check_without_any_catalog_says_how_to_name_one() -> None:
    with pytest.raises(ConfigurationError, match=r"No catalog is configured.*\.pyiceberg\.yaml"):
        invoke("check")


def test_check_finds_a_spill_directory_that_cannot_be_used(
    lake: SqlCatalog, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    occupied = tmp_path / "occupied"
    occupied.write_text("a file, not a directory")
    monkeypatch.setenv("AUTOSTREAM_ENGINE__SPILL_DIRECTORY", str(occupied))

    result = invoke("check", "--json")

    checks = {check["subject"]: check for check in json.loads(result.stdout)["checks"]}
    assert result.exit_code == 1
    assert "Set engine.spill_directory" in checks["engine.spill_directory"]["reason"]
    assert stat.S_ISREG(occupied.stat().st_mode)


def test_a_spill_directory_that_is_yet_to_be_made_is_fine(
    lake: SqlCatalog, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("AUTOSTREAM_ENGINE__SPILL_DIRECTORY", str(tmp_path / "to" / "be" / "made"))

    assert invoke("check").exit_code == 0
    assert not (tmp_path / "to").exists()


def test_init_writes_every_setting_and_overwrites_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert invoke("init").stdout == "Wrote autostream.toml. Remove the # before each setting that you change.\n"
    written = (tmp_path / "autostream.toml").read_text()
    assert '#memory_limit = "640MB"' in written

    (tmp_path / "autostream.toml").write_text("[engine]\nthreads = 3\n")
    with pytest.raises(UsageError, match=r"autostream\.toml already exists\. Give --force to overwrite it"):
        invoke("init")
    assert (tmp_path / "autostream.toml").read_text() == "[engine]\nthreads = 3\n"

    assert json.loads(invoke("init", "--force", "--json").stdout) == {"file": "autostream.toml"}
    assert (tmp_path / "autostream.toml").read_text() == written

    monkeypatch.setenv("AUTOSTREAM_CONFIG", str(tmp_path / "named.toml"))
    invoke("init")
    assert (tmp_path / "named.toml").read_text() == written
    with pytest.raises(ConfigurationError, match=r"Cannot write .*missing/a\.toml: No such file or directory"):
        invoke("init", "--file", "missing/a.toml")


def test_check_proves_each_cluster_and_says_what_to_write_instead(
    lake: SqlCatalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUTOSTREAM_FLINK__CLUSTERS__PROD__URL", "http://127.0.0.1:1")
    monkeypatch.setenv("AUTOSTREAM_JANITOR__FLINK_URLS", "http://127.0.0.1:2")
    monkeypatch.setenv("AUTOSTREAM_WATERMARK__FLINK_CLUSTERS", "prd")

    result = invoke("check", "--json")

    checks = {check["subject"]: check for check in json.loads(result.stdout)["checks"]}
    assert result.exit_code == 1
    for name in ("prod", "127.0.0.1-2"):
        assert checks[f"flink {name}"]["severity"] == "error"
        assert "Connection refused" in checks[f"flink {name}"]["reason"]
    assert "Did you mean prod?" in checks["watermark.flink_clusters"]["reason"]
    assert checks["configuration"]["severity"] == "warning"
    assert "`janitor.flink_urls`" in checks["configuration"]["reason"]
    assert "warning configuration: " in invoke("check").stdout
