"""Flink clusters by name: found in the settings, and checked."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from autostream.config.sections.flink import FlinkClusterSettings, FlinkSettings
from autostream.errors import AutostreamError, ConfigurationError
from autostream.findings import Finding, Severity
from autostream.flink.models import ClusterConfig, ClusterOverview
from autostream.flink.rest import FlinkRest
from autostream.http import Limits
from autostream.spelling import one_of


@dataclass(frozen=True)
class FlinkCluster:
    """A Flink cluster.

    Attributes:
        name: What it is called everywhere.
        rest: How it is asked.
    """

    name: str
    rest: FlinkRest

    @classmethod
    def of(cls, settings: FlinkClusterSettings, *, limits: Limits | None = None) -> FlinkCluster:
        """Return the cluster that settings describe; nothing is connected yet.

        Raises:
            ConfigurationError: Its certificates cannot be read.
        """
        return cls(settings.name, FlinkRest(settings, limits=limits))


def open_clusters(settings: FlinkSettings, names: Sequence[str] = (), *, named_by: str = "") -> list[FlinkCluster]:
    """Return clusters by their names, all that are configured where none is named; nothing is connected yet.

    Args:
        settings: The section `flink`.
        names: Which clusters.
        named_by: The setting that names them, for messages.

    Raises:
        ConfigurationError: There is no such cluster, or its certificates cannot be read.
    """
    known = {cluster.name: cluster for cluster in settings.clusters}
    for name in names:
        if name not in known:
            by = f" (named by `{named_by}`)" if named_by else ""
            raise ConfigurationError(
                f"Unknown Flink cluster {name!r}{by}. {one_of(name, known, 'Configured as `[[flink.clusters]]`')}"
            )
    return [FlinkCluster.of(known[name]) for name in names or known]


def check_cluster(settings: FlinkClusterSettings) -> Iterator[Finding]:
    """Prove that each address of a cluster leads to a job manager that accepts the login."""
    for url, address in zip(settings.url, settings.addresses, strict=True):
        subject = f"flink {settings.name}" + (f" at {address.url}" if len(settings.url) > 1 else "")
        try:
            alone = settings.model_copy(update={"url": (url,)})
            yield Finding(subject, Severity.OK, _reached(FlinkRest(alone, limits=Limits(tries=1))))
        except AutostreamError as error:
            yield Finding(subject, Severity.ERROR, str(error))


def _reached(rest: FlinkRest) -> str:
    overview, config = rest.require("/overview", ClusterOverview), rest.require("/config", ClusterConfig)
    jobs = "1 job runs" if overview.jobs_running == 1 else f"{overview.jobs_running} jobs run"
    return (
        f"reachable, Flink {config.flink_version or 'of an unknown version'}, {jobs}, {overview.slots_available} of "
        f"{overview.slots_total} slots are free, its data is up to {config.refresh_interval_ms / 1000:g} s old"
    )
