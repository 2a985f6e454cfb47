"""No interleaving of a Flink job with the recorder's looks publishes a watermark whose rows are not in the table."""

import os
from collections import deque
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autostream.watermark.recording.commit_proof import WatermarkReading
from tests.watermark.recording.flink_model import LOOKS, Act, Flink, Limits, World

pytestmark = pytest.mark.usefixtures("untraced")

RUNNING = Flink(read=1, next_id=6, completed=(5, 1), table=((5, 1),), counted=1)
"""A job that has completed a checkpoint, so that a watch can settle at once."""
LIMITS_OF_WALKS = Limits(rows=60, checkpoints=40, failures=20, looks=200)


def explore(start: World, limits: Limits) -> tuple[int, list[WatermarkReading]]:
    """Go everywhere from a world; return how many worlds there are and which readings are proved in them."""
    seen = {start.key()}
    pending = deque([start])
    proved: list[WatermarkReading] = []
    while pending:
        world = pending.popleft()  # those with fewer looks first
        for act in world.can(limits):
            following, reading = world.after(act)
            if reading is not None:
                assert reading.watermark_ms <= following.flink.rows_in_table, (act, world, following)
                proved.append(reading)
            if following.key() not in seen:
                seen.add(following.key())
                (pending.append if act in LOOKS else pending.appendleft)(following)
    return len(seen), proved


@pytest.mark.parametrize(
    ("flink", "limits"),
    [
        pytest.param(RUNNING, Limits(rows=2, checkpoints=1, failures=1, looks=10), id="running"),
        pytest.param(Flink(), Limits(rows=1, checkpoints=2, failures=1, looks=11), id="new"),
    ],
)
def test_every_interleaving(flink: Flink, limits: Limits) -> None:
    worlds, proved = explore(World.new(flink), limits)
    assert worlds > 1000
    # The rule must not be safe by never proving anything.
    assert {reading.watermark_ms for reading in proved} == set(range(1, limits.rows + 1))


UNALIGNED = replace(RUNNING, unaligned=True)
SHORT = Limits(rows=2, checkpoints=1, failures=0, looks=10)


def test_nothing_is_proved_where_barriers_overtake_files() -> None:
    worlds, proved = explore(World.new(UNALIGNED), SHORT)
    assert worlds > 100
    assert proved == []


def test_what_would_be_published_if_each_commit_were_believed() -> None:
    """The model shows what the rule is for: without it, watermarks are published before their rows are there."""
    with pytest.raises(AssertionError, match=r"assert 2 <= 1"):
        explore(World.new(UNALIGNED, trusting=True), SHORT)


def test_an_exchange_that_flink_keeps_aligned_is_no_obstacle() -> None:
    _, proved = explore(World.new(replace(UNALIGNED, exchange="FORWARD")), SHORT)
    assert {reading.watermark_ms for reading in proved} == {1, 2}


@pytest.mark.soak
@pytest.mark.parametrize("unaligned", [True, False])
def test_a_setting_that_changes_when_the_job_restarts(unaligned: bool) -> None:
    limits = Limits(rows=1, checkpoints=2, failures=1, looks=11)
    _, proved = explore(World.new(Flink(unaligned=unaligned, changes=True)), limits)
    assert {reading.watermark_ms for reading in proved} == {1}


@pytest.mark.soak
@pytest.mark.parametrize("flink", [RUNNING, Flink()], ids=["running", "new"])
def test_every_interleaving_of_more(flink: Flink) -> None:
    worlds, _ = explore(World.new(flink), Limits(rows=2, checkpoints=2, failures=1, looks=11))
    print(f"{worlds} states")


@settings(max_examples=int(os.environ.get("SOAK_HISTORIES", "300")), deadline=None)
@given(st.lists(st.sampled_from(sorted(Act, key=lambda a: a.value)), max_size=200), st.booleans(), st.booleans())
def test_long_walks(acts: list[Act], unaligned: bool, changes: bool) -> None:
    world = World.new(Flink(unaligned=unaligned, changes=changes))
    for act in acts:
        if act in set(world.can(LIMITS_OF_WALKS)):
            world, reading = world.after(act)
            assert reading is None or reading.watermark_ms <= world.flink.rows_in_table


def test_a_commit_proves_only_what_was_read_before_it_was_seen() -> None:
    """A job that restarts under its id counts checkpoints from 1: a later reading may have the smaller floor."""
    acts = "TRIGGER COMPLETE LOOK LOOK COMMIT COLLECT LOOK COLLECT READ COLLECT LOOK LOOK LOOK LOOK TRIGGER COMPLETE"
    acts += " COLLECT READ COLLECT LOOK COMMIT LOOK START_ANEW LOOK LOOK_AT_OLD_LIFE"
    world = World.new()
    for act in acts.split():
        world, reading = world.after(Act[act])
    assert reading == WatermarkReading(watermark_ms=1, floor=2)
    assert world.flink.rows_in_table == 1


def test_a_job_that_goes_on_is_followed_closely() -> None:
    world = World.new()
    proved = []
    for _ in range(60):
        for act in (Act.READ, Act.COLLECT, Act.TRIGGER, Act.COMPLETE, Act.COMMIT, Act.LOOK):
            if act in LOOKS or act in set(world.flink.can(Limits(rows=60, checkpoints=60))):
                world, reading = world.after(act)
                if reading is not None:
                    proved.append(reading.watermark_ms)
    assert proved == sorted(set(proved))
    assert proved[-1] >= 50
