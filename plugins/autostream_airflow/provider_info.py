"""What Airflow learns about this distribution through the entry point `apache_airflow_provider`."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from typing import Any


def get_provider_info() -> dict[str, Any]:
    """Describes the package in the form of Airflow's `provider_info.schema.json`.

    Catalogs use connections of type `iceberg`, which apache-airflow-providers-apache-iceberg brings.
    """
    try:
        installed = version("autostream")
    except PackageNotFoundError:  # run from a checkout that is only on PYTHONPATH
        installed = "0"
    return {
        "package-name": "autostream",
        "name": "autostream",
        "description": "Keeps a streaming lakehouse healthy.",
        "versions": [installed],
    }
