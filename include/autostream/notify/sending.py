"""What sends a message to one target, whatever service that is of."""

from __future__ import annotations

from typing import Protocol

from autostream.errors import ServiceError
from autostream.notify.wording import Letter


class NotDeliveredError(ServiceError):
    """A service did not take a message; the same one may be taken later.

    Attributes:
        pause_seconds: How long the service wants to be left alone; None where it does not say.
    """

    def __init__(self, message: str, *, pause_seconds: float | None = None) -> None:
        """Keep the message and the pause."""
        super().__init__(message)
        self.pause_seconds = pause_seconds


class Sender(Protocol):
    """Sends messages to one target."""

    def send(self, letter: Letter) -> None:
        """Send a message; it has been taken by the service when this returns.

        Raises:
            NotDeliveredError: The service cannot be reached, or does not take it.
        """
