"""Words of messages: numbers with their nouns, and what was probably meant."""

import pytest

from autostream.spelling import counted, one_of


@pytest.mark.parametrize(
    ("number", "thing", "things", "text"),
    [
        (0, "group", "", "0 groups"),
        (1, "group", "", "1 group"),
        (2340, "data file", "", "2,340 data files"),
        (1, "try", "tries", "1 try"),
        (3, "try", "tries", "3 tries"),
    ],
)
def test_a_number_has_its_noun_in_the_right_form(number: int, thing: str, things: str, text: str) -> None:
    assert counted(number, thing, things) == text


def test_a_long_list_is_cut_and_the_nearest_name_is_suggested() -> None:
    assert one_of("t7", [f"t{n}" for n in range(22)], "Tables").endswith("t19 and 2 more. Did you mean t7?")
