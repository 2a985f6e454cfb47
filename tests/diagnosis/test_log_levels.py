"""Log levels changed for a while: exact undo, crashes at every step, others who write the same file, many at once."""

import stat
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from autostream.config.sections.flink import FlinkKubernetesSettings, FlinkSettings
from autostream.diagnosis.level_targets import ConfigMapTarget, FileTarget, level_target_of
from autostream.diagnosis.log_levels import LogLevels
from autostream.errors import (
    AutostreamError,
    ConfigurationError,
    ConflictError,
    NotFoundError,
    ServiceError,
    UsageError,
)
from autostream.store.database import Database
from autostream.store.journal import Journal
from tests.diagnosis.test_log4j_text import FLINK
from tests.support.clocks import FakeClock
from tests.support.flink_clusters import cluster_at

MINUTE = 60_000


class Crash(BaseException):
    """The process is killed here."""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "conf" / "log4j.properties"
    path.parent.mkdir()
    path.write_text(FLINK)
    path.chmod(0o640)
    return path


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = Database(f"sqlite:///{tmp_path}/a.db")
    yield database
    database.close()


@pytest.fixture
def settings(file: Path) -> FlinkSettings:
    return FlinkSettings(clusters=(cluster_at("http://127.0.0.1:1", log4j_file=str(file)),))


@pytest.fixture
def levels(settings: FlinkSettings, database: Database, clock: FakeClock) -> LogLevels:
    return LogLevels(settings, database)


def kinds(database: Database) -> list[str]:
    with database.read() as connection:
        return [entry.kind for entry in Journal(connection).read("log-levels/prod")]


def test_a_level_is_set_and_reset_when_its_time_is_over(
    levels: LogLevels, file: Path, clock: FakeClock, database: Database
) -> None:
    found = levels.set("prod/orders", "com.acme", "debug", for_ms=15 * MINUTE, why="it is slow")
    assert "com.acme\n" in file.read_text()
    assert (found.place, found.seen_within_seconds) == (f"file {file}", 30)
    (change,) = levels.changes()
    assert (change.cluster, change.logger, change.level, change.before, change.why) == (
        "prod",
        "com.acme",
        "DEBUG",
        None,
        "it is slow",
    )
    clock.advance(14 * 60)
    assert levels.reset_due() == ((), ())
    clock.advance(60)
    assert levels.reset_due() == ((change,), ())
    assert file.read_text() == FLINK
    assert stat.S_IMODE(file.stat().st_mode) == 0o640
    assert [one.name for one in file.parent.iterdir()] == [file.name]
    assert levels.changes() == ()
    assert kinds(database) == ["log-level-set", "log-level-reset", "log-levels-as-before"]


def test_several_levels_in_any_order(levels: LogLevels, file: Path, clock: FakeClock) -> None:
    levels.set("prod/orders", "root", "DEBUG", for_ms=10 * MINUTE)
    levels.set("prod/clicks", "org.apache.kafka", "WARN", for_ms=5 * MINUTE)
    levels.set("prod/orders", "root", "TRACE", for_ms=20 * MINUTE)
    assert [(one.logger, one.level, one.before) for one in levels.changes("prod/x")] == [
        ("org.apache.kafka", "WARN", "INFO"),
        ("root", "TRACE", "${env:ROOT_LOG_LEVEL:-INFO}"),
    ]
    clock.advance(6 * 60)
    levels.reset_due()
    assert file.read_text() == FLINK.replace("${env:ROOT_LOG_LEVEL:-INFO}", "TRACE")
    with pytest.raises(UsageError, match=r"The level of 'com.acme' is not changed in cluster prod. Changed are: root"):
        levels.reset("prod/x", loggers=["com.acme"])
    assert [one.logger for one in levels.reset("prod/x", loggers=["root"])] == ["root"]
    assert file.read_text() == FLINK
    assert levels.reset("prod/x") == ()


def test_when_all_is_reset_the_file_is_others_again(levels: LogLevels, file: Path) -> None:
    levels.set("prod/orders", "root", "DEBUG", for_ms=MINUTE)
    levels.reset("prod/orders")
    file.write_text(FLINK + "# edited\n")
    assert levels.reset_due() == ((), ())
    levels.set("prod/orders", "root", "DEBUG", for_ms=MINUTE)
    levels.reset("prod/orders")
    assert file.read_text() == FLINK + "# edited\n"


