"""Rule 7: a compaction changes no row, at any interleaving with writers, over random histories."""

import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from tests.lake.histories import HISTORIES, Action, play

pytestmark = pytest.mark.usefixtures("untraced")

PARTS = 4
SOAK_HISTORIES = int(os.environ.get("SOAK_HISTORIES", "2000"))

_relaxed = settings(
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=(Phase.explicit, Phase.generate, Phase.shrink),
    print_blob=True,
    database=None,
)


def _play(history: list[Action]) -> None:
    with tempfile.TemporaryDirectory() as directory:
        play(Path(directory), history)


@pytest.mark.parametrize("part", range(PARTS))
def test_no_history_of_writes_and_compactions_changes_a_row(part: int) -> None:
    @settings(_relaxed, max_examples=200 // PARTS)
    @given(history=HISTORIES)
    def run(history: list[Action]) -> None:
        _play(history)

    run()


@pytest.mark.soak
@pytest.mark.parametrize("part", range(PARTS))
def test_soak(part: int) -> None:
    @settings(_relaxed, max_examples=SOAK_HISTORIES // PARTS)
    @given(history=HISTORIES)
    def run(history: list[Action]) -> None:
        _play(history)

    run()
