"""Delivery: takes messages out of the outbox and sends them. Any number of processes may do so at once.

A message is claimed, sent, and settled, each in a transaction of its own or in none: what is sent blocks nobody else. A
process that ends between the sending and the settling leaves a message that another one sends again when the claim has
ended. So each message is sent at least once, and twice only then.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from autostream import times
from autostream.config import NotifySettings, NotifyTarget, Settings
from autostream.errors import AutostreamError, DefectError, NotFoundError
from autostream.findings import Severity
from autostream.notices import Notice, NoticeKind
from autostream.notify.apprise_services import AppriseSender
from autostream.notify.dingtalk import SCHEME, DingTalkSender, Robot
from autostream.notify.outbox import Claim, Fate, Outbox, OutboxMessage
from autostream.notify.pacing import TargetPace, next_try_ms
from autostream.notify.sending import NotDeliveredError, Sender
from autostream.notify.wording import Letter, write_letter
from autostream.spelling import one_of
from autostream.store.database import Database, open_database

CLAIM_SECONDS: Final = 180
"""For how long a message is kept from other processes while one sends it: longer than any try takes."""

_LOOK_SECONDS: Final = 5.0
# A message that is being sent by then is sent again by whoever delivers next.
_LEAVE_SECONDS: Final = 5.0

_logger = logging.getLogger(__name__)

OpenSender = Callable[[NotifyTarget, NotifySettings], Sender]


@dataclass
class DeliveryReport:
    """What became of the messages that were due.

    Attributes:
        sent: How many were sent.
        failed: How many were tried in vain, and are tried again.
        given_up: How many were given up.
        problems: Why, by target: the last reason.
        waiting: How many wait now, those that are not due included.
    """

    sent: int = 0
    failed: int = 0
    given_up: int = 0
    problems: dict[str, str] = field(default_factory=dict)
    waiting: int = 0

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON."""
        return {
            "sent": self.sent,
            "failed": self.failed,
            "given_up": self.given_up,
            "waiting": self.waiting,
            "problems": dict(self.problems),
        }


def open_sender(target: NotifyTarget, settings: NotifySettings) -> Sender:
    """Return what sends to a target.

    Raises:
        ConfigurationError: Its URL is not understood, or what sends to it is not installed.
    """
    url = target.url.get_secret_value()
    if target.service == SCHEME:
        return DingTalkSender(Robot.parse(url), settings.dingtalk_url)
    return AppriseSender(url, target.name)


def deliver_due(
    database: Database,
    settings: Settings,
    *,
    open_sender: OpenSender = open_sender,
    stop: threading.Event | None = None,
) -> DeliveryReport:
    """Send the messages that are due, one after the other.

    A target that fails, or that has had as many messages as it takes in a minute, is left out of the rest of this call.

    Args:
        database: Where the outbox is.
        settings: The targets, and the address of links.
        open_sender: Makes what sends to a target.
        stop: Where it is set, no further message is begun.

    Raises:
        AutostreamError: The database fails. What was sent by then, but not settled, is sent again.
    """
    delivery = _Delivery(database, settings, open_sender)
    while not (stop and stop.is_set()) and (claim := delivery.claim_next()):
        delivery.send(claim)
    return delivery.conclude()


def deliver_until(
    stop: threading.Event, database: Database, settings: Settings, *, look_seconds: float = _LOOK_SECONDS
) -> None:
    """Send what is due, again and again, until told to stop. Whatever fails is said once, and tried again."""
    told = ""
    while not stop.is_set():
        try:
            deliver_due(database, settings, stop=stop)
            told = ""
        except Exception as error:
            if str(error) != told:
                _logger.warning(
                    "Notices are not delivered at the moment: %s",
                    error,
                    exc_info=not isinstance(error, AutostreamError),
                )
            told = str(error)
        stop.wait(look_seconds)


@contextmanager
def delivering(settings: Settings) -> Iterator[None]:
    """Send what is due in a thread of its own while something else is done; nothing where no target is configured."""
    if not settings.notify.targets:
        yield
        return
    stop = threading.Event()
    thread = threading.Thread(
        target=deliver_until, args=(stop, open_database(settings.database), settings), name="notices", daemon=True
    )
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(_LEAVE_SECONDS)


def send_test(name: str, settings: Settings, *, by: str, open_sender: OpenSender = open_sender) -> Letter:
    """Send a test message to a target at once, past the outbox, and return it.

    Raises:
        NotFoundError: There is no such target.
        ConfigurationError: Its URL is not understood, or what sends to it is not installed.
        NotDeliveredError: Its service cannot be reached, or does not take the message.
    """
    target = _target(name, settings.notify)
    if target is None:
        names = [target.name for target in settings.notify.targets]
        raise NotFoundError(f"There is no target {name!r} in [[notify.targets]]. {one_of(name, names, 'Configured')}")
    notice = Notice(
        kind=NoticeKind.TEST,
        severity=Severity.INFO,
        subject=f"target {name}",
        at_ms=times.now_ms(),
        fields={"target": name, "by": by},
    )
    letter = write_letter(notice, language=target.language, format=target.format, console_url=settings.console.url)
    open_sender(target, settings.notify).send(letter)
    return letter


