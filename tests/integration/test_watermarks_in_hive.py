"""Watermarks of a Hive table are parameters of the metastore's table, where a shell line finds them."""

from typing import TYPE_CHECKING

import pytest

from autostream.watermark.changes import WriterReport, apply_reports
from autostream.watermark.publish import publish
from autostream.watermark.reading.table_marks import mark_of
from tests.support.catalogs import IDS, append, hive_catalog, new_namespace

if TYPE_CHECKING:
    from tests.support.hadoop import HiveMetastore

pytestmark = [pytest.mark.integration, pytest.mark.xdist_group("hadoop")]


def test_they_are_table_parameters_and_stay_when_rows_come(hive_metastore: "HiveMetastore") -> None:
    catalog = hive_catalog(hive_metastore.uri)
    namespace = new_namespace(catalog)
    table = catalog.create_table(f"{namespace}.events", IDS)
    stale = catalog.load_table(f"{namespace}.events")
    publish(table, lambda p: apply_reports(p, [WriterReport("a", 2000), WriterReport("b", 1000)], now_ms=5000))
    publish(stale, lambda p: apply_reports(p, [WriterReport("b", 1500)], now_ms=6000))  # the other's is not lost
    append(catalog.load_table(f"{namespace}.events"), 1)
    with catalog._client as client:
        parameters = client.get_table(namespace, "events").parameters
    assert parameters["autostream.watermark"] == "1500"
    assert parameters["autostream.watermark.writer.a"] == "2000"
    mark = mark_of(catalog.load_table(f"{namespace}.events"), "hive.t")
    assert {writer.name: writer.watermark_ms for writer in mark.writers} == {"a": 2000, "b": 1500}
