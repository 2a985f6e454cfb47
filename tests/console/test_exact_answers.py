"""Ids in what REST answers are as commands print them."""

from autostream.console.routers.watermarks import HistoryEntry
from autostream.exact_ids import MOST_EXACT, with_exact_ids
from autostream.lake.compaction.runs.log import CompactionRun, RunLog
from autostream.store.database import open_database
from autostream.watermark.history.log_entries import LogEntry
from tests.console.support import T0, Browser


def test_compactions(client: Browser) -> None:
    run = CompactionRun(
        table_name="lake.db.t",
        by="ann",
        started_at_ms=T0,
        ended_at_ms=T0,
        status="committed",
        planned_snapshot_id=MOST_EXACT,
        snapshot_id=MOST_EXACT + 1,
    )
    with open_database().write() as connection:
        RunLog(connection).add(run)

    (answered,) = client.get("/api/tables/lake.db.t/compactions").json()

    assert (answered["planned_snapshot_id"], answered["snapshot_id"]) == (9007199254740991, "9007199254740992")
    assert answered == with_exact_ids(run.to_dict())


def test_history_of_watermarks() -> None:
    entry = LogEntry("lake.db.t", "u", None, "advance", 1, 2, checkpoint_id=7, snapshot_id=-MOST_EXACT - 1).to_dict()

    answered = HistoryEntry.model_validate(entry).model_dump(mode="json")

    assert (answered["checkpoint_id"], answered["snapshot_id"]) == (7, "-9007199254740992")
    assert answered == with_exact_ids(entry)
