"""How Airflow comes to know the package."""

import json
from importlib.metadata import entry_points
from importlib.resources import files
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "plugins" / "autostream_airflow"


def test_the_plugin_is_found_by_its_entry_point() -> None:
    found = [point for point in entry_points(group="airflow.plugins") if point.value.startswith("autostream_airflow")]
    if not found:
        pytest.skip("autostream is not installed: run `make setup`")
    (point,) = found
    assert point.load().name == "autostream"


def test_the_provider_info_is_what_airflow_asks_for() -> None:
    from jsonschema import validate

    from autostream_airflow.provider_info import get_provider_info

    info = get_provider_info()
    validate(info, json.loads(files("airflow").joinpath("provider_info.schema.json").read_text()))
    # Airflow refuses to start when it differs from the distribution's name.
    assert info["package-name"] == "autostream"


def test_no_connection_type_is_declared_twice() -> None:
    from airflow.providers.apache.iceberg.get_provider_info import get_provider_info as of_iceberg

    from autostream_airflow.hooks.catalog import CatalogHook
    from autostream_airflow.provider_info import get_provider_info

    assert CatalogHook.conn_type in {entry["connection-type"] for entry in of_iceberg()["connection-types"]}
    assert get_provider_info().get("connection-types", []) == []


def test_airflow_does_not_import_the_package_a_second_time() -> None:
    ignored = (PACKAGE.parent / ".airflowignore").read_text().splitlines()
    assert PACKAGE.name in ignored


def test_a_compaction_is_announced_on_an_asset_of_its_own() -> None:
    from autostream_airflow.assets import compaction_asset

    asset = compaction_asset("lake.db.orders")
    assert (asset.name, asset.uri) == ("compaction:lake.db.orders", "autostream://compaction/lake/db/orders")
