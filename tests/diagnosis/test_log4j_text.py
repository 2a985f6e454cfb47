"""Levels in the text of a log4j.properties: changed where they are, the rest of it as it was."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autostream.diagnosis.log4j_text import (
    checked_level,
    checked_logger,
    is_log4j2,
    level_of,
    watched_seconds,
    with_level,
)
from autostream.errors import UsageError

FLINK = """# of Flink 2.3
monitorInterval=30

rootLogger.level = ${env:ROOT_LOG_LEVEL:-INFO}
rootLogger.appenderRef.file.ref = MainAppender
logger.kafka.name= org.apache.kafka
logger.kafka.level = INFO
logger.quiet.name = org.quiet
appender.main.layout.pattern = %d{yyyy-MM-dd} \\
    logger.kafka.level = not a property
appender.main.policies.size.size = 100MB
"""


def changed(before: str, after: str) -> list[str]:
    """Return the lines that are not in both, as a diff has them."""
    old, new = before.splitlines(), after.splitlines()
    return [f"-{line}" for line in old if line not in new] + [f"+{line}" for line in new if line not in old]


@pytest.mark.parametrize(
    ("logger", "lines"),
    [
        ("root", ["-rootLogger.level = ${env:ROOT_LOG_LEVEL:-INFO}", "+rootLogger.level = DEBUG"]),
        ("org.apache.kafka", ["-logger.kafka.level = INFO", "+logger.kafka.level = DEBUG"]),
        ("org.quiet", ["+logger.quiet.level = DEBUG"]),
        (
            "com.acme.Enrich",
            ["+logger.autostream40f43deb.name = com.acme.Enrich", "+logger.autostream40f43deb.level = DEBUG"],
        ),
    ],
)
def test_only_the_level_is_changed(logger: str, lines: list[str]) -> None:
    after = with_level(FLINK, logger, "DEBUG")
    assert changed(FLINK, after) == lines
    assert level_of(after, logger) == "DEBUG"
    assert with_level(after, logger, "DEBUG") == after


def test_older_forms() -> None:
    short = "rootLogger = INFO, File\nloggers = a\nlogger.a.name = x\nlogger.a.level = WARN"
    assert with_level(short, "root", "TRACE").startswith("rootLogger = TRACE, File\n")
    assert level_of(short, "root") == "INFO"
    new = with_level(short, "y", "DEBUG")
    assert new.splitlines()[1].startswith("loggers = a, autostream")
    assert new.splitlines()[3] == "logger.a.level = WARN"
    windows = with_level(FLINK.replace("\n", "\r\n"), "y", "DEBUG")
    assert windows.count("\r\n") == windows.count("\n")


def test_what_is_watched() -> None:
    assert watched_seconds(FLINK) == 30
    assert watched_seconds(FLINK.replace("=30", "=0")) is None
    assert watched_seconds("#monitorInterval = 30") is None
    assert is_log4j2(FLINK)
    assert not is_log4j2("log4j.rootLogger=INFO, file\n")  # of Log4j 1
    assert not is_log4j2("<configuration/>")


def test_names_and_levels() -> None:
    assert checked_level("debug") == "DEBUG"
    assert checked_logger("org.apache.flink.runtime.X$Y") == "org.apache.flink.runtime.X$Y"
    with pytest.raises(UsageError, match=r"Unknown level 'DEBG'. There are: .* Did you mean DEBUG"):
        checked_level("DEBG")
    for name in ("", "a..b", "a b", "x\nrootLogger.level = OFF", "a=b", "é"):
        with pytest.raises(UsageError, match="Invalid logger"):
            checked_logger(name)


line = st.sampled_from(FLINK.splitlines()) | st.text("logger.a= \\#xn", max_size=20)


@given(st.lists(line).map("\n".join), st.sampled_from(["root", "org.apache.kafka", "org.quiet", "a.b"]))
def test_any_text_gets_the_level_and_keeps_its_other_lines(text: str, logger: str) -> None:
    after = with_level(text, logger, "ERROR")
    assert len(after.splitlines()) - len(text.splitlines()) in (0, 1, 2, 3)
    assert with_level(with_level(text, logger, "TRACE"), logger, "ERROR") == after
