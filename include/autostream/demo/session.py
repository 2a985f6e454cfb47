"""The demo's Airflow while it runs: scheduler and all, asked by its REST API, with the workflows that are shown."""

from __future__ import annotations

import shutil
import signal
import socket
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from autostream import times
from autostream.demo.airflow import LocalAirflow
from autostream.demo.timeline import AirflowApi
from autostream.demo.up import USER, running
from autostream.errors import TimedOutError

# Not how long it takes, but when nobody will wait any longer: the machine may be busy.
_MOST_SECONDS = 900.0


@dataclass(frozen=True)
class Session:
    """An Airflow that runs.

    Attributes:
        airflow: Its home and its lake.
        api: Its REST API.
        wait_until: Waits for something, as long as all of Airflow runs, but not for ever.
    """

    airflow: LocalAirflow
    api: AirflowApi
    wait_until: Callable[[Callable[[], bool]], None]


@contextmanager
def started(airflow: LocalAirflow, dag_ids: Collection[str], **variables: str) -> Iterator[Session]:
    """Run an Airflow that has these workflows alone: the others would take the machine's time.

    In the end it is stopped once nothing is under way, so that no run is left half done.

    Args:
        airflow: An Airflow that is prepared.
        dag_ids: The workflows.
        variables: Environment variables on top of its own.

    Raises:
        TimedOutError: What is waited for does not happen.
        AutostreamError: Airflow ended by itself.
    """
    port = _free_port()
    dags = airflow.home / "dags"
    shutil.rmtree(dags, ignore_errors=True)
    dags.mkdir(parents=True)
    for dag_id in dag_ids:
        shutil.copy(airflow.project / "dags" / f"{dag_id}.py", dags)
    environment = {
        "AIRFLOW__CORE__DAGS_FOLDER": str(dags),
        # The first event of a watcher starts a workflow that was just parsed only once that is parsed again.
        "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "5",
    }
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        with running(airflow, port, environment | variables, say=lambda text: None) as (password, wait_until):

            def wait(condition: Callable[[], bool]) -> None:
                deadline = times.monotonic() + _MOST_SECONDS

                def over() -> bool:
                    if times.monotonic() > deadline:
                        raise TimedOutError(
                            f"Airflow did not finish within {_MOST_SECONDS:g} s. Its logs are {airflow.home}/*.log. "
                            "Check whether the machine is busy."
                        )
                    return condition()

                wait_until(over)

            api = AirflowApi(f"http://127.0.0.1:{port}", user=USER, password=password)
            yield Session(airflow, api, wait)
            wait(lambda: not api.unfinished_runs())
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


def _free_port() -> int:
    """Return a port whose fellows for logs, 713 and 714 further, are not ports of services either."""
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = int(probe.getsockname()[1])
        if port < 64_000:
            return port
