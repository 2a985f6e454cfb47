"""The outbox: each notice for each target that gets it, kept until it is sent or given up, and what became of it.

A message is sent at least once. Whoever sends it claims it first, for a time, and says afterwards how that went; where
the process ends in between, the claim ends by itself, and the message is sent again.
"""

from __future__ import annotations

import json
import logging
import uuid
from collections.abc import Collection, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from hashlib import sha256
from typing import Any, Final

from sqlalchemy import Connection, delete, func, insert, select, update
from sqlalchemy.exc import SQLAlchemyError

from autostream.config.sections.notify import NotifySettings
from autostream.errors import DataError, DefectError
from autostream.masking import mask, mask_all
from autostream.notices import Notice
from autostream.notify.pacing import TargetPace
from autostream.notify.routing import receivers_of
from autostream.notify.rows import OutboxKeyRow, OutboxMessageRow, OutboxTargetRow
from autostream.notify.wording import title_of
from autostream.store.chores import take_chore
from autostream.store.rows import value_of
from autostream.store.turns import take_turn
from autostream.store.upsert import insert_or_update
from autostream.times import DAY_MS, iso

_CHORE: Final = "forget old notices"
_TURN: Final = "send a notice"

_logger = logging.getLogger(__name__)


class Fate(StrEnum):
    """What became of a message."""

    WAITING = "waiting"
    SENT = "sent"
    GIVEN_UP = "given-up"


