"""Names of tables."""

import pytest

from autostream.errors import UsageError
from autostream.names import JobName, TableName, catalog_of


def test_a_name_has_a_catalog_a_namespace_and_a_table() -> None:
    name = TableName.parse("lake.db.orders")
    assert (name.catalog, name.namespace, name.table) == ("lake", "db", "orders")
    assert (str(name), name.within_catalog, name.identifier) == ("lake.db.orders", "db.orders", ("db", "orders"))


def test_a_namespace_may_have_several_levels() -> None:
    nested = TableName.parse("lake.a.b.c.orders")
    assert (nested.namespace, nested.identifier) == ("a.b.c", ("a", "b", "c", "orders"))
    assert (str(nested), nested.within_catalog) == ("lake.a.b.c.orders", "a.b.c.orders")
    assert sorted([TableName.parse("lake.db.orders"), nested])[0] is nested


@pytest.mark.parametrize("text", ["", "orders", "db.orders", "lake..orders", ".db.orders", "lake.db.", "lake.db..x"])
def test_what_names_no_table(text: str) -> None:
    with pytest.raises(UsageError, match=r"Invalid table name .*\. Write CATALOG\.NAMESPACE\.TABLE, for example lake"):
        TableName.parse(text)


@pytest.mark.parametrize("identifier", [("db", "orders"), ["a", "b", "orders"]])
def test_a_name_by_the_identifier_within_its_catalog(identifier: list[str]) -> None:
    name = TableName.of("lake", identifier)
    assert str(name) == ".".join(["lake", *identifier])
    assert name.identifier == tuple(identifier)


def test_hive_has_names_in_lower_case_but_not_its_catalog() -> None:
    assert str(TableName.parse("Lake.DB.Orders").lower()) == "Lake.db.orders"


@pytest.mark.parametrize(("text", "catalog"), [("lake.db.orders", "lake"), ("lake", "lake"), ("", ""), (".x", "")])
def test_the_catalog_of_a_name_that_is_not_judged(text: str, catalog: str) -> None:
    assert catalog_of(text) == catalog


def test_a_job_is_its_cluster_and_its_name() -> None:
    assert JobName.parse("prod/orders") == JobName("prod", "orders")
    assert str(JobName("prod", "a/b c")) == "prod/a/b c"
    assert JobName.parse("prod/a/b c") == JobName("prod", "a/b c")


@pytest.mark.parametrize("text", ["", "orders", "/orders", "prod/"])
def test_a_job_without_cluster_or_name_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="Write CLUSTER/NAME"):
        JobName.parse(text)
