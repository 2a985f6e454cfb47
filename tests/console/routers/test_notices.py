from autostream.access.roles import Role
from autostream.notify.outbox import Fate, Outbox, put
from autostream.store.database import open_database
from tests.console.support import Browser, known_app
from tests.notify.notices import NOW_MS, released, settings, target


def test_operators_see_what_became_of_each_message(configured: object) -> None:
    into = settings(target("oncall"), target("ads", teams=("ads",)))
    with open_database().write() as connection:
        put(connection, [released(f"lake.db.t{number}") for number in range(3)], into, now_ms=NOW_MS)
        put(connection, [released("lake.db.t4", team="ads"), released("lake.db.t4", team="ads")], into, now_ms=NOW_MS)
        outbox = Outbox(connection)
        message = outbox.next_due(NOW_MS)
        assert message
        outbox.settle(outbox.claim(message, until_ms=NOW_MS), Fate.GIVEN_UP, now_ms=NOW_MS + 1, error="it is away")
    browser = Browser(known_app(Role.OPERATOR))

    first = browser.get("/api/notices", params={"limit": 3}).json()
    rest = browser.get("/api/notices", params={"limit": 3, "cursor": first["next_cursor"]}).json()
    assert [item["number"] for item in (*first["items"], *rest["items"])] == [5, 4, 3, 2, 1]
    assert rest["next_cursor"] is None
    newest, oldest = first["items"][0], rest["items"][-1]
    assert (newest["title"], newest["target"], newest["repeats"]) == (
        "Warning: Stale lock on lake.db.t4 was released",
        "oncall",
        1,
    )
    assert (oldest["state"], oldest["error"], oldest["settled_ms"], oldest["next_try"]) == (
        "given-up",
        "it is away",
        NOW_MS + 1,
        None,
    )

    def numbers(**wanted: str) -> list[int]:
        return [item["number"] for item in browser.get("/api/notices", params=wanted).json()["items"]]

    assert numbers(state="given-up") == [1]
    assert numbers(target="ads") == [4]
    assert numbers(team="ads", state="waiting") == [5, 4]
    assert numbers(kind="health-low") == []
    assert browser.get("/api/notices", params={"kind": "nonsense"}).status_code == 400


def test_viewers_do_not() -> None:
    assert Browser(known_app(Role.VIEWER)).get("/api/notices").status_code == 403
