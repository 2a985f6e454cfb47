"""The plugin that Airflow finds through the entry point `airflow.plugins`."""

from __future__ import annotations

from airflow.plugins_manager import AirflowPlugin


class AutostreamPlugin(AirflowPlugin):
    """Makes the package known to Airflow; `airflow plugins` lists it."""

    name = "autostream"
