"""What is configured, and where each value came from.

Values come from defaults, then from `autostream.toml` (the file that AUTOSTREAM_CONFIG names, else the one in the
working directory, if there is one), then from environment variables AUTOSTREAM_SECTION__KEY. Iceberg catalogs are not
among them: PyIceberg's own configuration holds those.
"""

from __future__ import annotations

import difflib
import json
import os
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    SecretStr,
    ValidationError,
    field_validator,
)

from autostream.errors import ConfigurationError
from autostream.masking import MASK, learn, learn_from, mask_setting, secrets_in
from autostream.sizes import GIB

FILE_NAME: Final = "autostream.toml"
FILE_VARIABLE: Final = "AUTOSTREAM_CONFIG"
VARIABLE_PREFIX: Final = "AUTOSTREAM_"


def _split_list(value: object) -> object:
    """Lets an environment variable hold a list: `lake, archive`."""
    if isinstance(value, str):
        return [item for item in (part.strip() for part in value.split(",")) if item]
    return value


NameList = Annotated[tuple[str, ...], BeforeValidator(_split_list)]
SizeText = Annotated[str, Field(pattern=r"^\s*\d+(\.\d+)?\s*([KMGT]i?)?B?\s*$")]


class Section(BaseModel):
    """Base of all sections of the configuration."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True, hide_input_in_errors=True)

    def model_post_init(self, _context: object) -> None:
        """Have the secrets among the values hidden from now on."""
        for key in type(self).model_fields:
            value = getattr(self, key)
            if isinstance(value, SecretStr):
                learn(value.get_secret_value())
            elif isinstance(value, str | tuple):
                for text in (value,) if isinstance(value, str) else value:
                    learn(*secrets_in(str(text)))


class EngineSettings(Section):
    """What the embedded engine (DuckDB) may use of the machine; per process."""

    memory_limit: SizeText = Field(
        default="640MB",
        description="Memory that the engine may use before it spills to disk, such as 640MB or 2GiB. The whole process "
        "takes some 300 MB more.",
    )
    threads: int = Field(default=0, ge=0, le=1024, description="Threads of the engine; 0: one for each core.")
    spill_directory: str = Field(
        default="", description="Where the engine spills to; empty: the system's directory for temporary files."
    )


class CompactionSettings(Section):
    """How the hourly compaction workflow shares out its work. Tables choose themselves what is done to them."""

    catalogs: NameList = Field(
        default=(),
        description="Names of the catalogs whose tables are looked through; empty: every catalog that PyIceberg's own "
        "configuration names. In the environment: separated by commas.",
    )
    batch_size_bytes: int = Field(
        default=GIB,
        ge=1,
        description="Tables are put into one work item until their files to be rewritten reach this size.",
    )
    split_size_bytes: int = Field(
        default=20 * GIB,
        ge=1,
        description="A table with more than this to rewrite is split by partition into several work items.",
    )
    max_work_items: int = Field(
        default=256,
        ge=1,
        le=1024,
        description="The most work items of one run; Airflow's `core.max_map_length` (1024) is the upper bound.",
    )
    table_timeout_seconds: int = Field(
        default=3000, ge=1, description="A table that takes longer is given up, and fails the run at its end."
    )


class ZooKeeperSettings(Section):
    """The ZooKeeper ensemble that locks tables."""

    hosts: str = Field(
        default="", description="Servers as `host:port`, separated by commas; empty: there is no ZooKeeper."
    )
    root: str = Field(default="/autostream", pattern=r"^/[^/]+(/[^/]+)*$", description="Node below which all is kept.")
    session_timeout_seconds: float = Field(
        default=10.0,
        gt=0,
        le=600,
        description="A holder that the ensemble has not heard of for this long loses its locks. The servers allow 2 to "
        "20 of their ticks: by default 4 to 40 s.",
    )
    connect_timeout_seconds: float = Field(
        default=10.0, gt=0, le=600, description="How long a connection is tried for, and an answer waited for."
    )
    username: str = Field(
        default="",
        description="Account of digest or SASL authentication; with Kerberos the principal, empty: the ticket's.",
    )
    password: SecretStr = Field(default=SecretStr(""), description="Its password.")
    sasl_mechanism: Literal["", "DIGEST-MD5", "GSSAPI"] = Field(
        default="",
        description="SASL: `GSSAPI` for Kerberos or `DIGEST-MD5`; empty: none, a username then is one of the digest "
        "scheme.",
    )
    sasl_service: str = Field(default="zookeeper", description="Kerberos service name of the servers.")
    acl: Literal["creator", "open"] = Field(
        default="creator",
        description="Who may change nodes: the account that made them (anybody, where no account is "
        "configured), or anybody.",
    )
    tls: bool = Field(default=False, description="Connect by TLS; certificate and host name are verified.")
    tls_ca: str = Field(default="", description="File of the certificates that sign the servers'; empty: the system's.")
    tls_certificate: str = Field(default="", description="File of the client's certificate; empty: none.")
    tls_key: str = Field(default="", description="File of the client's key; empty: it is in the certificate's.")
    tls_key_password: SecretStr = Field(default=SecretStr(""), description="Password of the key.")


class JanitorSettings(Section):
    """How stale Hive locks are told from live ones."""

    catalogs: NameList = Field(
        default=(),
        description="Names of the Hive catalogs whose locks are looked through; empty: every Hive catalog that "
        "PyIceberg's own configuration names. In the environment: separated by commas.",
    )
    flink_urls: NameList = Field(
        default=(),
        description="REST addresses of the Flink clusters that write the tables, such as http://jobmanager:8081: they "
        "are asked whether the job that may hold a lock still runs.",
    )
    stale_after_seconds: int = Field(
        default=600,
        ge=1,
        description="A lock is looked into when the metastore has not heard of its holder for this long. Iceberg's "
        "writers send a heartbeat every 240 s: keep it above.",
    )
    record_file: str = Field(
        default="", description="File to which each released lock is appended, a JSON line; empty: only the log has it."
    )


class WriterRule(BaseModel):
    """Which Flink jobs write to which table, and under which name."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    job: str = Field(description="Regular expression for the whole name of the job.")
    table: str = Field(description="CATALOG.NAMESPACE.TABLE; {NAME} stands for a named group of `job`.")
    writer: str = Field(default="{job}", description="Name of the writer; {job} stands for the job's name.")
    operator: str = Field(
        default="",
        description="Regular expression found in the name of the sink's operator; for a job that writes to several "
        "tables.",
    )
    ends_forever: bool = Field(
        default=False,
        description="A job that ends by itself has written all that this writer ever will: the table is complete for "
        "ever, until a new run of the writer takes that back.",
    )

    @field_validator("job", "operator")
    @classmethod
    def _compiles(cls, pattern: str) -> str:
        try:
            re.compile(pattern)
        except re.error as error:
            raise ValueError(f"{pattern!r} is no regular expression: {error}") from error
        return pattern


