"""How a table wants to be compacted: its properties, and what a run overrides."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any, Final, TypeVar

from autostream.errors import ConfigurationError
from autostream.sizes import GIB, MIB, parse_size
from autostream.spelling import one_of

PROPERTY_PREFIX: Final = "autostream.compaction."
ENABLED: Final = PROPERTY_PREFIX + "enabled"

TARGET_FILE_SIZE: Final = "write.target-file-size-bytes"


_T = TypeVar("_T", int, float)


def _boolean(text: str) -> bool:
    if text.strip().lower() not in ("true", "false"):
        raise ValueError("it must be true or false")
    return text.strip().lower() == "true"


def _number(kind: Callable[[str], _T], text: str, what: str) -> _T:
    try:
        return kind(text)
    except ValueError:
        raise ValueError(f"it must be {what}") from None


def _at_least(minimum: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        value = _number(int, text, "a whole number")
        if value < minimum:
            raise ValueError(f"it must be at least {minimum}")
        return value

    return parse


def _size(text: str) -> int:
    value = parse_size(text)
    if value < 1:
        raise ValueError("it must be at least 1 byte")
    return value


def _ratio(minimum: float, maximum: float) -> Callable[[str], float]:
    def parse(text: str) -> float:
        value = _number(float, text, "a number")
        if not minimum <= value <= maximum:
            raise ValueError(f"it must be between {minimum:g} and {maximum:g}")
        return value

    return parse


def _choice(*choices: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text not in choices:
            raise ValueError(f"it must be one of {', '.join(choices)}")
        return text

    return parse


def _engine(text: str) -> str:
    # `spark` is for later versions: a table that asks for it can be looked at, and is not compacted.
    if text not in ("duckdb", "spark"):
        raise ValueError("it must be duckdb")
    return text


_PARSERS: dict[str, Callable[[str], Any]] = {
    "enabled": _boolean,
    "engine": _engine,
    "sequence-number": _choice("max-merged", "starting-snapshot"),
    "min-input-files": _at_least(1),
    "delete-file-threshold": _at_least(1),
    "delete-ratio-threshold": _ratio(0, 1),
    "max-file-group-size-bytes": _size,
    "target-file-size-bytes": _size,
    "min-file-size-ratio": _ratio(0, 1),
    "max-file-size-ratio": _ratio(1, 1000),
    "rewrite-all": _boolean,
    "partial-progress.enabled": _boolean,
    "partial-progress.max-commits": _at_least(1),
}


@dataclass(frozen=True)
class CompactionOptions:
    """Selection of files and groups, and how they are committed.

    Names and defaults are those of Iceberg's RewriteDataFiles, but for one: ``delete_file_threshold`` is 10 where
    Iceberg's is off. Iceberg's action counts on deletes being few; a Flink upsert job adds an equality-delete file to
    every partition it touches at each checkpoint, and each reader of the partition has to hold all of them, so a file
    that ten apply to is worth its rewrite.
    """

    enabled: bool = False
    engine: str = "duckdb"
    sequence_number: str = "max-merged"
    min_input_files: int = 5
    delete_file_threshold: int = 10
    delete_ratio_threshold: float = 0.3
    max_file_group_size_bytes: int = 100 * GIB
    target_file_size_bytes: int = 512 * MIB
    min_file_size_ratio: float = 0.75
    max_file_size_ratio: float = 1.8
    rewrite_all: bool = False
    partial_progress_enabled: bool = False
    partial_progress_max_commits: int = 10

    @property
    def min_file_size_bytes(self) -> float:
        """A file below this is too small."""
        return self.target_file_size_bytes * self.min_file_size_ratio

    @property
    def max_file_size_bytes(self) -> float:
        """A file above this is too large."""
        return self.target_file_size_bytes * self.max_file_size_ratio

    @classmethod
    def from_properties(
        cls, properties: Mapping[str, str], overrides: Mapping[str, str] | None = None
    ) -> CompactionOptions:
        """Return the options of a table.

        Args:
            properties: the table's properties; those that are not ``autostream.compaction.*`` are ignored.
            overrides: options of this run, by their names without the prefix.

        Raises:
            ConfigurationError: an option is unknown, or its value is none that it takes.
        """
        values: dict[str, Any] = {}
        if TARGET_FILE_SIZE in properties:
            values["target_file_size_bytes"] = _parse(
                "target-file-size-bytes", properties[TARGET_FILE_SIZE], f"Table property {TARGET_FILE_SIZE}"
            )
        stated = {
            key.removeprefix(PROPERTY_PREFIX): value
            for key, value in properties.items()
            if key.startswith(PROPERTY_PREFIX)
        }
        for source, label in ((stated, f"Table property {PROPERTY_PREFIX}"), (overrides or {}, "Option ")):
            for name, text in source.items():
                attribute = _attribute(name, label)
                values[attribute] = _parse(name, text, label + name)
        return cls(**values)


def _attribute(name: str, label: str) -> str:
    if name not in _PARSERS:
        raise ConfigurationError(f"{label}{name} is unknown. {one_of(name, _PARSERS, 'Known are')}")
    return name.replace("-", "_").replace(".", "_")


def _parse(name: str, text: str, label: str) -> Any:
    try:
        return _PARSERS[name](text)
    except (ValueError, ConfigurationError) as error:
        reason = str(error).rstrip(".")
        raise ConfigurationError(f"{label} is {text!r}: {reason}. Correct or remove it.") from error


assert {_attribute(name, "") for name in _PARSERS} == {f.name for f in fields(CompactionOptions)}
