"""Telling people what happened: an edge, which never fails what it tells of."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from functools import lru_cache
from typing import TYPE_CHECKING

from autostream import times
from autostream.errors import AutostreamError
from autostream.masking import mask
from autostream.notices import Notice

if TYPE_CHECKING:
    from autostream.config import Settings

_logger = logging.getLogger(__name__)


def tell(notices: Iterable[Notice], settings: Settings | None = None) -> int:
    """Put notices into the outbox of the configured database; whatever sends from it sends them.

    Where no target is configured, nothing is opened. Whatever fails is a warning in the log, once.

    Args:
        notices: What happened.
        settings: The configuration; None reads it.

    Returns:
        How many messages wait to be sent thereby.
    """
    try:
        return _put(tuple(notices), settings)
    except Exception as error:  # no message is worth the work that it tells of
        _warn_once(str(error) if isinstance(error, AutostreamError) else f"{type(error).__name__}: {mask(str(error))}")
        return 0


def _put(notices: tuple[Notice, ...], settings: Settings | None) -> int:
    from autostream.config import load_settings

    if not notices:
        return 0
    settings = settings or load_settings()
    if not settings.notify.targets:
        return 0
    from autostream.notify.outbox import Outbox, put  # loads SQLAlchemy
    from autostream.store.database import open_database

    now_ms = times.now_ms()
    with open_database(settings.database).write() as connection:
        count = put(connection, notices, settings.notify, now_ms=now_ms)
        # Here too, for there may be nobody who delivers.
        Outbox(connection).forget_when_due(now_ms=now_ms, keep_days=settings.database.history_days)
    return count


@lru_cache(maxsize=32)
def _warn_once(why: str) -> None:
    _logger.warning("Nobody is told of what happens: %s", why)
