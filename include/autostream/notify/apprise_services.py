"""Email and all other services that Apprise can send to. The only module that knows Apprise."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from autostream.errors import ConfigurationError
from autostream.masking import mask
from autostream.notify.sending import NotDeliveredError
from autostream.notify.wording import Letter

if TYPE_CHECKING:
    from apprise import NotifyBase

_SECONDS: Final = 30.0
_MOST_SAID: Final = 300
# Apprise says at this level why a connection failed, next to URLs and payloads.
_REASON: Final = "Socket Exception: "

_one_at_a_time = threading.Lock()


class AppriseSender:
    """Sends messages to what a URL of Apprise names.

    Args:
        url: The URL.
        name: The name of the target, for messages: the URL is a secret.
    """

    def __init__(self, url: str, name: str) -> None:
        """Load the service; nothing is connected before the first message.

        Raises:
            ConfigurationError: Apprise is not installed, or does not understand the URL.
        """
        self._name = name
        with _said_by_apprise() as said:
            self._service = _service(url, name, said)

    def send(self, letter: Letter) -> None:
        """Send a message.

        Raises:
            NotDeliveredError: The service cannot be reached, or does not take it.
        """
        from apprise import Apprise, NotifyFormat

        courier = Apprise(asset=self._service.asset)
        courier.add(self._service)
        markdown = letter.format == "markdown"
        with _said_by_apprise() as said:
            taken = courier.notify(
                title=letter.title,
                body=letter.body,
                body_format=NotifyFormat.MARKDOWN if markdown else NotifyFormat.TEXT,
            )
        if not taken:
            reason = ": ".join(dict.fromkeys(said)) or "Apprise does not say why"
            raise NotDeliveredError(f"The message for {self._name} was not taken: {_short(reason)}")


def _service(url: str, name: str, said: list[str]) -> NotifyBase:
    try:
        from apprise import Apprise, AppriseAsset
        from apprise.exception import AppriseException
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            f"The target {name} is sent to by Apprise, which is not installed. Install autostream[notify]."
        ) from error
    # Its own cache on disk would hold what services remember of their tokens.
    asset = AppriseAsset(app_id="autostream", app_desc="autostream", service_timeout=_SECONDS, storage_mode="memory")
    try:
        found = Apprise.instantiate(url, asset=asset, suppress_exceptions=False)
    except (AppriseException, TypeError, ValueError) as error:
        said.append(str(error))
        found = None
    if found is None:
        reason = " ".join(dict.fromkeys(said)) or "it does not know this service"
        raise ConfigurationError(
            f"Apprise does not understand `url` of the target {name}: {_short(reason)}. Compare it with Apprise's page "
            "of the service."
        ) from None
    return found


@contextmanager
def _said_by_apprise() -> Iterator[list[str]]:
    """Collect what Apprise would log of failures, and keep all that it logs to itself: URLs and messages are in it."""
    said: list[str] = []

    class Listening(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            message = record.getMessage()
            if record.levelno >= logging.WARNING or message.startswith(_REASON):
                said.append(mask(message.removeprefix(_REASON)).rstrip("."))

    logger, listening = logging.getLogger("apprise"), Listening()
    with _one_at_a_time:
        before = logger.level, logger.propagate
        logger.addHandler(listening)
        logger.setLevel(logging.DEBUG)
        logger.propagate = False
        try:
            yield said
        finally:
            logger.removeHandler(listening)
            logger.setLevel(before[0])
            logger.propagate = before[1]


def _short(text: str) -> str:
    return mask(text) if len(text) <= _MOST_SAID else f"{mask(text)[:_MOST_SAID]}…"
