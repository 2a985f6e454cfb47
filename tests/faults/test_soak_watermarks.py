"""A real Flink job fails, is killed and restored at random, two recorders run, the table is compacted and expired.

``make soak`` goes on until 100 watermarks and SOAK_SECONDS have passed; each of them has to have been true in the very
moment in which it appeared in the table.
"""

import os
import random
import time
from pathlib import Path

import pytest
from pyiceberg.catalog.sql import SqlCatalog

from autostream.config import WatermarkSettings
from tests.support import commands, event_jobs
from tests.support.event_jobs import wait_for
from tests.support.watermarks import KEEP_ALL_METADATA, QUICK_PAGES, assert_sound, published, recording

pytestmark = [pytest.mark.integration, pytest.mark.soak, pytest.mark.xdist_group("java")]

SOAK_SECONDS = float(os.environ.get("SOAK_SECONDS", "600"))
PUBLICATIONS = 100
QUIET_SECONDS = (1.0, 8.0)


@pytest.mark.parametrize(("sink", "par"), [("v1", 1), ("v2", 2)])
def test_every_watermark_was_true_when_it_appeared(lake: SqlCatalog, tmp_path: Path, sink: str, par: int) -> None:
    rng = random.Random(sink)
    table = event_jobs.create_table(lake, "db.events", **KEEP_ALL_METADATA)
    options = {"sink": sink, "par": par, "rate": 400, "ckpt": 400, "name": "events", "port": 0, **QUICK_PAGES}
    job = event_jobs.start(lake, tmp_path / "job", "db.events", **options)
    began, done = time.monotonic(), {"failed": 0, "killed": 0, "compacted": 0}
    try:
        while time.monotonic() - began < SOAK_SECONDS or len(published(lake.load_table("db.events"))) < PUBLICATIONS:
            with recording(lake, job, _settings()), recording(lake, job, _settings()):
                for _ in range(rng.randrange(1, 6)):
                    _live(lake, rng)
                    job.fail_over(wait=rng.random() < 0.5)
                    done["failed"] += 1
                    if rng.random() < 0.3:
                        done["compacted"] += _compacts()
                _live(lake, rng)
                job.kill()
            done["killed"] += 1
            job = job.restored()
    finally:
        job.kill()
    table.refresh()
    history = assert_sound(table)
    assert len(history) >= PUBLICATIONS
    print(f"{sink}: {len(history)} watermarks, each true when it appeared; {done}")


def _settings() -> WatermarkSettings:
    rule = {"job": "events", "table": "lake.db.events"}
    return WatermarkSettings(writers=[rule], interval_seconds=0.5, poll_seconds=0.2)


def _live(lake: SqlCatalog, rng: random.Random) -> None:
    """Let the job run for a while of random length, counted by its commits where it makes any."""
    deadline = time.monotonic() + rng.uniform(*QUIET_SECONDS)
    wait_for("a while", lambda: time.monotonic() > deadline)


def _compacts() -> bool:
    end = commands.autostream("table", "compact", "lake.db.events", "--option", "min-input-files=2", "--json")
    assert end.exit_code in (0, 3), end.stderr
    return bool(end.document["status"] == "committed")