@dataclass(frozen=True, kw_only=True)
class OutboxMessage:
    """One notice for one target.

    Attributes:
        number: One more for each message.
        target: The name of the target.
        notice: The notice as JSON, see `Notice.to_dict`.
        created_ms: When it was put into the outbox.
        repeats: How many more notices of the same key came since, which were not put into the outbox.
        state: What became of it.
        tries: How often it was tried to send it.
        next_try_ms: When it is tried next, unless its target is paused; of no meaning once it is settled.
        settled_ms: When it was sent or given up; None while it waits.
        error: Why the last try failed, or why it was given up; empty where nothing failed.
    """

    number: int
    target: str
    notice: dict[str, Any]
    created_ms: int
    repeats: int
    state: Fate
    tries: int
    next_try_ms: int
    settled_ms: int | None
    error: str

    @property
    def title(self) -> str:
        """What it says, in one line of English."""
        try:
            return title_of(Notice.of(self.notice))
        except (DefectError, KeyError, TypeError, ValueError):  # of another version
            return f"{self.notice.get('kind')}: {self.notice.get('subject')}"

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON: times in ISO 8601 and as `_ms`."""
        stamps = {name.removesuffix("_ms"): iso(getattr(self, name)) for name in ("created_ms", "settled_ms")}
        waiting = self.state is Fate.WAITING
        document = asdict(self) | stamps | {"state": self.state.value, "title": self.title}
        document["next_try_ms"] = self.next_try_ms if waiting else None
        return document | {"next_try": iso(self.next_try_ms) if waiting else None}


@dataclass(frozen=True)
class Claim:
    """The right to send a message, for a time.

    Attributes:
        message: The message; `tries` counts the coming one.
        token: What proves the right.
    """

    message: OutboxMessage
    token: str


def put(connection: Connection, notices: Iterable[Notice], settings: NotifySettings, *, now_ms: int) -> int:
    """Put notices into the outbox, for each target that gets them, as part of a transaction.

    It fails no transaction: where the outbox cannot be written to, that is a warning in the log.

    Args:
        connection: A connection of `Database.write`, of a transaction that is short: others that have a notice of the
            same key wait for its end.
        notices: What happened. Secrets in their texts are hidden.
        settings: Who gets what, and how often.
        now_ms: The present.

    Returns:
        How many messages wait to be sent thereby; repetitions of others are counted, but not sent.
    """
    # In one order, so that two who put the same do not wait for each other.
    pairs = [(notice, target.name) for notice in notices for target in receivers_of(notice, settings.targets)]
    pairs.sort(key=lambda pair: (pair[1], pair[0].key))
    if not pairs:
        return 0
    try:
        with connection.begin_nested():
            return sum(_put(connection, notice, target, settings, now_ms) for notice, target in pairs)
    except SQLAlchemyError as error:
        _logger.warning("Nobody is told of %s: the outbox failed: %s", pairs[0][0].subject, mask(str(error)))
        return 0


def _put(connection: Connection, notice: Notice, target: str, settings: NotifySettings, now_ms: int) -> bool:
    key = {"target": target, "key": sha256(notice.key.encode("utf-8", "surrogatepass")).hexdigest()}
    window_ms = settings.repeat_after_seconds * 1000
    is_news = insert_or_update(
        connection,
        OutboxKeyRow,
        [{**key, "put_ms": now_ms, "message_id": None}],
        key=["target", "key"],
        updated=["put_ms"],
        # The latter: a clock was ahead, and has been set back.
        where=lambda _: (OutboxKeyRow.put_ms <= now_ms - window_ms) | (OutboxKeyRow.put_ms > now_ms + window_ms),
    )
    own = (OutboxKeyRow.target == target) & (OutboxKeyRow.key == key["key"])
    if not is_news:
        repeated = select(OutboxKeyRow.message_id).where(own).scalar_subquery()
        connection.execute(
            update(OutboxMessageRow).where(OutboxMessageRow.id == repeated).values(repeats=OutboxMessageRow.repeats + 1)
        )
        return False
    document = mask_all(notice.to_dict())
    new = insert(OutboxMessageRow).values(
        target=target,
        kind=document["kind"],
        severity=document["severity"],
        subject=document["subject"],
        team=document["team"],
        notice=json.dumps(document),
        created_ms=now_ms,
        repeats=0,
        state=Fate.WAITING.value,
        tries=0,
        next_try_ms=now_ms,
        claim="",
        claimed_until_ms=0,
        settled_ms=None,
        error="",
    )
    message_id = connection.execute(new.returning(OutboxMessageRow.id)).scalar_one()
    connection.execute(update(OutboxKeyRow).where(own).values(message_id=message_id))
    return True


class Outbox:
    """The outbox, within one transaction."""

    def __init__(self, connection: Connection) -> None:
        """Use a connection of `Database.read`, or of `Database.write` for what changes anything."""
        self._connection = connection

    def take_turn(self) -> None:
        """Wait until no other transaction is under way that claims a message; held until this one ends."""
        take_turn(self._connection, _TURN)

    def next_due(self, now_ms: int, *, but: Collection[str] = ()) -> OutboxMessage | None:
        """Return the message that is due first and that nobody is sending; None where there is none.

        Args:
            now_ms: The present.
            but: Targets that are left out.
        """
        query = (
            select(OutboxMessageRow)
            .where(
                OutboxMessageRow.state == Fate.WAITING.value,
                OutboxMessageRow.next_try_ms <= now_ms,
                OutboxMessageRow.claimed_until_ms <= now_ms,
                OutboxMessageRow.target.not_in(list(but)),
            )
            .order_by(OutboxMessageRow.next_try_ms, OutboxMessageRow.id)
            .limit(1)
        )
        row = self._connection.execute(query).first()
        return None if row is None else _to_message(row)

    def claim(self, message: OutboxMessage, *, until_ms: int) -> Claim:
        """Take the right to send a message; to be called where `take_turn` was."""
        token = str(uuid.uuid4())
        self._connection.execute(
            update(OutboxMessageRow)
            .where(OutboxMessageRow.id == message.number)
            .values(claim=token, claimed_until_ms=until_ms, tries=OutboxMessageRow.tries + 1)
        )
        return Claim(replace(message, tries=message.tries + 1), token)

    def settle(self, claim: Claim, fate: Fate, *, now_ms: int, error: str = "", next_try_ms: int | None = None) -> bool:
        """Say how it went with a message that was claimed.

        Returns:
            Whether the claim still counted; where it does not, another process sends the message, and says how it went.
        """
        changed = self._connection.execute(
            update(OutboxMessageRow)
            .where(OutboxMessageRow.id == claim.message.number, OutboxMessageRow.claim == claim.token)
            .values(
                state=fate.value,
                error=mask(error),
                claim="",
                claimed_until_ms=0,
                settled_ms=None if fate is Fate.WAITING else now_ms,
                next_try_ms=claim.message.next_try_ms if next_try_ms is None else next_try_ms,
            )
        )
        return changed.rowcount > 0

    def target_pace(self, name: str) -> TargetPace:
        """Return how a target has fared."""
        row = self._connection.execute(select(OutboxTargetRow).where(OutboxTargetRow.name == name)).first()
        return TargetPace() if row is None else _to_pace(row)

    def keep_pace(self, name: str, pace: TargetPace) -> None:
        """Remember how a target has fared."""
        row = {**asdict(pace), "name": name, "recent_ms": json.dumps(pace.recent_ms)}
        columns = ["recent_ms", "failures", "paused_until_ms"]
        insert_or_update(self._connection, OutboxTargetRow, [row], key=["name"], updated=columns)

    def counts(self) -> dict[Fate, int]:
        """Return how many messages there are of each fate."""
        query = select(OutboxMessageRow.state, func.count()).group_by(OutboxMessageRow.state)
        found = {row[0]: row[1] for row in self._connection.execute(query)}
        return {fate: found.get(fate.value, 0) for fate in Fate}

    def newest(
        self,
        *,
        limit: int,
        before_id: int | None = None,
        states: Sequence[Fate] = (),
        target: str | None = None,
        kind: str | None = None,
        team: str | None = None,
    ) -> list[OutboxMessage]:
        """Return the last so many messages, the newest first.

        Args:
            limit: The most there may be.
            before_id: Only messages with a smaller number: the page after the one that ended with that.
            states: Only messages of these fates; empty: of all.
            target: Only those for this target.
            kind: Only those of this kind.
            team: Only those about this team's things.
        """
        query = select(OutboxMessageRow).order_by(OutboxMessageRow.id.desc()).limit(limit)
        if before_id is not None:
            query = query.where(OutboxMessageRow.id < before_id)
        if states:
            query = query.where(OutboxMessageRow.state.in_([state.value for state in states]))
        for column, wanted in (
            (OutboxMessageRow.target, target),
            (OutboxMessageRow.kind, kind),
            (OutboxMessageRow.team, team),
        ):
            if wanted is not None:
                query = query.where(column == wanted)
        return [_to_message(row) for row in self._connection.execute(query)]

    def forget_when_due(self, *, now_ms: int, keep_days: int) -> None:
        """Delete messages older than so many days, where nobody has done it within the day.

        Those that wait, too: nobody has delivered for all that time.
        """
        if take_chore(self._connection, _CHORE, now_ms=now_ms, every_ms=DAY_MS):
            oldest_ms = now_ms - keep_days * DAY_MS
            self._connection.execute(delete(OutboxMessageRow).where(OutboxMessageRow.created_ms < oldest_ms))
            self._connection.execute(delete(OutboxKeyRow).where(OutboxKeyRow.put_ms < oldest_ms))


def _to_message(row: Any) -> OutboxMessage:
    try:
        notice = json.loads(row.notice)
    except ValueError as error:
        raise DataError(f"Message {row.id} of the outbox is not JSON: {error}. Delete it from the database.") from error
    return value_of(OutboxMessage, row, number=row.id, notice=notice, state=Fate(row.state))


def _to_pace(row: Any) -> TargetPace:
    return TargetPace(tuple(json.loads(row.recent_ms)), row.failures, row.paused_until_ms)
