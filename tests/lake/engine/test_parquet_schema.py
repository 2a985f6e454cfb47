"""How the schema of a Parquet file is understood, whichever program wrote it."""

from typing import Any

import pytest

from autostream.lake.engine.parquet_schema import PhysicalField, field_tree


def element(name: str, children: int | None = None, **more: Any) -> dict[str, Any]:
    unset = dict.fromkeys(("converted", "logical", "id", "type", "physical", "length", "repetition"))
    return {"name": name, "children": children, **unset, **more}


LEAF = PhysicalField("x", None, "INTEGER", "primitive")


@pytest.mark.parametrize(
    ("elements", "expected"),
    [
        # as the Parquet format says
        (
            [element("l", 1, converted="LIST", id=1), element("list", 1), element("element", id=2, type="INTEGER")],
            PhysicalField("l", 1, "", "list", (PhysicalField("element", 2, "INTEGER", "primitive"),)),
        ),
        # two levels, of old writers: a repeated primitive; a group of several fields; groups of certain names
        (
            [element("l", 1, converted="LIST"), element("array", type="INTEGER")],
            PhysicalField("l", None, "", "list", (PhysicalField("array", None, "INTEGER", "primitive"),)),
        ),
        (
            [element("l", 1, converted="LIST"), element("element", 2), element("x", type="INTEGER"), element("y")],
            PhysicalField(
                "l",
                None,
                "",
                "list",
                (PhysicalField("element", None, "", "struct", (LEAF, PhysicalField("y", None, "", "primitive"))),),
            ),
        ),
        (
            [element("l", 1, converted="LIST"), element("array", 1), element("x", type="INTEGER")],
            PhysicalField("l", None, "", "list", (PhysicalField("array", None, "", "struct", (LEAF,)),)),
        ),
        (
            [element("l", 1, converted="LIST"), element("l_tuple", 1), element("x", type="INTEGER")],
            PhysicalField("l", None, "", "list", (PhysicalField("l_tuple", None, "", "struct", (LEAF,)),)),
        ),
        # maps, also as Hive and Avro annotate them
        *(
            (
                [
                    element("m", 1, converted=outer, id=1),
                    element("key_value", 2, converted=inner),
                    element("key", id=2, type="VARCHAR"),
                    element("x", type="INTEGER"),
                ],
                PhysicalField("m", 1, "", "map", (PhysicalField("key", 2, "VARCHAR", "primitive"), LEAF)),
            )
            for outer, inner in (("MAP", None), ("MAP_KEY_VALUE", None))
        ),
        (
            [
                element("l", 1, logical="ListType()"),
                element("list", 1),
                element("element", 1),
                element("x", type="INTEGER"),
            ],
            PhysicalField("l", None, "", "list", (PhysicalField("element", None, "", "struct", (LEAF,)),)),
        ),
    ],
)
def test_schemas_of_writers_old_and_new(elements: list[dict[str, Any]], expected: PhysicalField) -> None:
    assert field_tree([element("root", 1), *elements]) == (expected,)


def test_maps_as_hive_annotates_them() -> None:
    inner = [element("map", 2, converted="MAP_KEY_VALUE"), element("key", type="VARCHAR"), element("x", type="INTEGER")]
    (field,) = field_tree([element("root", 1), element("m", 1, converted="MAP"), *inner])
    assert field == PhysicalField("m", None, "", "map", (PhysicalField("key", None, "VARCHAR", "primitive"), LEAF))


def test_a_group_that_repeats_without_a_list_is_no_struct() -> None:
    (field,) = field_tree([element("root", 1), element("g", 1, repetition="REPEATED"), element("x")])
    assert field.kind == "repeated group"
    listed = [element("l", 1, converted="LIST"), element("list", 1, repetition="REPEATED"), element("x")]
    assert field_tree([element("root", 1), *listed])[0].children == (PhysicalField("x", None, "", "primitive"),)