def test_a_file_that_others_have_written_is_left_alone(levels: LogLevels, file: Path, clock: FakeClock) -> None:
    levels.set("prod/orders", "root", "DEBUG", for_ms=MINUTE)
    theirs = file.read_text() + "# edited\n"
    file.write_text(theirs)
    clock.advance(61)
    done, (problem,) = levels.reset_due()
    assert done == ()
    assert "Others have written the file" in problem
    assert "root DEBUG (before: ${env:ROOT_LOG_LEVEL:-INFO})" in problem
    for attempt in (
        lambda: levels.reset("prod/orders"),
        lambda: levels.set("prod/orders", "com.acme", "DEBUG", for_ms=MINUTE),
    ):
        with pytest.raises(ConflictError, match="log-level prod/JOB --reset --forget"):
            attempt()
    assert file.read_text() == theirs
    assert [one.logger for one in levels.reset("prod/orders", forget=True)] == ["root"]
    assert file.read_text() == theirs
    assert levels.changes() == levels.reset("prod/orders") == ()


# --------------------------------------------------------------------------------------------- crashes
class Killing:
    """A target at which a process is killed before or after it writes."""

    def __init__(self, target: FileTarget, *, after: bool) -> None:
        self.target, self.after = target, after
        self.place, self.slow_seconds = target.place, 0

    def read(self) -> tuple[str, str]:
        return self.target.read()

    def write(self, text: str, *, version: str) -> None:
        if self.after:
            self.target.write(text, version=version)
        raise Crash


class KilledAfter(Database):
    """A database that kills a process right after its n-th writing."""

    left = 10**6

    def write(self) -> Any:
        self.left -= 1
        if self.left < 0:
            raise Crash
        return super().write()


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("step", ["set", "reset"])
def test_killed_before_or_after_writing_the_file(
    settings: FlinkSettings, database: Database, file: Path, clock: FakeClock, step: str, after: bool
) -> None:
    whole = LogLevels(settings, database)
    killed = LogLevels(settings, database, level_target_of=lambda s, c: Killing(FileTarget(file), after=after))
    if step == "reset":
        whole.set("prod/orders", "com.acme", "DEBUG", for_ms=MINUTE)
    work = (lambda: killed.set("prod/orders", "com.acme", "DEBUG", for_ms=MINUTE)) if step == "set" else None
    with pytest.raises(Crash):
        (work or (lambda: killed.reset("prod/orders")))()
    assert (file.read_text() == FLINK) is ((step == "set") is not after)
    clock.advance(61)
    done, problems = LogLevels(settings, database).reset_due()
    assert problems == ()
    assert [one.logger for one in done] == (["com.acme"] if step == "set" else [])
    assert file.read_text() == FLINK
    assert LogLevels(settings, database).changes() == ()


@pytest.mark.parametrize("writings", [0, 1, 2, 3])
def test_killed_before_any_entry_of_the_journal(
    settings: FlinkSettings, tmp_path: Path, file: Path, clock: FakeClock, writings: int
) -> None:
    url = f"sqlite:///{tmp_path}/k.db"
    Database(url).upgrade()
    killed = KilledAfter(url)
    killed.left = writings
    levels = LogLevels(settings, killed)
    try:
        levels.set("prod/orders", "com.acme", "DEBUG", for_ms=MINUTE)
        levels.reset("prod/orders")
    except Crash:
        pass
    clock.advance(61)
    whole = LogLevels(settings, Database(url))
    assert whole.reset_due()[1] == ()
    assert file.read_text() == FLINK
    assert whole.changes() == ()
    killed.close()


def test_what_cannot_be_written_is_not_said_to_be_set(
    levels: LogLevels, settings: FlinkSettings, database: Database, file: Path
) -> None:
    class ReadOnly(Killing):
        def write(self, text: str, *, version: str) -> None:
            raise ServiceError("Cannot write it.")

    refused = LogLevels(settings, database, level_target_of=lambda s, c: ReadOnly(FileTarget(file), after=False))
    with pytest.raises(ServiceError, match="Cannot write it"):
        refused.set("prod/orders", "root", "DEBUG", for_ms=MINUTE)
    assert levels.changes() == ()
    assert file.read_text() == FLINK
    assert kinds(database) == ["log-level-set", "log-level-not-set"]
    levels.set("prod/orders", "root", "WARN", for_ms=MINUTE)
    with pytest.raises(ServiceError):
        refused.set("prod/orders", "root", "TRACE", for_ms=MINUTE)
    assert [(one.logger, one.level) for one in levels.changes()] == [("root", "WARN")]
    levels.reset("prod/orders")
    assert file.read_text() == FLINK


