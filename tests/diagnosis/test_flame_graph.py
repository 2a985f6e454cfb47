"""Flame graphs: the picture is well-formed, stands alone, and its boxes are as wide as their shares."""

import re
from xml.etree import ElementTree

from hypothesis import given
from hypothesis import strategies as st

from autostream.diagnosis.flame_graph import Flame, as_svg, gathered, innermost_places
from autostream.diagnosis.reading import as_flame
from autostream.flink.models import FlameSamples as Answer
from tests.flink.serving import session_file

SVG = "{http://www.w3.org/2000/svg}"


def boxes(svg: str) -> dict[str, ElementTree.Element]:
    root = ElementTree.fromstring(svg)
    return {group[0].text or "": group[1] for group in root.iter(f"{SVG}g")}


def test_a_real_graph() -> None:
    data = Answer.model_validate(session_file("vertex1_flamegraph_full")).data
    assert data is not None
    graph = gathered("prod/backlog-job", "full", [("work", 1_795_420_855_151, as_flame(data))])
    svg = as_svg(graph)
    found = boxes(svg)
    assert any(title.startswith("lab.Backlog") for title in found)
    assert found["all: 100 samples, 100.0%"].get("width") == "1179.5"
    assert re.search("(?i)<script|href|@import|url\\(|<foreignObject|onload", svg) is None
    assert "2026-11-23T08:00:55.151Z" in svg
    (finding,) = graph.findings
    assert finding.reason.startswith("100 samples of the tasks of 'work' (all): lab.Backlog.lambda")
    assert graph.to_dict()["vertices"][0]["samples"] == 100


def test_widths_are_shares_and_what_cannot_be_seen_is_left_out() -> None:
    leaves = (Flame("a.B.wide:1", 749), Flame("a.B.thin:2", 250), Flame("a.B.seldom:3", 1))
    svg = as_svg(gathered("j/x", "on_cpu", [("v", None, Flame("root", 10_000, (Flame("a.A.all:1", 1000, leaves),)))]))
    found = {title.split(":")[0]: box for title, box in boxes(svg).items()}
    assert "a.B.seldom" not in found
    assert float(found["a.B.wide"].get("width", 0)) > 2.9 * float(found["a.B.thin"].get("width", 0))


def test_javas_own_places_stand_for_what_called_them() -> None:
    tree = Flame(
        "root", 10, (Flame("lab.Job.wait:1", 10, (Flame("java.util.X.y:2", 9, (Flame("jdk.Z.park:-2", 9),)),)),)
    )
    assert innermost_places(tree) == [("lab.Job.wait:1", 10)]


def test_nothing_sampled() -> None:
    graph = gathered("j/x", "on_cpu", [("idle", 5, Flame("root", 0))])
    assert "were in none of the samples (on CPU)" in graph.findings[0].reason
    ElementTree.fromstring(as_svg(graph))


names = st.text(max_size=40)
flames = st.recursive(
    st.builds(Flame, names, st.integers(0, 50)),
    lambda inner: st.builds(Flame, names, st.integers(0, 50), st.lists(inner, max_size=3).map(tuple)),
    max_leaves=12,
)


@given(st.lists(st.tuples(names, st.none() | st.just(5), flames), max_size=3), names)
def test_any_graph_makes_a_picture_within_its_frame(vertices: list[tuple[str, int | None, Flame]], title: str) -> None:
    svg = as_svg(gathered(title, "off_cpu", vertices))
    for box in ElementTree.fromstring(svg).iter(f"{SVG}rect"):
        assert float(box.get("x", 0)) + float(box.get("width", 0)) <= 1200.1
