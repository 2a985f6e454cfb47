"""Each kind of secret, configured at once and each with a password of its own, and each way out of the process."""

import json
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from pyiceberg.utils.config import Config

from autostream.actions import Workbench
from autostream.cli.main import run_command
from autostream.cli.output import configure_logging
from autostream.config import load_settings
from autostream.lake.compaction.compaction_actions import ListTables
from autostream.outcomes import outcome_of_error
from autostream.watermark.reading.mark_reader import describe_failure
from autostream_airflow import worker

AT = "127.0.0.1:1"  # nobody listens there
HIDDEN = [f"hidden{number:02}" for number in range(26)]

SETTINGS = {
    "AUTOSTREAM_WATERMARK__FLINK_URLS": f"http://ops:{HIDDEN[0]}@{AT},http://ops:{HIDDEN[1]}%2F%40x@{AT}",
    "AUTOSTREAM_WATERMARK__WRITERS": '[{"job": "x", "table": "lake.db.t"}]',
    "AUTOSTREAM_JANITOR__FLINK_URLS": f"http://ops:x%2Fy%40z:{HIDDEN[2]}@{AT}",
    "AUTOSTREAM_FLINK__CLUSTERS__EU__URL": f"http://{AT}",
    "AUTOSTREAM_FLINK__CLUSTERS__EU__TOKEN": HIDDEN[20],
    "AUTOSTREAM_FLINK__CLUSTERS__US__URL": f"http://{AT}",
    "AUTOSTREAM_FLINK__CLUSTERS__US__USERNAME": "ops",
    "AUTOSTREAM_FLINK__CLUSTERS__US__PASSWORD": HIDDEN[21],
    "AUTOSTREAM_FLINK__CLUSTERS__US__TLS_KEY_PASSWORD": HIDDEN[22],
    "AUTOSTREAM_DATABASE__URL": f"postgresql+psycopg2://me:{HIDDEN[3]}@{AT}/d?sslpassword={HIDDEN[4]}&password={HIDDEN[5]}",
    "AUTOSTREAM_NOTIFY__TARGETS__DING__URL": f"dingtalk://SEC{HIDDEN[23]}@{HIDDEN[24]}/",
    "AUTOSTREAM_NOTIFY__TARGETS__MAIL__URL": f"mailto://me:{HIDDEN[25]}@{AT}?from=a@example.org&to=b@example.org",
    "AUTOSTREAM_NOTIFY__DINGTALK_URL": f"http://{AT}",
    "AUTOSTREAM_ZOOKEEPER__HOSTS": AT,
    "AUTOSTREAM_ZOOKEEPER__CONNECT_TIMEOUT_SECONDS": "0.2",
    "AUTOSTREAM_ZOOKEEPER__USERNAME": "me",
    "AUTOSTREAM_ZOOKEEPER__PASSWORD": HIDDEN[6],
    "AUTOSTREAM_ZOOKEEPER__TLS_KEY_PASSWORD": HIDDEN[7],
    "PYICEBERG_CATALOG__SQL__TYPE": "sql",
    "PYICEBERG_CATALOG__SQL__URI": f"postgresql+psycopg2://me:{HIDDEN[8]}@{AT}/d",
    "PYICEBERG_CATALOG__SQL__WAREHOUSE": f"s3://KEY:{HIDDEN[9]}@bucket/w",
    "PYICEBERG_CATALOG__SQL__S3__SECRET_ACCESS_KEY": HIDDEN[10],
    "PYICEBERG_CATALOG__REST__TYPE": "rest",
    "PYICEBERG_CATALOG__REST__URI": f"http://me:{HIDDEN[11]}@{AT}/?token={HIDDEN[12]}",
    "PYICEBERG_CATALOG__REST__CREDENTIAL": f"client:{HIDDEN[13]}",
    "PYICEBERG_CATALOG__REST__HEADER__X_VENDOR": HIDDEN[14],
    "PYICEBERG_CATALOG__REST__VENDOR__PIN": HIDDEN[15],
    "PYICEBERG_CATALOG__HIVE__TYPE": "hive",
    "PYICEBERG_CATALOG__HIVE__URI": f"thrift://me:{HIDDEN[16]}@{AT}",
    "PYICEBERG_CATALOG__HIVE__ZOOKEEPER__PASSWORD": HIDDEN[17],
    "PYICEBERG_CATALOG__ODD__TYPE": "vendor",
    "PYICEBERG_CATALOG__ODD__ACCOUNT": HIDDEN[18],
    "PYICEBERG_CATALOG__ODD__TOKEN": HIDDEN[19],
}  # fmt: skip


@pytest.fixture(autouse=True)
def _configured(logging_as_found: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("PYICEBERG_HOME", raising=False)
    for name in [name for name in os.environ if name.startswith(("PYICEBERG_CATALOG__", "AUTOSTREAM_"))]:
        monkeypatch.delenv(name)
    for name, value in SETTINGS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("pyiceberg.catalog._ENV_CONFIG", Config())


def command(*arguments: str, **environ: str) -> str:
    """Runs a command that prints all that all libraries log meanwhile, with tracebacks."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["autostream", "-vv", *arguments])
        for name, value in environ.items():
            patch.setenv(name, value)
        with suppress(SystemExit):
            run_command()
    return ""


def page(path: str) -> str:
    from fastapi.testclient import TestClient

    from autostream.access.roles import Role
    from tests.console.support import known_app

    configure_logging(2)  # as `autostream serve` does
    with TestClient(known_app(Role.VIEWER), base_url="http://localhost", raise_server_exceptions=False) as client:
        return client.get(path).text


def tasks() -> str:
    """What becomes XCom of workflows."""
    bench = Workbench(load_settings())
    requests = [ListTables(catalog=name).to_document() for name in ("sql", "rest", "hive", "odd")]
    answers = [worker.reply_to(request, bench) for request in requests]
    answers.append(outcome_of_error("t", ValueError(SETTINGS["AUTOSTREAM_DATABASE__URL"])))
    return json.dumps(answers) + describe_failure(ValueError(SETTINGS["PYICEBERG_CATALOG__REST__URI"]))


@pytest.mark.parametrize(
    ("way_out", "says"),
    [
        (lambda: command("config", "show"), "PyIceberg's configuration"),
        (lambda: command("config", "show", "--json"), '"catalogs"'),
        (lambda: command("config", "check"), "failed"),
        (lambda: command("config", "check", "--json"), '"ok": false'),
        (lambda: command("table", "list", "sql"), "error: "),
        (lambda: command("table", "list", "rest"), "error: "),
        (lambda: command("db", "upgrade"), "error: "),
        (lambda: command("lock", "list", "--json"), "error: "),
        (lambda: command("watermark", "record", "--for", "0.1", AUTOSTREAM_ZOOKEEPER__HOSTS=""), "did not answer"),
        (lambda: command("notify", "send-test", "ding"), "did not answer"),
        (lambda: command("notify", "send-test", "mail"), "was not taken"),
        (lambda: command("notify", "list"), "error: "),
        (lambda: page("/"), "Cannot "),
        (lambda: page("/api/tables/sql.db.t/watermark"), "detail"),
        (lambda: page("/tables/odd.db.t"), "Cannot open"),
        (tasks, "Cannot "),
    ],
)
def test_no_way_out_shows_a_secret(
    way_out: Callable[[], str],
    says: str,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
    recwarn: pytest.WarningsRecorder,
) -> None:
    shown = way_out() + "".join(capsys.readouterr())
    shown += "".join(str(warning.message) for warning in recwarn)
    assert says in shown
    assert [secret for secret in HIDDEN if secret in shown] == []
