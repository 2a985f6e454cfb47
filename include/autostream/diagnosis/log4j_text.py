"""Levels of loggers in the text of a `log4j.properties` of Log4j 2. Pure.

What is not a level stays as it is, byte for byte.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from typing import Final

from autostream.errors import UsageError
from autostream.spelling import one_of

ROOT: Final = "root"
"""The logger that all others are below."""
LEVELS: Final = ("OFF", "FATAL", "ERROR", "WARN", "INFO", "DEBUG", "TRACE", "ALL")

_LOGGER: Final = re.compile(r"[A-Za-z_$][\w$-]*(?:\.[A-Za-z_$][\w$-]*)*")
_PROPERTY: Final = re.compile(r"(?P<before>[ \t]*(?P<key>[^\s=:#!]+)[ \t]*[=:][ \t]*)(?P<value>[^\r\n]*)")


def checked_logger(name: str) -> str:
    """Return the name of a logger.

    Raises:
        UsageError: It cannot be one.
    """
    if not _LOGGER.fullmatch(name):
        raise UsageError(f"Invalid logger {name!r}. Write a class or a package, such as org.apache.flink, or root.")
    return name


def checked_level(level: str) -> str:
    """Return a level in capitals.

    Raises:
        UsageError: There is no such level.
    """
    if level.upper() not in LEVELS:
        raise UsageError(f"Unknown level {level!r}. {one_of(level.upper(), LEVELS, 'There are')}")
    return level.upper()


def with_level(text: str, logger: str, level: str) -> str:
    """Return a configuration in which a logger has a level; the rest of it stays as it is."""
    lines = text.splitlines(keepends=True)
    if logger == ROOT:
        return _with_root(lines, level)
    key = next((key.split(".")[1] for _, key, value in _properties(lines) if _names(key) and value == logger), None)
    if key is None:
        return _with_new(lines, logger, level)
    end = _end_of(lines)
    for number, found, _ in _properties(lines):
        if found == f"logger.{key}.level":
            lines[number] = _replaced(lines[number], level)
            return "".join(lines)
    at = next(number for number, found, _ in _properties(lines) if found == f"logger.{key}.name")
    lines[at] = lines[at].rstrip("\r\n") + end
    lines.insert(at + 1, f"logger.{key}.level = {level}{end}")
    return "".join(lines)


def level_of(text: str, logger: str) -> str | None:
    """Return the level that a configuration gives a logger itself; None where it gives none."""
    properties = {key: value for _, key, value in _properties(text.splitlines())}
    if logger == ROOT:
        return properties.get("rootLogger.level") or properties.get("rootLogger", "").partition(",")[0].strip() or None
    keys = [key.split(".")[1] for key, value in properties.items() if _names(key) and value == logger]
    return properties.get(f"logger.{keys[0]}.level") if keys else None


def watched_seconds(text: str) -> int | None:
    """Return how often a process looks whether the configuration has changed; None where it never does."""
    found = [value for _, key, value in _properties(text.splitlines()) if key == "monitorInterval"]
    return int(found[-1]) if found and found[-1].isdecimal() and int(found[-1]) > 0 else None


def is_log4j2(text: str) -> bool:
    """Say whether a text is a configuration of Log4j 2 in the form of properties."""
    return any(key.startswith("rootLogger") for _, key, _ in _properties(text.splitlines()))


def _names(key: str) -> bool:
    parts = key.split(".")
    return len(parts) == 3 and parts[0] == "logger" and parts[2] == "name"


def _with_root(lines: list[str], level: str) -> str:
    for wanted in ("rootLogger.level", "rootLogger"):
        for number, key, value in _properties(lines):
            if key == wanted:
                appenders = value.partition(",")[1:] if wanted == "rootLogger" else ()
                lines[number] = _replaced(lines[number], level + "".join(appenders))
                return "".join(lines)
    return _appended(lines, [f"rootLogger.level = {level}"])


def _with_new(lines: list[str], logger: str, level: str) -> str:
    key = f"autostream{hashlib.sha256(logger.encode()).hexdigest()[:8]}"
    for number, found, value in _properties(lines):
        if found == "loggers":  # the old form, in which a logger counts only if it is listed
            lines[number] = _replaced(lines[number], f"{value}, {key}" if value else key)
    return _appended(lines, [f"logger.{key}.name = {logger}", f"logger.{key}.level = {level}"])


def _appended(lines: list[str], added: list[str]) -> str:
    end = _end_of(lines)
    text = "".join(lines)
    if text and not text.endswith(("\n", "\r")):
        text += end
    if lines and _goes_on(lines[-1].rstrip("\r\n")):  # else the first one would belong to it
        text += end
    return text + "".join(line + end for line in added)


def _properties(lines: list[str]) -> Iterator[tuple[int, str, str]]:
    """Yield the number, key and value of each line that has a property; what goes on over several lines is left out."""
    goes_on = False
    for number, line in enumerate(lines):
        whole = not goes_on
        content = line.rstrip("\r\n")
        goes_on = _goes_on(content)
        match = _PROPERTY.match(line)
        if whole and not goes_on and match is not None:
            yield number, match["key"], match["value"].strip()


def _goes_on(line: str) -> bool:
    return (len(line) - len(line.rstrip("\\"))) % 2 == 1


def _replaced(line: str, value: str) -> str:
    match = _PROPERTY.match(line)
    assert match is not None
    return f"{match['before']}{value}{line[match.end() :]}"


def _end_of(lines: list[str]) -> str:
    return "\r\n" if lines and lines[0].endswith("\r\n") else "\n"
