"""The chain of back pressure: who waits for whom, and who is the bottleneck."""

from hypothesis import given
from hypothesis import strategies as st

from autostream.diagnosis.back_pressure import find_chains
from autostream.diagnosis.vertex_times import VertexTimes
from autostream.findings import Severity
from tests.diagnosis.plans import vertex


def test_the_bottleneck_is_the_most_downstream_busy_vertex_behind_those_that_wait() -> None:
    report = find_chains(
        [
            vertex("source", busy=0.1, waits=0.9),
            vertex("map", "source", busy=0.4, waits=0.6),
            vertex("join", "map", busy=0.97),
            vertex("sink", "join", busy=0.2),
        ]
    )
    (chain,) = report.chains
    assert [one.name for one in chain.waiting] == ["source", "map"]
    assert chain.bottleneck.name == "join"
    (finding,) = report.findings
    assert (finding.id, finding.severity) == ("bottleneck", Severity.ERROR)
    assert finding.reason == (
        "'join' is the bottleneck: its busiest subtask works 97% of its time, and 'map' before it waits 60% of its "
        "time until it takes more. Chain: 'source' waits 90% -> 'map' waits 60% -> 'join' works 97%."
    )
    assert finding.remedy.startswith("Give it more subtasks (it has 1, it may have up to 128), or make it faster")
    assert report.to_dict()["chains"] == [{"waiting": ["source", "map"], "bottleneck": "join"}]


def test_of_two_branches_the_busier_one_is_waited_for() -> None:
    report = find_chains(
        [
            vertex("source", waits=0.7),
            vertex("quick", "source", busy=0.3),
            vertex("slow", "source", busy=0.99),
        ]
    )
    assert [chain.bottleneck.name for chain in report.chains] == ["slow"]


def test_two_bottlenecks() -> None:
    report = find_chains(
        [
            vertex("a", waits=0.7),
            vertex("b", waits=0.3),
            vertex("left", "a", waits=0.5),
            vertex("end", "left", busy=0.9),
            vertex("right", "b", busy=0.95),
        ]
    )
    chains = [([one.name for one in c.waiting], c.bottleneck.name) for c in report.chains]
    assert chains == [(["a", "left"], "end"), (["b"], "right")]
    assert [finding.severity for finding in report.findings] == [Severity.ERROR, Severity.WARNING]


def test_who_is_waited_for_but_not_busy_is_told_to_wait_itself() -> None:
    (finding,) = find_chains([vertex("source", waits=0.9), vertex("sink", "source", busy=0.2)]).findings
    assert "None of its subtasks looks busy" in finding.remedy
    assert "--part threads" in finding.remedy


def test_one_subtask_alone_at_its_limit_is_skew() -> None:
    slow = vertex("sum", "source", busy=[0.99, 0.1, 0.1, 0.1])
    (finding,) = find_chains([vertex("source", waits=0.9), slow]).findings
    assert "Only some of its subtasks are at their limit (in the mean they work 32%)" in finding.remedy


def test_no_more_parallelism_than_there_is() -> None:
    slow = vertex("sum", "source", busy=[0.99, 0.99], max_parallelism=2)
    (finding,) = find_chains([vertex("source", waits=0.9), slow]).findings
    assert "It has 2 subtasks, which is its max parallelism" in finding.remedy


def test_nobody_waits() -> None:
    assert find_chains([vertex("source"), vertex("sink", "source")]).findings[0].id == "no-back-pressure"
    busy = find_chains([vertex("source", busy=0.0), vertex("work", "source", busy=0.997)]).findings[0]
    assert (busy.id, busy.figures["busy"]) == ("at-its-limit", 0.997)
    unknown = find_chains([vertex("source", busy=None, waits=None)]).findings[0]
    assert unknown.id == "back-pressure-unknown"
    assert find_chains([]).findings[0].id == "back-pressure-unknown"


def test_a_source_that_tells_nothing_hides_no_bottleneck() -> None:
    report = find_chains(
        [vertex("old", busy=None, waits=None), vertex("a", "old", waits=0.5), vertex("b", "a", busy=1.0)]
    )
    assert report.chains[0].bottleneck.name == "b"


def test_plans_that_lie() -> None:
    """A circle, an input that is not there, and a vertex that waits for nobody."""
    assert find_chains([vertex("a", "b", waits=0.9), vertex("b", "a", waits=0.9)]).chains
    assert find_chains([vertex("a", "gone", waits=0.9)]).chains == ()


@st.composite
def plans(draw: st.DrawFn) -> list[VertexTimes]:
    shares = st.floats(0, 1)
    made: list[VertexTimes] = []
    for index in range(draw(st.integers(1, 6))):
        inputs = draw(st.sets(st.sampled_from([one.name for one in made]))) if made else set()
        made.append(vertex(f"v{index}", *sorted(inputs), busy=draw(shares), waits=draw(shares)))
    return draw(st.permutations(made))


@given(plans())
def test_a_bottleneck_is_downstream_of_all_that_wait_for_it(plan: list[VertexTimes]) -> None:
    by_id = {one.vertex_id: one for one in plan}

    def upstream(one: VertexTimes) -> set[str]:
        return {i for i, _ in one.inputs} | {u for i, _ in one.inputs for u in upstream(by_id[i])}

    for chain in find_chains(plan).chains:
        assert {one.vertex_id for one in chain.waiting} <= upstream(chain.bottleneck) | {chain.bottleneck.vertex_id}
        assert all((one.most_back_pressured or 0) >= 0.1 for one in chain.waiting)
    assert find_chains(plan).findings
