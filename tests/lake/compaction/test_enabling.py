"""The property that enables compaction, set by comparison."""

import pytest
from pyiceberg.catalog.sql import SqlCatalog

from autostream.lake.compaction.compaction_options import ENABLED
from autostream.lake.compaction.enabling import is_enabled, set_enabled
from tests.support.catalogs import IDS


@pytest.mark.parametrize(
    ("properties", "expected"),
    [({}, False), ({ENABLED: "true"}, True), ({ENABLED: " True "}, True), ({ENABLED: "false"}, False)],
)
def test_what_enables_a_table(properties: dict[str, str], expected: bool) -> None:
    assert is_enabled(properties) is expected


def test_setting_it_twice_changes_it_once(lake: SqlCatalog) -> None:
    table = lake.create_table("db.t", IDS)
    assert set_enabled(table, enabled=True) is True
    assert set_enabled(table, enabled=True) is False
    assert lake.load_table("db.t").properties[ENABLED] == "true"
    assert set_enabled(table, enabled=False) is True
    assert lake.load_table("db.t").properties[ENABLED] == "false"


def test_what_others_have_made_of_it_meanwhile_is_seen(lake: SqlCatalog) -> None:
    stale = lake.create_table("db.t", IDS)
    assert set_enabled(lake.load_table("db.t"), enabled=True) is True
    assert set_enabled(stale, enabled=True) is False, "decided again upon the newest state"
    assert lake.load_table("db.t").metadata_location == stale.metadata_location