def test_many_processes_at_once(settings: FlinkSettings, tmp_path: Path, file: Path) -> None:
    url = f"sqlite:///{tmp_path}/m.db"
    Database(url).upgrade()

    def work(number: int) -> int:
        database = Database(url)
        levels, made = LogLevels(settings, database), 0
        for turn in range(4):
            try:
                levels.set("prod/orders", f"com.acme.L{number}", "DEBUG", for_ms=1000 * MINUTE)
                made += 1
                if turn % 2:
                    levels.reset("prod/orders", loggers=[f"com.acme.L{number}"])
            except (ConflictError, UsageError):
                continue
        database.close()
        return made

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(work, range(4))) > 0
    levels = LogLevels(settings, Database(url))
    assert levels.reset_due()[1] == ()
    for change in levels.changes():
        assert f"= {change.logger}\n" in file.read_text()
    levels.reset("prod/orders")
    assert file.read_text() == FLINK
    assert [one.name for one in file.parent.iterdir()] == [file.name]


# ------------------------------------------------------------------------------------ what cannot be done
@pytest.mark.parametrize(
    ("text", "says"),
    [
        (FLINK.replace("monitorInterval=30\n", ""), "has no monitorInterval"),
        ("log4j.rootLogger=INFO, file\n", "is not a log4j.properties of Log4j 2"),
    ],
)
def test_configurations_that_cannot_be_changed(levels: LogLevels, file: Path, text: str, says: str) -> None:
    file.write_text(text)
    with pytest.raises(ConfigurationError, match=says):
        levels.set("prod/orders", "root", "DEBUG", for_ms=MINUTE)
    assert file.read_text() == text
    assert levels.changes() == ()


def test_what_is_refused(levels: LogLevels, file: Path) -> None:
    for options, says in (
        ({"job": "prod"}, "Invalid job name"),
        ({"level": "LOUD"}, "Unknown level"),
        ({"logger": "a b"}, "Invalid logger"),
        ({"for_ms": 25 * 60 * MINUTE}, "cannot be set for 1 d 1 h"),
        ({"for_ms": 0}, "Choose between 1s and 24h"),
    ):
        given: dict[str, Any] = {"job": "prod/x", "logger": "root", "level": "DEBUG", "for_ms": MINUTE, **options}
        with pytest.raises(UsageError, match=says):
            levels.set(given["job"], given["logger"], given["level"], for_ms=given["for_ms"])
    with pytest.raises(NotFoundError, match="Unknown Flink cluster 'uk'"):
        levels.set("uk/x", "root", "DEBUG", for_ms=MINUTE)
    file.unlink()
    with pytest.raises(NotFoundError, match=r"There is no file .* Correct `log4j_file`"):
        levels.set("prod/x", "root", "DEBUG", for_ms=MINUTE)
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(AutostreamError, match="is not UTF-8 text"):
        levels.set("prod/x", "root", "DEBUG", for_ms=MINUTE)


def test_where_configurations_are(file: Path) -> None:
    kubernetes = FlinkKubernetesSettings(name="k8s.eu", context="eu")
    settings = FlinkSettings(
        clusters=(
            cluster_at("http://a", name="bare"),
            cluster_at("http://a", name="file", log4j_file=str(file)),
            cluster_at("http://a", name="map", log4j_config_map="flink/flink-config-x"),
        ),
        kubernetes=(kubernetes,),
    )
    assert level_target_of(settings, "file") == FileTarget(file)
    assert level_target_of(settings, "k8s.eu.trade.orders") == ConfigMapTarget(
        kubernetes, "trade", "flink-config-orders"
    )
    found = level_target_of(settings, "map")
    assert isinstance(found, ConfigMapTarget)
    assert (found.namespace, found.name, found.place) == ("flink", "flink-config-x", "ConfigMap flink/flink-config-x")
    with pytest.raises(ConfigurationError, match=r"set `log4j_file` .* On YARN each container"):
        level_target_of(settings, "bare")
    with pytest.raises(NotFoundError, match=r"k8s.eu.NAMESPACE.NAME"):
        level_target_of(settings, "k8s.us.trade.orders")


def test_a_link_stays_one(tmp_path: Path, file: Path) -> None:
    link = tmp_path / "link.properties"
    link.symlink_to(file)
    target = FileTarget(link)
    text, version = target.read()
    target.write(text + "# x\n", version=version)
    assert link.is_symlink()
    assert file.read_text() == FLINK + "# x\n"
    with pytest.raises(ConflictError, match="at the same time"):
        target.write(text, version=version)
