"""What is configured: `load_settings` reads it, `Settings` holds it, a module of `sections` describes each section."""

from autostream.config.catalogs import configured_catalogs, is_hive_catalog, pyiceberg_catalogs, unreadable
from autostream.config.loading import FILE_NAME, FILE_VARIABLE, load_settings
from autostream.config.root import Settings, SettingValue
from autostream.config.sections.compaction import CompactionSettings
from autostream.config.sections.console import ConsoleSettings
from autostream.config.sections.database import DatabaseSettings
from autostream.config.sections.engine import EngineSettings
from autostream.config.sections.flink import FlinkClusterSettings, FlinkKubernetesSettings, FlinkSettings, JobRule
from autostream.config.sections.janitor import JanitorSettings
from autostream.config.sections.notify import NotifySettings, NotifyTarget
from autostream.config.sections.watermark import WatermarkSettings, WriterRule
from autostream.config.sections.zookeeper import ZooKeeperSettings

__all__ = [
    "FILE_NAME",
    "FILE_VARIABLE",
    "CompactionSettings",
    "ConsoleSettings",
    "DatabaseSettings",
    "EngineSettings",
    "FlinkClusterSettings",
    "FlinkKubernetesSettings",
    "FlinkSettings",
    "JanitorSettings",
    "JobRule",
    "NotifySettings",
    "NotifyTarget",
    "SettingValue",
    "Settings",
    "WatermarkSettings",
    "WriterRule",
    "ZooKeeperSettings",
    "configured_catalogs",
    "is_hive_catalog",
    "load_settings",
    "pyiceberg_catalogs",
    "unreadable",
]
