"""Flink clusters by their addresses, without a configuration."""

from typing import Any

from autostream.config import FlinkClusterSettings
from autostream.flink.cluster import FlinkCluster


def cluster_at(*urls: str, name: str = "prod", **settings: Any) -> FlinkClusterSettings:
    """Return the settings of a cluster."""
    return FlinkClusterSettings(name=name, url=urls, **settings)


def open_cluster(url: str) -> FlinkCluster:
    """Return a cluster that is called `prod`."""
    return FlinkCluster.of(cluster_at(url))