def _parse_rules(value: object) -> object:
    """Lets an environment variable hold rules, as a JSON list."""
    if isinstance(value, str):
        try:
            return json.loads(value or "[]")
        except json.JSONDecodeError as error:
            raise ValueError(f"is no JSON list: {error}") from error
    return value


class WatermarkSettings(Section):
    """How watermarks are recorded in tables, and read where nobody records them."""

    flink_urls: NameList = Field(
        default=(),
        description="REST addresses of the Flink clusters whose jobs are recorded, such as http://jobmanager:8081. In "
        "the environment: separated by commas.",
    )
    writers: Annotated[tuple[WriterRule, ...], BeforeValidator(_parse_rules)] = Field(
        default=(),
        description="Which jobs write to which tables: [[watermark.writers]] with `job`, `table`, `writer`, `operator` "
        "and `ends_forever`. A job can say it itself, by its parameter autostream.watermark.table. In the environment: "
        "a JSON list.",
    )
    interval_seconds: float = Field(
        default=60.0,
        gt=0,
        le=86400,
        description="A table gets at most one commit of watermarks in this time: each is in the way of its writers.",
    )
    poll_seconds: float = Field(
        default=5.0, gt=0, le=3600, description="How often the recorder looks whether a table has new commits."
    )
    trigger_checkpoints: bool = Field(
        default=False,
        description="Have Flink make a checkpoint after each reading of a watermark instead of awaiting its next one.",
    )
    retire_after_seconds: float = Field(
        default=0.0,
        ge=0,
        description="A writer whose watermark has not advanced for this long is retired: its table no longer waits for "
        "it. 0: never, since an outage of the writer looks the same.",
    )
    max_ahead_seconds: float = Field(
        default=600.0,
        ge=0,
        description="A watermark further ahead of now than this is not believed: `watermark set` refuses it without "
        "--force, the recorder does not record it, and what is derived does not count.",
    )
    concurrency: int = Field(default=8, ge=1, le=64, description="Requests to Flink and to catalogs at a time.")
    property_keys: NameList = Field(
        default=(),
        description="Table properties in which other tools keep watermarks, such as Amoro's watermark.table or one a "
        "region: epoch ms, or ISO 8601 with offset. A table that has any needs all; the lowest counts.",
    )
    summary_keys: NameList = Field(
        default=(),
        description="Keys of snapshot summaries with watermarks, beside Kafka Connect's "
        "kafka.connect.valid-through-ts, which is always understood. A table that has any needs all; the lowest "
        "counts.",
    )
    publish_tables: NameList = Field(
        default=(),
        description="Tables whose complete hours the workflow `watermark_publish` makes asset events of. In the "
        "environment: separated by commas.",
    )
    publish_from: str = Field(
        default="",
        description="The first hour that is published of a table that is new to it, such as 2026-11-23T00:00Z; empty: "
        "the hour that the table's watermark is in by then.",
    )
    publish_hours_per_run: int = Field(
        default=48, ge=1, le=1000, description="The most hours of a table that one run publishes; the next goes on."
    )


