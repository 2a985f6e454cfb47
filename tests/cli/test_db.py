import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from autostream.cli.config import app as config_app
from autostream.cli.main import app
from autostream.store.schema import REVISIONS


@pytest.fixture(autouse=True)
def _own_database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AUTOSTREAM_DATABASE__URL", f"sqlite:///{tmp_path}/a.db")


def test_upgrade_says_what_it_did(tmp_path: Path) -> None:
    first = json.loads(CliRunner().invoke(app, ["db", "upgrade", "--json"], catch_exceptions=False).stdout)
    second = json.loads(CliRunner().invoke(app, ["db", "upgrade", "--json"], catch_exceptions=False).stdout)

    assert first == {
        "database": f"sqlite:///{tmp_path}/a.db",
        "changed": True,
        "revision_before": None,
        "revision": REVISIONS[-1],
    }
    assert second == {**first, "changed": False, "revision_before": REVISIONS[-1]}


def test_upgrade_for_people(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "300")
    assert "upgraded from no tables to" in CliRunner().invoke(app, ["db", "upgrade"]).stdout
    assert f"sqlite:///{tmp_path}/a.db: up to date at" in CliRunner().invoke(app, ["db", "upgrade"]).stdout


def test_config_check_proves_the_database(lake: object, monkeypatch: pytest.MonkeyPatch) -> None:
    def check() -> tuple[int, dict[str, object]]:
        result = CliRunner().invoke(config_app, ["check", "--catalog", "lake", "--json"], catch_exceptions=False)
        checks = {item["subject"]: item for item in json.loads(result.stdout)["checks"]}
        return result.exit_code, checks["database"]

    code, found = check()
    assert code == 0
    assert found["severity"] == "ok"
    assert "is reachable" in str(found["reason"])

    monkeypatch.setenv("AUTOSTREAM_DATABASE__URL", "postgresql+psycopg2://me:hidden@localhost:1/db")
    code, found = check()
    assert code == 1
    assert found["severity"] == "error"
    assert "hidden" not in str(found)