class _Delivery:
    """One call of `deliver_due`."""

    def __init__(self, database: Database, settings: Settings, open_sender: OpenSender) -> None:
        self._database = database
        self._settings = settings
        self._open_sender = open_sender
        self._senders: dict[str, Sender] = {}
        self._left_out: set[str] = set()
        self._report = DeliveryReport()

    def claim_next(self) -> Claim | None:
        """Take the right to send the message that is due first; give up what is too old."""
        with self._database.read() as connection:  # makes nobody wait who writes
            if Outbox(connection).next_due(times.now_ms(), but=self._left_out) is None:
                return None
        with self._database.write() as connection:
            outbox = Outbox(connection)
            outbox.take_turn()
            now_ms = times.now_ms()
            while message := outbox.next_due(now_ms, but=self._left_out):
                target = _target(message.target, self._settings.notify)
                if why := self._why_over(message, target, now_ms):
                    outbox.settle(outbox.claim(message, until_ms=now_ms), Fate.GIVEN_UP, now_ms=now_ms, error=why)
                    self._note(message, Fate.GIVEN_UP, why)
                elif target is None or not self._is_free(outbox.target_pace(target.name), target, now_ms):
                    self._left_out.add(message.target)
                else:
                    outbox.keep_pace(target.name, outbox.target_pace(target.name).tried(now_ms))
                    return outbox.claim(message, until_ms=now_ms + CLAIM_SECONDS * 1000)
        return None

    def send(self, claim: Claim) -> None:
        """Send a message, and say how that went."""
        name = claim.message.target
        try:
            self._sender(name).send(self._letter(claim.message))
        except AutostreamError as error:
            self._settle(claim, error)
        except Exception as error:  # of a service of Apprise, of which there are 200
            _logger.exception("Unexpected %s on sending to %s", type(error).__name__, name)
            self._settle(claim, NotDeliveredError(f"Unexpected {type(error).__name__}: {error}"))
        else:
            self._settle(claim, None)

    def conclude(self) -> DeliveryReport:
        """Return what became of the messages."""
        with self._database.read() as connection:
            self._report.waiting = Outbox(connection).counts()[Fate.WAITING]
        return self._report

    def _settle(self, claim: Claim, problem: AutostreamError | None) -> None:
        message, why = claim.message, str(problem or "")
        pause_seconds = problem.pause_seconds if isinstance(problem, NotDeliveredError) else None
        with self._database.write() as connection:
            outbox = Outbox(connection)
            outbox.take_turn()
            now_ms = times.now_ms()
            pace = outbox.target_pace(message.target)
            if problem is None:
                fate, pace = Fate.SENT, pace.succeeded()
            else:
                fate = Fate.GIVEN_UP if self._is_old(message, now_ms) else Fate.WAITING
                pace = pace.failed(now_ms, pause_seconds=pause_seconds)
            outbox.keep_pace(message.target, pace)
            again_ms = next_try_ms(message.tries, now_ms, pause_seconds=pause_seconds)
            outbox.settle(claim, fate, now_ms=now_ms, error=why, next_try_ms=again_ms)
            outbox.forget_when_due(now_ms=now_ms, keep_days=self._settings.database.history_days)
        self._note(message, fate, why)

    def _note(self, message: OutboxMessage, fate: Fate, why: str) -> None:
        report = self._report
        report.sent += fate is Fate.SENT
        report.failed += fate is Fate.WAITING
        report.given_up += fate is Fate.GIVEN_UP
        if fate is not Fate.SENT:
            report.problems[message.target] = why
            outcome = "was given up" if fate is Fate.GIVEN_UP else "was not sent, and is tried again"
            _logger.warning("Message %s for %s %s: %s", message.number, message.target, outcome, why)

    def _why_over(self, message: OutboxMessage, target: NotifyTarget | None, now_ms: int) -> str:
        """Say why a message is given up without another try; empty where it is not."""
        if not self._is_old(message, now_ms):
            return ""
        if target is None:
            return f"There is no target {message.target!r} in [[notify.targets]] of the process that delivers."
        if message.tries:
            return message.error or "The process that sent it ended before it could say how that went."
        return ""

    def _is_old(self, message: OutboxMessage, now_ms: int) -> bool:
        return now_ms - message.created_ms >= self._settings.notify.give_up_after_seconds * 1000

    def _is_free(self, pace: TargetPace, target: NotifyTarget, now_ms: int) -> bool:
        return pace.free_at_ms(now_ms=now_ms, messages_per_minute=target.messages_per_minute) <= now_ms

    def _sender(self, name: str) -> Sender:
        if name not in self._senders:
            target = _target(name, self._settings.notify)
            assert target is not None  # or nothing would have been claimed for it
            self._senders[name] = self._open_sender(target, self._settings.notify)
        return self._senders[name]

    def _letter(self, message: OutboxMessage) -> Letter:
        target = _target(message.target, self._settings.notify)
        assert target is not None
        try:
            notice = Notice.of(message.notice)
        except (DefectError, KeyError, TypeError, ValueError) as error:
            raise NotDeliveredError(f"Another version of autostream wrote this notice: {error}.") from error
        return write_letter(
            notice,
            language=target.language,
            format=target.format,
            console_url=self._settings.console.url,
            repeats=message.repeats,
        )


def _target(name: str, settings: NotifySettings) -> NotifyTarget | None:
    return next((target for target in settings.targets if target.name == name), None)
