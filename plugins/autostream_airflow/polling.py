"""The polling of the triggerer: tables are read through Airflow's connections."""

from __future__ import annotations

from autostream.watermark.polling import Polling, polling_of_this_loop
from autostream_airflow.hooks.catalog import open_mark_reader


def shared_polling() -> Polling:
    """Return what all triggers of this event loop share."""
    return polling_of_this_loop(lambda: open_mark_reader().read)