class DatabaseSettings(Section):
    """The control-plane database: the history of watermarks."""

    url: str = Field(
        default="",
        repr=False,
        description="SQLAlchemy URL, such as postgresql+psycopg2://autostream@localhost/autostream; empty: the SQLite "
        "file autostream/autostream.db in XDG_STATE_HOME or ~/.local/state. SQLite is brought up to date by itself, "
        "PostgreSQL by `autostream db upgrade`.",
    )
    history_days: int = Field(
        default=90,
        ge=3,
        le=3650,
        description="How long the history of watermarks is kept; after two days, of each quarter of an hour that a "
        "watermark passed through the first record only.",
    )


class ConsoleSettings(Section):
    """The console: web pages and REST, served by `autostream serve`."""

    url: str = Field(
        default="",
        pattern=r"^(https?://\S+)?$",
        description="Address at which people reach the console, such as https://autostream.example.org: links lead "
        "there; empty: there are no links.",
    )


@dataclass(frozen=True)
class SettingValue:
    """One effective value: what it is and where it came from.

    Attributes:
        section: Name of the section, such as `engine`.
        key: Name within the section.
        value: The value as a plain JSON value; masked when it is a secret.
        origin: `default`, `file PATH` or `environment NAME`.
        description: What it means.
    """

    section: str
    key: str
    value: Any
    origin: str
    description: str


