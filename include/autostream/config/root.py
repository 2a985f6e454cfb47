"""All sections of the configuration, with the origin of each value."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr

from autostream.config.secrets import masked
from autostream.config.sections.base import ListedSection, Section
from autostream.config.sections.compaction import CompactionSettings
from autostream.config.sections.console import ConsoleSettings
from autostream.config.sections.database import DatabaseSettings
from autostream.config.sections.engine import EngineSettings
from autostream.config.sections.flink import FlinkSettings
from autostream.config.sections.health import HealthSettings
from autostream.config.sections.janitor import JanitorSettings
from autostream.config.sections.notify import NotifySettings
from autostream.config.sections.telemetry import TelemetrySettings
from autostream.config.sections.watermark import WatermarkSettings
from autostream.config.sections.zookeeper import ZooKeeperSettings


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
    """All effective values; made by `load_settings`. A section is registered by its line here."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    engine: EngineSettings = Field(default_factory=EngineSettings)
    compaction: CompactionSettings = Field(default_factory=CompactionSettings)
    zookeeper: ZooKeeperSettings = Field(default_factory=ZooKeeperSettings)
    flink: FlinkSettings = Field(default_factory=FlinkSettings)
    health: HealthSettings = Field(default_factory=HealthSettings)
    janitor: JanitorSettings = Field(default_factory=JanitorSettings)
    telemetry: TelemetrySettings = Field(default_factory=TelemetrySettings)
    watermark: WatermarkSettings = Field(default_factory=WatermarkSettings)
    database: DatabaseSettings = Field(default_factory=DatabaseSettings)
    console: ConsoleSettings = Field(default_factory=ConsoleSettings)
    notify: NotifySettings = Field(default_factory=NotifySettings)

    _origins: dict[tuple[str, str], str] = PrivateAttr(default_factory=dict)
    _file: Path | None = PrivateAttr(default=None)
    _warnings: tuple[str, ...] = PrivateAttr(default=())

    @property
    def file(self) -> Path | None:
        """The file that was read, or None."""
        return self._file

    @property
    def warnings(self) -> tuple[str, ...]:
        """What should be written differently, and how."""
        return self._warnings

    def read_from(
        self, origins: dict[tuple[str, str], str], file: Path | None, *, warnings: Iterable[str] = ()
    ) -> Settings:
        """Keep where the values came from; what is not in `origins` is a default."""
        self._origins, self._file, self._warnings = origins, file, tuple(warnings)
        return self

    def origin(self, section: str, key: str) -> str:
        """Return where the value of `section.key` came from: `default`, `file PATH` or `environment NAME`."""
        return self._origins.get((section, key), "default")

    def values(self) -> Iterator[SettingValue]:
        """Yield all values, in the order in which they are documented, secrets masked."""
        for section_name in type(self).model_fields:
            section: Section = getattr(self, section_name)
            for key, field in type(section).model_fields.items():
                yield SettingValue(
                    section=section_name,
                    key=key,
                    value=masked(key, getattr(section, key)),
                    origin=self.origin(section_name, key),
                    description=field.description or "",
                )


def section_models() -> dict[str, type[Section]]:
    """Return the sections by their names."""
    models: dict[str, Any] = {name: field.annotation for name, field in Settings.model_fields.items()}
    return models


def entry_model(section: str, key: str) -> type[ListedSection] | None:
    """Return what a setting holds several of, such as Flink clusters; None for a plain value."""
    types = get_args(section_models()[section].model_fields[key].annotation)
    return types[0] if types and isinstance(types[0], type) and issubclass(types[0], ListedSection) else None
