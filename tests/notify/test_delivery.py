"""Delivery: what is sent when and how often, and what is told of what is not."""

import logging
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from autostream.config import NotifyTarget, Settings, load_settings
from autostream.errors import ConfigurationError, NotFoundError, ServiceError
from autostream.masking import MaskingFormatter
from autostream.notices import Notice
from autostream.notify.delivery import CLAIM_SECONDS, DeliveryReport, deliver_due, deliver_until, send_test
from autostream.notify.outbox import Fate, Outbox, OutboxMessage, put
from autostream.notify.sending import NotDeliveredError
from autostream.notify.wording import Letter
from autostream.store.database import Database
from autostream.times import Clock, clock_replaced
from tests.notify.mails import PASSWORD, Mails, mails
from tests.notify.notices import released, target
from tests.notify.robots import SECRET, TOKEN, Reply, Robots, robots
from tests.support.away import away
from tests.support.clocks import FakeClock

DAY = 86_400


@pytest.fixture
def robot(clock: FakeClock) -> Iterator[Robots]:
    with robots(clock) as standing:
        yield standing


@pytest.fixture
def mail() -> Iterator[Mails]:
    with mails() as server:
        yield server


class Post:
    """Senders that only note what they were given, and fail where they are told to."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, str]] = []
        self.problems: dict[str, BaseException] = {}

    def open(self, to: NotifyTarget, _: Any) -> "Post._Box":
        return Post._Box(self, to.name)

    class _Box:
        def __init__(self, post: "Post", name: str) -> None:
            self.post, self.name = post, name

        def send(self, letter: Letter) -> None:
            for word, problem in self.post.problems.items():
                if word in letter.title or word == self.name:
                    raise problem
            self.post.sent.append((self.name, letter.title.split(" on ")[1].split(" was ")[0]))


@pytest.fixture
def post() -> Post:
    return Post()


def configured(*targets: NotifyTarget, **changes: Any) -> Settings:
    notify = {"targets": targets or (target(),), **changes}
    return Settings.model_validate({"notify": notify, "console": {"url": "https://as.example.org"}})


def put_into(database: Database, into: Settings, clock: FakeClock, *notices: Notice) -> None:
    with database.write() as connection:
        assert put(connection, notices or [released()], into.notify, now_ms=clock.ms)


def messages(database: Database) -> list[OutboxMessage]:
    with database.read() as connection:
        return Outbox(connection).newest(limit=200)[::-1]


def tables(count: int) -> list[Notice]:
    return [released(f"lake.db.t{number:02}") for number in range(count)]


# --------------------------------------------------------------------------------------------- DingTalk


def test_a_robot_of_dingtalk_takes_a_signed_message(database: Database, robot: Robots, clock: FakeClock) -> None:
    settings = configured(target("ding", robot.target_url, language="zh-CN"), dingtalk_url=robot.url)
    put_into(database, settings, clock)

    assert deliver_due(database, settings) == DeliveryReport(sent=1)
    (message,) = robot.taken
    assert message["markdown"]["title"] == "警告：已释放 lake.db.orders 上的失效锁"
    assert message["markdown"]["text"].startswith("#### 警告：已释放 lake.db.orders 上的失效锁\n\n锁清理程序释放了")
    assert "(https://as.example.org/tables/lake.db.orders)" in message["markdown"]["text"]
    assert [(m.state, m.tries, m.error) for m in messages(database)] == [(Fate.SENT, 1, "")]


def test_a_robot_mentions_people_and_takes_plain_text(database: Database, robot: Robots, clock: FakeClock) -> None:
    url = f"{robot.target_url}13800138000/13900139000"
    settings = configured(target("ding", url, format="text"), dingtalk_url=robot.url)
    put_into(database, settings, clock)

    assert deliver_due(database, settings).sent == 1
    (message,) = robot.taken
    assert message["at"] == {"atMobiles": ["13800138000", "13900139000"], "isAtAll": False}
    assert message["text"]["content"].endswith("@13800138000 @13900139000")


@pytest.mark.parametrize(
    ("url", "says"),
    [
        (
            f"dingtalk://SECwrongwrong@{TOKEN}/",
            r"errcode 310000, sign not match.*Compare the robot's security settings",
        ),
        (f"dingtalk://{TOKEN}/", r"errcode 310000, invalid timestamp"),
        (f"dingtalk://{SECRET}@nosuchrobot1/", r"errcode 300001, token is not exist.*copy it again"),
        (f"dingtalk://{SECRET}@{TOKEN}/?tokn=x", r"unknown parameter 'tokn'"),
    ],
)
def test_what_dingtalk_refuses_is_told_and_tried_again(
    database: Database, robot: Robots, clock: FakeClock, url: str, says: str
) -> None:
    wrong = configured(target("ding", url), dingtalk_url=robot.url)
    put_into(database, wrong, clock)

    report = deliver_due(database, wrong)
    (message,) = messages(database)
    assert (report.sent, report.failed, message.state, message.tries) == (0, 1, Fate.WAITING, 1)
    with pytest.raises(AssertionError, match=says):  # `match` for a text that is not an error's
        raise AssertionError(message.error)
    clock.advance(60)
    right = configured(target("ding", robot.target_url), dingtalk_url=robot.url)
    assert deliver_due(database, right).sent == 1
    assert len(robot.taken) == 1


def test_a_robot_gets_no_more_than_it_takes_in_a_minute(database: Database, robot: Robots, clock: FakeClock) -> None:
    settings = configured(target("ding", robot.target_url), dingtalk_url=robot.url)
    put_into(database, settings, clock, *tables(45))

    sent = []
    for _ in range(13):
        sent.append(deliver_due(database, settings).sent)
        clock.advance(10)
    assert sent == [20, 0, 0, 0, 0, 0, 20, 0, 0, 0, 0, 0, 5]
    assert {message.tries for message in messages(database)} == {1}, "the robot refused none"


@pytest.mark.parametrize("code", [130101, 660026, 410100, 90030])
def test_a_robot_that_says_that_it_is_too_much_is_left_alone(
    database: Database, robot: Robots, clock: FakeClock, code: int
) -> None:
    settings = configured(target("ding", robot.target_url), dingtalk_url=robot.url)
    put_into(database, settings, clock, *tables(3))
    robot.refusals.append({"errcode": code, "errmsg": "send too fast"})

    assert deliver_due(database, settings).failed == 1
    clock.advance(590)
    assert deliver_due(database, settings) == DeliveryReport(waiting=3)
    assert len(robot.answers.posted) == 1
    clock.advance(10)
    assert deliver_due(database, settings).sent == 3


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (
            Reply(502, b"<html>bad gateway</html>"),
            r"DingTalk answered POST http://127.0.0.1:\d+/robot/send with an error: 502",
        ),
        (b"<html>log in</html>", "is not JSON"),
        ({"ok": True}, "JSON without an errcode"),
        ([1], "JSON without an errcode"),
        ({"errcode": -1, "errmsg": "system busy"}, "errcode -1, system busy"),
    ],
)
def test_a_gateway_that_answers_something_else_takes_no_message(
    database: Database, robot: Robots, clock: FakeClock, answer: Any, says: str
) -> None:
    settings = configured(target("ding", robot.target_url), dingtalk_url=robot.url)
    put_into(database, settings, clock)
    robot.refusals.append(answer)

    with pytest.raises(AssertionError, match=says):
        raise AssertionError(deliver_due(database, settings).problems["ding"])
    clock.advance(30)
    assert deliver_due(database, settings).sent == 1


# ---------------------------------------------------------------------------------------------- email


def test_email_is_sent_by_smtp(database: Database, mail: Mails, clock: FakeClock) -> None:
    settings = configured(target("mail", mail.url()))
    put_into(database, settings, clock)

    assert deliver_due(database, settings) == DeliveryReport(sent=1)
    (message,) = mail.taken
    assert message["Subject"] == "Warning: Stale lock on lake.db.orders was released"
    assert (message["From"], message["To"]) == ("autostream@example.org", "oncall@example.org")
    assert '<a href="https://as.example.org/tables/lake.db.orders">More about it</a>' in mail.text("html")
    assert "The lock janitor released a lock on lake.db.orders" in mail.text()


def test_plain_email_in_chinese(database: Database, mail: Mails, clock: FakeClock) -> None:
    settings = configured(target("mail", mail.url(), format="text", language="zh-CN"))
    put_into(database, settings, clock)

    assert deliver_due(database, settings).sent == 1
    assert mail.taken[0].get_content_type() == "text/plain"
    assert "锁清理程序释放了 lake.db.orders 上由 flink@tm-1 遗留的锁" in mail.text()


def test_what_a_mail_server_says_is_told(database: Database, mail: Mails, clock: FakeClock) -> None:
    wrong, refused = target("wrong", mail.url("not-the-password")), target("refused", mail.url())
    settings = configured(wrong, refused)
    mail.refuse = "452 mailbox is full"
    put_into(database, settings, clock)

    problems = deliver_due(database, settings).problems
    assert "The message for wrong was not taken: Connection error while submitting email" in problems["wrong"]
    assert "535" in problems["wrong"]
    assert "452" in problems["refused"]
    assert "mailbox is full" in problems["refused"]
    mail.refuse = ""
    clock.advance(60)
    assert deliver_due(database, configured(target("wrong", mail.url()), refused)).sent == 2


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("nosuch://token-of-it-123", "Apprise does not understand `url` of the target x: Unparseable URL"),
        ("slack://bad", "Slack"),
        ("mailto://127.0.0.1?from=a&to=b", "target x"),
    ],
)
def test_a_url_that_apprise_does_not_know_is_said_to_be_one(url: str, says: str) -> None:
    with pytest.raises(ConfigurationError, match=says):
        send_test("x", configured(target("x", url)), by="me")


# -------------------------------------------------------------------------------------- at least once


def test_a_target_that_is_away_gets_its_messages_later(database: Database, robot: Robots, clock: FakeClock) -> None:
    with away("refuses") as port:
        nobody = configured(target("ding", robot.target_url), dingtalk_url=f"http://127.0.0.1:{port}")
        put_into(database, nobody, clock, *tables(3))
        report = deliver_due(database, nobody)
        assert (report.failed, report.waiting) == (1, 3), "one message at a time asks whether it is back"
        clock.advance(30)
        assert deliver_due(database, nobody).failed == 1
    clock.advance(60)
    back = configured(target("ding", robot.target_url), dingtalk_url=robot.url)
    assert deliver_due(database, back) == DeliveryReport(sent=3)


def test_pauses_grow_until_a_message_is_given_up(database: Database, post: Post, clock: FakeClock) -> None:
    settings = configured()
    put_into(database, settings, clock)
    post.problems["oncall"] = NotDeliveredError("it is away")

    began_ms, tried_s = clock.ms, []
    for _ in range(DAY // 240 + 20):
        report = deliver_due(database, settings, open_sender=post.open)
        if report.failed:
            tried_s.append((clock.ms - began_ms) // 1000)
        if report.given_up:
            break
        clock.advance(240)
    (message,) = messages(database)
    assert (message.state, message.error) == (Fate.GIVEN_UP, "it is away")
    assert DAY <= (clock.ms - began_ms) // 1000 <= DAY + 1400
    gaps = [later - earlier for earlier, later in pairwise(tried_s)]
    assert 60 < len(tried_s) < 140
    assert max(gaps) <= 1400
    clock.advance(DAY)
    assert deliver_due(database, settings, open_sender=post.open) == DeliveryReport(), "given up is given up"


def test_a_message_that_waited_while_nobody_delivered_is_tried(
    database: Database, post: Post, clock: FakeClock
) -> None:
    put_into(database, configured(), clock)
    clock.advance(3 * DAY)
    assert deliver_due(database, configured(), open_sender=post.open).sent == 1


def test_one_message_that_is_always_refused_blocks_no_other(database: Database, post: Post, clock: FakeClock) -> None:
    settings = configured()
    put_into(database, settings, clock, *tables(5))
    post.problems["t00"] = ValueError("no such letter")

    for _ in range(20):
        deliver_due(database, settings, open_sender=post.open)
        clock.advance(10)
    assert [name for _, name in post.sent] == ["lake.db.t01", "lake.db.t02", "lake.db.t03", "lake.db.t04"]
    first = messages(database)[0]
    assert (first.state, first.error) == (Fate.WAITING, "Unexpected ValueError: no such letter")
    assert first.tries < 8


def test_a_target_that_fails_does_not_stop_the_others(database: Database, post: Post, clock: FakeClock) -> None:
    settings = configured(target("one"), target("two"), target("three"))
    put_into(database, settings, clock, *tables(2))
    post.problems["two"] = NotDeliveredError("it is away")

    report = deliver_due(database, settings, open_sender=post.open)
    assert (report.sent, report.failed, report.problems) == (4, 1, {"two": "it is away"})


KILLED = """
import os, signal, sys
from autostream.config import load_settings
from autostream.notify.delivery import deliver_due, open_sender
from autostream.store.database import open_database

