"""The first half of the demonstration: Airflow compacts the lakehouse, by the workflow that is there for it."""

from __future__ import annotations

from autostream.demo.airflow import DAG_ID
from autostream.demo.session import Session
from autostream.errors import AutostreamError

_RUN = "demo"


def compact_lakehouse(session: Session) -> None:
    """Triggers the compaction of all tables, and returns once it has ended.

    Raises:
        AutostreamError: The run failed.
    """
    api = session.api
    session.wait_until(lambda: api.knows(DAG_ID))
    api.trigger(DAG_ID, run_id=_RUN)
    session.wait_until(lambda: api.run(DAG_ID, _RUN)["state"] in ("success", "failed"))
    if api.run(DAG_ID, _RUN)["state"] == "failed":
        raise AutostreamError(
            f"The run {_RUN} of {DAG_ID} failed; {session.airflow.home}/logs/dag_id={DAG_ID} says why, or `make up` "
            "shows it."
        )
