"""Whether what is configured works: catalogs, ZooKeeper, Flink, the database, room to spill."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autostream.errors import AutostreamError, ConfigurationError
from autostream.findings import Finding, Severity
from autostream.masking import mask
from autostream.spelling import counted

if TYPE_CHECKING:
    from autostream.api.lakehouse import Lakehouse
    from autostream.config import DatabaseSettings, NotifySettings, NotifyTarget, Settings, ZooKeeperSettings


@dataclass(frozen=True)
class CheckReport:
    """What was found of each service.

    Attributes:
        findings: One or more a service.
    """

    findings: tuple[Finding, ...]

    @property
    def ok(self) -> bool:
        """Whether nothing is out of order; warnings are not."""
        return not any(finding.severity is Severity.ERROR for finding in self.findings)

    def to_dict(self) -> dict[str, Any]:
        """Return it as `autostream config check --json` prints it."""
        return {"ok": self.ok, "checks": [finding.to_dict() for finding in self.findings]}


def check_services(lakehouse: Lakehouse, catalogs: Sequence[str]) -> CheckReport:
    """Ask each service that is configured.

    Args:
        lakehouse: Whose configuration and catalogs are checked.
        catalogs: Only these catalogs; none: those of `compaction.catalogs`, or else all.

    Raises:
        ConfigurationError: The configuration cannot be read, or no catalog is configured.
    """
    settings = lakehouse.settings
    names = tuple(catalogs) or settings.compaction.catalogs or lakehouse.catalogs
    if not names:
        raise ConfigurationError(
            "No catalog is configured. Configure a catalog in .pyiceberg.yaml (or by the environment variables "
            "PYICEBERG_CATALOG__NAME__TYPE and PYICEBERG_CATALOG__NAME__URI)."
        )
    found = [_guarded("engine.spill_directory", partial(_check_spill_directory, settings.engine.spill_directory))]
    found.append(_guarded("database", partial(_check_database, settings.database)))
    if settings.zookeeper.hosts:
        found.append(_guarded("zookeeper", partial(_check_zookeeper, settings.zookeeper)))
    found += _check_flink(settings)
    found += [_guarded(f"catalog {name}", partial(_check_catalog, lakehouse, name)) for name in names]
    found += [
        _guarded(f"notify target {target.name}", partial(_check_target, target, settings.notify))
        for target in settings.notify.targets
    ]
    found += [Finding("configuration", Severity.WARNING, warning) for warning in settings.warnings]
    return CheckReport(tuple(found))


def _guarded(subject: str, examine: Callable[[], str]) -> Finding:
    """One thing that is out of order must not hide the state of the others."""
    try:
        return Finding(subject, Severity.OK, mask(examine()))
    except AutostreamError as error:
        return Finding(subject, Severity.ERROR, str(error))
    except Exception as error:
        return Finding(subject, Severity.ERROR, mask(f"{type(error).__name__}: {error}"))


def _check_target(target: NotifyTarget, settings: NotifySettings) -> str:
    """Return that a target is understood; only a message would prove more, and that goes to people."""
    from autostream.notify.delivery import open_sender

    open_sender(target, settings)
    return f"{target.service} is understood; 'autostream notify send-test {target.name}' sends a message"


def _check_catalog(lakehouse: Lakehouse, name: str) -> str:
    catalog = lakehouse.reopen_catalog(name)
    namespaces = catalog.list_namespaces()
    found = f"reachable, {counted(len(namespaces), 'namespace')}"
    return found + _check_warehouse(catalog.properties)


def _check_warehouse(properties: Mapping[str, str]) -> str:
    """Return what is found of a warehouse that WebHDFS serves; nothing of another, which only its tables can show."""
    from pyiceberg.io import PY_IO_IMPL

    warehouse = properties.get("warehouse", "")
    if properties.get(PY_IO_IMPL) != "autostream.hadoop.fileio.WebHdfsFileIO" or "://" not in warehouse:
        return ""
    from autostream.hadoop.fileio import WebHdfsFileIO
    from autostream.hadoop.settings import SCHEMES, parse_location

    place = parse_location(warehouse)
    if place.scheme not in SCHEMES:
        return ""
    client = WebHdfsFileIO({**properties, "webhdfs.retries": "0"}).client(warehouse)
    try:
        # Listing needs more than status does: the right to look into the directory.
        next(client.list_directory(place.path), None)
    except FileNotFoundError:
        return f"; warehouse {warehouse} does not exist yet"
    return f"; warehouse {warehouse} can be read"


def _check_zookeeper(settings: ZooKeeperSettings) -> str:
    from autostream.coordination.client import shared_client

    return shared_client(settings).check()


def _check_flink(settings: Settings) -> list[Finding]:
    references = {
        "watermark.flink_clusters": settings.watermark.flink_clusters,
        "janitor.flink_clusters": settings.janitor.flink_clusters,
    }
    if not (settings.flink.clusters or settings.flink.kubernetes or any(references.values())):
        return []
    from autostream.flink.cluster import check_cluster, open_clusters

    found = [finding for cluster in settings.flink.clusters for finding in check_cluster(cluster)]
    if settings.flink.kubernetes:
        from autostream.flink.kubernetes_discovery import check_kubernetes

        found += map(check_kubernetes, settings.flink.kubernetes)
    for key, names in references.items():
        try:
            open_clusters(settings.flink, names, named_by=key)
        except AutostreamError as error:
            found.append(Finding(key, Severity.ERROR, str(error)))
    return found


def _check_database(settings: DatabaseSettings) -> str:
    from autostream.store.database import open_database

    return open_database(settings).check()


def _check_spill_directory(configured: str) -> str:
    directory = Path(configured or tempfile.gettempdir())
    # What is missing is made by the engine: its nearest parent that exists must be writable.
    existing = next(path for path in (directory, *directory.absolute().parents) if path.exists())
    try:
        with tempfile.TemporaryFile(dir=existing):
            pass
    except OSError as error:
        raise ConfigurationError(
            f"Cannot write to {directory}: {error.strerror}. Set engine.spill_directory to a directory that this "
            "account can write to."
        ) from error
    return f"{directory} is writable"