class Killed:
    def __init__(self, target, settings):
        self.sender = open_sender(target, settings)
    def send(self, letter):
        self.sender.send(letter)
        os.kill(os.getpid(), signal.SIGKILL)

deliver_due(open_database(), load_settings(), open_sender=Killed)
"""


def test_a_process_that_is_killed_after_sending_loses_nothing(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()  # the process goes by the real one
    with robots(clock) as robot:
        monkeypatch.setenv("AUTOSTREAM_DATABASE__URL", str(database.url))
        monkeypatch.setenv("AUTOSTREAM_NOTIFY__TARGETS__DING__URL", robot.target_url)
        monkeypatch.setenv("AUTOSTREAM_NOTIFY__DINGTALK_URL", robot.url)
        settings = load_settings()
        with database.write() as connection:
            put(connection, tables(2), settings.notify, now_ms=clock.now_ms())
        killed = subprocess.run([sys.executable, "-c", KILLED], check=False, capture_output=True, text=True)
        assert killed.returncode == -signal.SIGKILL, killed.stderr
        assert len(robot.taken) == 1
        assert deliver_due(database, settings).sent == 1, "the other message does not wait for that claim"
        with clock_replaced(FakeClock()) as later:
            later.ms = clock.now_ms() + CLAIM_SECONDS * 1000
            robot.clock = later
            assert deliver_due(database, settings).sent == 1
    titles = [text.split("\n")[0] for text in robot.texts]
    assert sorted(titles) == sorted([titles[0], *dict.fromkeys(titles)]), "one came twice"
    assert [message.tries for message in messages(database)] == [2, 1]


class _Death(BaseException):
    """The process ends here."""


def test_a_process_that_ends_after_sending_leaves_a_message_that_is_sent_again_once(
    database: Database, post: Post, clock: FakeClock
) -> None:
    put_into(database, configured(), clock)

    class Dying:
        def send(self, letter: Letter) -> None:
            post.open(target(), None).send(letter)
            raise _Death

    with pytest.raises(_Death):
        deliver_due(database, configured(), open_sender=lambda *_: Dying())
    assert deliver_due(database, configured(), open_sender=post.open).sent == 0, "another process may be sending it"
    clock.advance(CLAIM_SECONDS - 1)
    assert deliver_due(database, configured(), open_sender=post.open).sent == 0
    clock.advance(1)
    assert deliver_due(database, configured(), open_sender=post.open).sent == 1
    assert len(post.sent) == 2
    assert [(m.state, m.tries) for m in messages(database)] == [(Fate.SENT, 2)]


def test_a_message_that_ends_each_process_is_given_up(database: Database, clock: FakeClock) -> None:
    put_into(database, configured(), clock)

    class Dying:
        def send(self, letter: Letter) -> None:
            raise _Death

    deaths = 0
    for _ in range(2 * DAY // 600):
        try:
            deliver_due(database, configured(), open_sender=lambda *_: Dying())
        except _Death:
            deaths += 1
        clock.advance(600)
    (message,) = messages(database)
    assert (message.state, message.tries) == (Fate.GIVEN_UP, deaths + 1)
    assert message.error == "The process that sent it ended before it could say how that went."


def test_a_database_that_is_lost_after_sending_costs_a_repetition_and_nothing_else(
    database: Database, post: Post, clock: FakeClock, tmp_path: Path
) -> None:
    put_into(database, configured(), clock)
    file = tmp_path / "a.db"

    class Losing:
        def send(self, letter: Letter) -> None:
            post.open(target(), None).send(letter)
            database.close()
            file.rename(tmp_path / "away")
            file.mkdir()

    with pytest.raises(ServiceError):
        deliver_due(database, configured(), open_sender=lambda *_: Losing())
    with pytest.raises(ServiceError):
        deliver_due(database, configured(), open_sender=post.open)
    file.rmdir()
    (tmp_path / "away").rename(file)
    clock.advance(CLAIM_SECONDS)
    assert deliver_due(database, configured(), open_sender=post.open).sent == 1
    assert len(post.sent) == 2


@pytest.mark.parametrize(
    "database", ["sqlite", pytest.param("postgresql", marks=pytest.mark.integration)], indirect=True
)
def test_of_several_processes_each_message_is_sent_by_one(database: Database, post: Post) -> None:
    """On the real clock, for they are real threads, each with connections of its own."""
    names = [f"target-{number}" for number in range(4)]
    settings = configured(*(target(name, messages_per_minute=600) for name in names))
    with database.write() as connection:
        put(connection, tables(15), settings.notify, now_ms=Clock().now_ms() - 1000)
    url = database.url.render_as_string(hide_password=False)
    start = threading.Barrier(4)

    def deliver() -> None:
        own = Database(url)
        start.wait()
        while deliver_due(own, settings, open_sender=post.open).sent:
            pass
        own.close()

    threads = [threading.Thread(target=deliver) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    expected = sorted((name, f"lake.db.t{number:02}") for name in names for number in range(15))
    assert sorted(post.sent) == expected


# ------------------------------------------------------------------------------------- configuration


def test_what_this_process_knows_no_target_for_is_left_to_others(
    database: Database, post: Post, clock: FakeClock
) -> None:
    put_into(database, configured(target("gone")), clock)
    other = configured(target("kept"))

    assert deliver_due(database, other, open_sender=post.open) == DeliveryReport(waiting=1)
    clock.advance(DAY)
    assert deliver_due(database, other, open_sender=post.open).given_up == 1
    assert "no target 'gone' in [[notify.targets]]" in messages(database)[0].error


def test_a_notice_of_a_later_version_waits_for_one_who_knows_it(
    database: Database, post: Post, clock: FakeClock
) -> None:
    put_into(database, configured(), clock)
    with database.write() as connection:
        connection.exec_driver_sql(
            "UPDATE autostream_outbox_message SET notice = replace(notice, 'lock-re', 'lock-tr')"
        )

    assert deliver_due(database, configured(), open_sender=post.open).failed == 1
    assert "Another version of autostream wrote this notice" in messages(database)[0].error
    with database.write() as connection:
        connection.exec_driver_sql(
            "UPDATE autostream_outbox_message SET notice = replace(notice, 'lock-tr', 'lock-re')"
        )
    clock.advance(60)
    assert deliver_due(database, configured(), open_sender=post.open).sent == 1


def test_a_test_message_is_sent_at_once(robot: Robots) -> None:
    settings = configured(target("ding", robot.target_url, language="zh-CN"), dingtalk_url=robot.url)

    assert send_test("ding", settings, by="ann").title == "提示：发送给 ding 的测试消息"
    assert "由 ann 发送" in robot.texts[0]
    with pytest.raises(NotFoundError, match=r"no target 'dng'.*Configured: ding\. Did you mean ding\?"):
        send_test("dng", settings, by="ann")
    robot.refusals.append({"errcode": 310000, "errmsg": "sign not match"})
    with pytest.raises(NotDeliveredError, match="sign not match"):
        send_test("ding", settings, by="ann")


def test_delivery_goes_on_until_it_is_stopped(
    database: Database, caplog: pytest.LogCaptureFixture, tmp_path: Path, robot: Robots, clock: FakeClock
) -> None:
    settings = configured(target("ding", robot.target_url), dingtalk_url=robot.url)
    broken = Database(f"sqlite:///{tmp_path}")  # a directory
    stop = threading.Event()
    thread = threading.Thread(target=deliver_until, args=(stop, broken, settings), kwargs={"look_seconds": 0.01})
    thread.start()
    other = threading.Thread(target=deliver_until, args=(stop, database, settings), kwargs={"look_seconds": 0.01})
    other.start()
    put_into(database, settings, clock)
    assert robot.arrived.wait(60)
    stop.set()
    thread.join()
    other.join()
    assert len(robot.taken) == 1
    assert caplog.text.count("Notices are not delivered at the moment") == 1


# -------------------------------------------------------------------------------------------- secrets


def test_no_secret_of_a_target_is_shown(
    database: Database, mail: Mails, robot: Robots, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with away("refuses") as port:
        settings = configured(
            target("ding", robot.target_url),
            target("gone", "dingtalk://SECaaaabbbb1111@tok3nOfGone99/"),
            target("mail", mail.url("wrong-Pa55word")),
            target("hook", f"json://ops:hook-Pa55word@127.0.0.1:{port}/T0PS3CRETPATH?-key=x"),
            target("slack", "slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ/%20%21"),
            dingtalk_url=f"http://127.0.0.1:{port}",
        )
        put_into(database, settings, clock)
        report = deliver_due(database, settings)
    assert report.failed == 5
    stored = " ".join(f"{message.error} {message.to_dict()}" for message in messages(database))
    # As the formatter of all handlers writes it.
    logged = "\n".join(MaskingFormatter(logging.Formatter()).format(record) for record in caplog.records)
    raw = "\n".join(
        record.getMessage() for record in caplog.records if record.name.startswith(("autostream", "apprise"))
    )
    for secret in (SECRET, TOKEN, "SECaaaabbbb1111", "tok3nOfGone99", "wrong-Pa55word", PASSWORD, "hook-Pa55word",
                   "T0PS3CRETPATH", "A1BRTD4JD", "TIiajkdnlazkcOXrIdevi7FQ"):  # fmt: skip
        for shown in (stored, str(report.to_dict()), repr(report), logged, raw, repr(settings)):
            assert secret not in shown, secret
