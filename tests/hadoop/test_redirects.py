"""Where a redirection leads to."""

import unicodedata
from urllib.parse import quote, unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autostream.errors import ServiceError
from autostream.hadoop.answers import Call
from autostream.hadoop.redirects import target_of

CALL = Call("OPEN", "/w/cafe\u0301.parquet", "http://nn:9870", "svc")
ASKED = "http://nn:9870/webhdfs/v1/w/x?op=OPEN&user.name=svc"


@pytest.mark.parametrize(
    ("location", "leads"),
    [
        ("http://dn:9864/webhdfs/v1/w/a?op=OPEN&delegation=T", "http://dn:9864/webhdfs/v1/w/a?op=OPEN&delegation=T"),
        ("/webhdfs/v1/w/a?op=OPEN&data=true", "http://nn:9870/webhdfs/v1/w/a?op=OPEN&data=true"),
        ("//dn:9864/webhdfs/v1/w/a?x=1", "http://dn:9864/webhdfs/v1/w/a?x=1"),
        ("y?data=true", "http://nn:9870/webhdfs/v1/w/y?data=true"),
        ("?data=true", "http://nn:9870/webhdfs/v1/w/x?data=true"),
        # Java composed the accent.
        ("http://dn/webhdfs/v1/w/caf%C3%A9.parquet?x=1", "http://dn/webhdfs/v1/w/cafe%CC%81.parquet?x=1"),
        ("http://dn/webhdfs/v1/w/cafe%CC%81.parquet?x=1", "http://dn/webhdfs/v1/w/cafe%CC%81.parquet?x=1"),
        (
            "http://knox/gw/data/v1/webhdfs/v1/w/caf%C3%A9.parquet",
            "http://knox/gw/data/v1/webhdfs/v1/w/cafe%CC%81.parquet",
        ),
    ],
)
def test_targets(location: str, leads: str) -> None:
    assert target_of(location, asked=ASKED, call=CALL) == leads


@pytest.mark.parametrize(
    ("location", "says"),
    [
        ("", "nowhere"),
        ("https://dn:9865/webhdfs/v1/w/a?delegation=SECRET", "https://dn:9865"),
        ("https://svc:SECRET@dn/x", "https://dn"),
        ("ftp://dn/x", "ftp://dn"),
    ],
)
def test_what_is_not_followed(location: str, says: str) -> None:
    with pytest.raises(ServiceError, match=f"redirects to {says} ") as raised:
        target_of(location, asked=ASKED, call=CALL)
    assert "SECRET" not in str(raised.value)


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1).filter(lambda name: name.strip("/.")))
def test_the_path_is_the_one_that_was_asked_for_whatever_it_was_composed_to(name: str) -> None:
    call = Call("CREATE", f"/w/{name}", "http://nn", "svc")
    composed = quote(unicodedata.normalize("NFC", call.path))
    found = target_of(f"http://dn/webhdfs/v1{composed}?op=CREATE", asked=ASKED, call=call)
    assert unquote(urlsplit(found).path) == f"/webhdfs/v1{call.path}"