class Settings(BaseModel):
    """All effective values; made by `load_settings`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    engine: EngineSettings = Field(default_factory=EngineSettings)
    compaction: CompactionSettings = Field(default_factory=CompactionSettings)
    zookeeper: ZooKeeperSettings = Field(default_factory=ZooKeeperSettings)
    janitor: JanitorSettings = Field(default_factory=JanitorSettings)
    watermark: WatermarkSettings = Field(default_factory=WatermarkSettings)
    database: DatabaseSettings = Field(default_factory=DatabaseSettings)
    console: ConsoleSettings = Field(default_factory=ConsoleSettings)

    _origins: dict[tuple[str, str], str] = PrivateAttr(default_factory=dict)
    _file: Path | None = PrivateAttr(default=None)

    @property
    def file(self) -> Path | None:
        """The file that was read, or None."""
        return self._file

    def origin(self, section: str, key: str) -> str:
        """Where the value of `section.key` came from: `default`, `file PATH` or `environment NAME`."""
        return self._origins.get((section, key), "default")

    def values(self) -> Iterator[SettingValue]:
        """All values, in the order in which they are documented, secrets masked."""
        for section_name in type(self).model_fields:
            section: Section = getattr(self, section_name)
            for key, field in type(section).model_fields.items():
                yield SettingValue(
                    section=section_name,
                    key=key,
                    value=_plain(key, getattr(section, key)),
                    origin=self.origin(section_name, key),
                    description=field.description or "",
                )


def load_settings(*, environ: Mapping[str, str] | None = None, directory: Path | None = None) -> Settings:
    """Read the configuration.

    Args:
        environ: Environment variables; those of the process when None.
        directory: Where `autostream.toml` is looked for when AUTOSTREAM_CONFIG is not set; the working directory when
            None.

    Raises:
        ConfigurationError: The file is missing or is no TOML, a section or key is unknown, or a value is not allowed.
            The message names the key, the file or variable, and what is allowed.
    """
    variables = os.environ if environ is None else environ
    file = find_file(variables, directory=directory)
    values, origins = _from_file(file) if file else ({}, {})
    for name, (section, key), text in _from_environment(variables):
        values.setdefault(section, {})[key] = text
        origins[section, key] = f"environment {name}"
    try:
        settings = Settings.model_validate(values)
    except ValidationError as error:
        raise ConfigurationError(_explain(error, origins)) from error
    settings._origins = origins
    settings._file = file
    return settings


def find_file(environ: Mapping[str, str], *, directory: Path | None = None) -> Path | None:
    """Return the configuration file that counts, or None when there is none.

    Raises:
        ConfigurationError: AUTOSTREAM_CONFIG names a file that does not exist.
    """
    named = environ.get(FILE_VARIABLE, "").strip()
    if named:
        path = Path(named).expanduser()
        if not path.is_file():
            raise ConfigurationError(
                f"{FILE_VARIABLE} names {path}, which is no file. Correct the path, or unset {FILE_VARIABLE}."
            )
        return path
    path = (directory or Path.cwd()) / FILE_NAME
    return path if path.is_file() else None


def configured_catalogs(settings: Settings) -> tuple[str, ...]:
    """Names of the catalogs to look through: those of `compaction.catalogs`, else all that PyIceberg's own has."""
    return settings.compaction.catalogs or tuple(pyiceberg_catalogs())


def pyiceberg_catalogs() -> dict[str, dict[str, str]]:
    """Return the catalogs of PyIceberg's own configuration: name -> properties, secrets not masked.

    Raises:
        ConfigurationError: The configuration is no mapping of catalogs.
    """
    from pyiceberg.utils.config import Config

    try:
        catalogs = Config().config.get("catalog") or {}
    except Exception as error:
        raise unreadable(error) from None
    if not isinstance(catalogs, dict):
        raise ConfigurationError("PyIceberg's configuration is wrong: `catalog` must map names to properties.")
    found = {str(name): properties for name, properties in sorted(catalogs.items()) if isinstance(properties, dict)}
    for properties in found.values():
        learn_from(properties)
    return {name: {str(key): str(value) for key, value in properties.items()} for name, properties in found.items()}


def unreadable(error: Exception) -> ConfigurationError:
    """Return what to tell of a file of PyIceberg's that is no YAML."""
    return ConfigurationError(
        f"PyIceberg's configuration cannot be read: {_without_content(error)}. See .pyiceberg.yaml in "
        "PYICEBERG_HOME, the home directory or the working directory."
    )


