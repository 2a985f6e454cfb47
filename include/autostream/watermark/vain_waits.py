"""Telling people of a wait that ended without a complete table: an edge, which fails no wait."""

from __future__ import annotations

from typing import TYPE_CHECKING

from autostream import times
from autostream.notify.telling import tell
from autostream.watermark.conditions import Answer, Condition
from autostream.watermark.late_notices import wait_timed_out

if TYPE_CHECKING:
    from autostream.config import Settings


def tell_of_wait(
    condition: Condition, answer: Answer, *, waited_seconds: float, waiter: str = "", settings: Settings | None = None
) -> None:
    """Tell people that someone waited for tables in vain, as `notify.targets` says.

    Args:
        condition: What was waited for.
        answer: What was found at last.
        waited_seconds: For how long.
        waiter: Who waited; empty: whoever runs this process.
        settings: The configuration; None reads it.
    """
    if not waiter:
        from autostream.coordination.lock_holder import Holder  # here, for the Airflow face is parsed again and again

        waiter = Holder.of_this_process("waiting").who
    notice = wait_timed_out(condition, answer, waited_seconds=waited_seconds, waiter=waiter, at_ms=times.now_ms())
    tell([notice], settings)
