"""How Airflow comes to know the package."""

import json
import os
import subprocess
import sys
from importlib.metadata import entry_points
from importlib.resources import files
from pathlib import Path
from typing import Any, get_args

import pytest
from airflow.sdk.module_loading import import_string

PACKAGE = Path(__file__).parents[2] / "plugins" / "autostream_airflow"

FORMS = """
import json
from airflow.api_fastapi.core_api.services.ui.connections import HookMetaService
forms = {form.connection_type: form.model_dump(mode="json") for form in HookMetaService.hook_meta_data()}
print("\\n" + json.dumps(forms))
"""


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


def declared() -> dict[str, dict[str, Any]]:
    from autostream_airflow.provider_info import get_provider_info

    return {entry["connection-type"]: entry for entry in get_provider_info()["connection-types"]}


def test_no_connection_type_is_declared_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """Airflow takes the first of two providers in the order of their names, and warns: a type that is another's is
    ours only where that other is not installed.
    """
    from airflow.providers.apache.iceberg.get_provider_info import get_provider_info as of_iceberg

    from autostream_airflow import provider_info
    from autostream_airflow.hooks.catalog import CatalogHook

    assert CatalogHook.conn_type in {entry["connection-type"] for entry in of_iceberg()["connection-types"]}
    for installed, types in (
        ({"apache-airflow-providers-apache-hdfs"}, {"zookeeper", "hive_metastore"}),
        ({"apache-airflow-providers-apache-hive"}, {"zookeeper", "webhdfs"}),
        (set(), {"zookeeper", "hive_metastore", "webhdfs"}),
    ):
        monkeypatch.setattr(provider_info, "version_of", dict.fromkeys(installed, "1").get)
        assert declared().keys() == types


def test_a_declared_type_is_its_hooks(monkeypatch: pytest.MonkeyPatch) -> None:
    from autostream_airflow import provider_info

    monkeypatch.setattr(provider_info, "version_of", {}.get)
    for kind, entry in declared().items():
        hook = import_string(entry["hook-class-name"])
        assert (hook.conn_type, hook.hook_name) == (kind, entry["hook-name"])
        assert callable(hook.test_connection)
        assert hook.default_conn_name == getattr(hook(), hook.conn_name_attr)


def test_the_form_of_zookeeper_has_every_setting() -> None:
    from autostream.config import ZooKeeperSettings
    from autostream_airflow.hooks.zookeeper import STANDARD_FIELDS

    fields = declared()["zookeeper"]["conn-fields"]
    assert fields.keys() | set(STANDARD_FIELDS) == ZooKeeperSettings.model_fields.keys()
    secrets = {name for name, field in fields.items() if field["schema"].get("format") == "password"}
    assert secrets == {"tls_key_password"}
    for name in ("sasl_mechanism", "acl"):
        choices = [choice for choice in fields[name]["schema"]["enum"] if choice]
        assert choices == [choice for choice in get_args(ZooKeeperSettings.model_fields[name].annotation) if choice]


def test_the_forms_of_hadoop_have_every_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    from autostream_airflow import provider_info
    from autostream_airflow.hooks import metastore, webhdfs

    monkeypatch.setattr(provider_info, "version_of", {}.get)
    numbers = {"connect_timeout_seconds", "read_timeout_seconds", "client_timeout_seconds", "retries"}
    types = declared()
    assert types["webhdfs"]["conn-fields"].keys() == {*webhdfs.EXTRAS, "use_ssl", "verify"} - numbers
    own = {"warehouse", "auth_mechanism", "webhdfs_conn_id", "zookeeper_conn_id"}
    assert types["hive_metastore"]["conn-fields"].keys() == {*metastore.EXTRAS, *own} - numbers


@pytest.mark.airflow
def test_airflow_shows_the_types_with_their_fields(tmp_path: Path) -> None:
    """In a process of its own, as the API server builds its forms, from the installed distributions."""
    done = subprocess.run(
        [sys.executable, "-c", FORMS],
        env=os.environ | {"AIRFLOW_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "already" not in done.stderr + done.stdout
    forms = json.loads(done.stdout.splitlines()[-1])
    if "zookeeper" not in forms:
        pytest.skip("autostream is not installed: run `make setup`")
    zookeeper = forms["zookeeper"]
    assert zookeeper["hook_class_name"] == "autostream_airflow.hooks.zookeeper.ZooKeeperHook"
    assert zookeeper["standard_fields"]["host"]["title"] == "Servers"
    assert zookeeper["standard_fields"]["url_schema"]["hidden"]
    assert not (zookeeper["standard_fields"]["port"] or {}).get("hidden")
    assert zookeeper["extra_fields"]["tls"]["schema"] == {"type": ["boolean", "null"], "title": "TLS"}
    assert forms["hive_metastore"]["extra_fields"]["warehouse"]["schema"]["title"] == "Warehouse"
    assert forms["webhdfs"]["hook_name"] == "Apache WebHDFS"


def test_airflow_does_not_import_the_package_a_second_time() -> None:
    ignored = (PACKAGE.parent / ".airflowignore").read_text().splitlines()
    assert PACKAGE.name in ignored


def test_a_compaction_is_announced_on_an_asset_of_its_own() -> None:
    from autostream_airflow.assets import compaction_asset

    asset = compaction_asset("lake.db.orders")
    assert (asset.name, asset.uri) == ("compaction:lake.db.orders", "autostream://compaction/lake/db/orders")


def test_a_released_lock_is_announced_on_an_asset_of_its_own() -> None:
    from autostream_airflow.assets import released_lock_asset

    asset = released_lock_asset("lake.db.orders")
    assert (asset.name, asset.uri) == ("released-lock:lake.db.orders", "autostream://released-lock/lake/db/orders")


def test_links_of_our_operators_are_registered() -> None:
    from autostream_airflow.links import TableLink
    from autostream_airflow.plugin import AutostreamPlugin
    from autostream_airflow.sensors.watermark import WatermarkSensor

    registered = [type(link) for link in AutostreamPlugin.operator_extra_links]
    assert [type(link) for link in WatermarkSensor.operator_extra_links] == registered == [TableLink]