def _without_content(error: Exception) -> str:
    """Return what is wrong with PyIceberg's configuration, without what it says: that may be a secret."""
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    return f"line {mark.line + 1} is wrong" if mark else str(error).partition(", value: ")[0]


def is_hive_catalog(properties: Mapping[str, str]) -> bool:
    """Whether a catalog with these properties of PyIceberg is one of Hive Metastore."""
    kind = properties.get("type", "").lower() or properties.get("py-catalog-impl", "")
    return "hive" in kind.lower() or (not kind and properties.get("uri", "").startswith("thrift"))


def _plain(key: str, value: object) -> Any:
    if isinstance(value, SecretStr):
        return MASK if value.get_secret_value() else ""
    if isinstance(value, BaseModel):
        return value.model_dump()
    if isinstance(value, tuple):
        return [_plain(key, item) for item in value]
    return mask_setting(key, value)


def _from_file(file: Path) -> tuple[dict[str, dict[str, Any]], dict[tuple[str, str], str]]:
    try:
        document = tomllib.loads(file.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{file} is no TOML: {error}.") from error
    except OSError as error:
        raise ConfigurationError(f"{file} cannot be read: {error.strerror}. Correct its permissions.") from error
    origins: dict[tuple[str, str], str] = {}
    for section, content in document.items():
        _require_known(section, None, where=str(file))
        if not isinstance(content, dict):
            raise ConfigurationError(f"`{section}` in {file} must be a section: write [{section}] above its keys.")
        for key in content:
            _require_known(section, key, where=str(file))
            origins[section, key] = f"file {file}"
    return document, origins


def _from_environment(environ: Mapping[str, str]) -> Iterator[tuple[str, tuple[str, str], str]]:
    for name, text in sorted(environ.items()):
        section, separator, key = name.removeprefix(VARIABLE_PREFIX).partition("__")
        if not name.startswith(VARIABLE_PREFIX) or not separator:
            continue  # AUTOSTREAM_CONFIG, AUTOSTREAM_LOG and what else needs no file
        section, key = section.lower(), key.lower()
        where = f"the environment variable {name}"
        _require_known(section, None, where=where)
        _require_known(section, key, where=where)
        yield name, (section, key), text


def _keys(section: str) -> list[str]:
    model: Any = Settings.model_fields[section].annotation
    return list(model.model_fields)


def _require_known(section: str, key: str | None, *, where: str) -> None:
    sections = list(Settings.model_fields)
    if section not in sections:
        raise ConfigurationError(f"Unknown section `{section}` in {where}.{_nearest(section, sections)}")
    if key is not None and key not in _keys(section):
        raise ConfigurationError(f"Unknown key `{section}.{key}` in {where}.{_nearest(key, _keys(section))}")


def _nearest(name: str, known: Iterable[str]) -> str:
    candidates = list(known)
    near = difflib.get_close_matches(name, candidates, n=3, cutoff=0.6)
    if near:
        return f" Did you mean {' or '.join(f'`{item}`' for item in near)}?"
    return f" There are: {', '.join(f'`{item}`' for item in candidates)}."


def _explain(error: ValidationError, origins: Mapping[tuple[str, str], str]) -> str:
    lines = []
    for problem in error.errors():
        section, key = (*(str(part) for part in problem["loc"]), "")[:2]
        origin = origins.get((section, key), "default")
        where = f" ({origin})" if origin != "default" else ""
        shown = mask_setting(key, str(problem["input"]))
        if problem["type"] == "missing":
            lines.append(f"`{section}.{key}`{where} needs `{problem['loc'][-1]}`, which {shown} does not have.")
            continue
        reason = problem["msg"].removeprefix("Value error, ")
        lines.append(f"`{section}.{key}`{where} cannot be {shown!r}: {reason}.")
    return " ".join(lines)
