from autostream.access import audit
from autostream.access.roles import Role
from autostream.store.database import open_database
from tests.console.support import Browser, known_app


def test_the_audit_log_is_read_in_parts_newest_first(configured: object) -> None:
    with open_database().write() as connection:
        for number in range(5):
            audit.record(connection, f"kind-{number}", by="ann", about={"n": number}, now_ms=1000 + number)
    browser = Browser(known_app(Role.ADMIN))

    parts = []
    cursor: dict[str, str] = {}
    while True:
        part = browser.get("/api/audit", params={"limit": 2} | cursor).json()
        parts.append([entry["kind"] for entry in part["items"]])
        if part["next_cursor"] is None:
            break
        cursor = {"cursor": part["next_cursor"]}

    assert parts == [["kind-4", "kind-3"], ["kind-2", "kind-1"], ["kind-0"]]
    assert part["items"] == [
        {"number": 1, "at": "1970-01-01T00:00:01Z", "at_ms": 1000, "kind": "kind-0", "by": "ann", "about": {"n": 0}}
    ]


def test_a_part_that_ends_the_log_is_the_last(configured: object) -> None:
    with open_database().write() as connection:
        audit.record(connection, "kind", by="ann", about={}, now_ms=1000)
    browser = Browser(known_app(Role.ADMIN))

    assert browser.get("/api/audit", params={"limit": 1}).json()["next_cursor"] is None
    assert browser.get("/api/audit", params={"cursor": "x"}).status_code == 400
    assert browser.get("/api/audit", params={"limit": 0}).status_code == 400
