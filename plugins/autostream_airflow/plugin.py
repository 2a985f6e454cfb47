"""The plugin that Airflow finds through the entry point `airflow.plugins`."""

from __future__ import annotations

from airflow.plugins_manager import AirflowPlugin

from autostream_airflow.console import PREFIX, MountedConsole, menu_entry
from autostream_airflow.links import TableLink


class AutostreamPlugin(AirflowPlugin):
    """Makes the package known to Airflow; `airflow plugins` lists it."""

    name = "autostream"
    operator_extra_links = [TableLink()]  # noqa: RUF012 (to Airflow it is an instance's)
    fastapi_apps = [{"name": "autostream", "app": MountedConsole(), "url_prefix": PREFIX}]  # noqa: RUF012
    external_views = [menu_entry()]  # noqa: RUF012
