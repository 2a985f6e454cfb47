"""Flink jobs on pages and by REST: the list of all, and one job."""

import re
from html import unescape

import pytest

from autostream.notices import page_of_job
from autostream.telemetry.job_records import GONE
from tests.console.jobs import fill_fleet
from tests.console.support import MINUTE, T0, Browser, text
from tests.support.clocks import FakeClock
from tests.support.telemetry import fill_telemetry, job_record

NOW = T0 + 30 * MINUTE


@pytest.fixture
def fleet(client: Browser) -> Browser:
    fill_fleet(NOW)
    return client


def listed(browser: Browser, **wanted: str) -> list[str]:
    return [item["job"] for item in browser.get("/api/jobs", params=wanted).json()["items"]]


def test_the_worst_job_is_first_and_each_says_what_it_uses(fleet: Browser) -> None:
    said = text(fleet.get("/jobs").text)

    assert "prod/orders trade · ann RUNNING 71 0.03 of 2.00 512.0 MiB of 4.0 GiB 20 min 120,000 records wait" in said
    assert "io-bound lag-unknown prod/bids ads RUNNING 98 1.50 of 2.00 – – " in said
    assert "test/a/../b?c=<d>&é no team FAILED – – – –" in said
    assert "3 jobs" in said
    assert "test/old" not in said


def test_jobs_are_asked_for_by_team_cluster_state_and_name(fleet: Browser) -> None:
    assert listed(fleet) == ["prod/bids", "prod/orders", "test/a/../b?c=<d>&é"]
    assert listed(fleet, team="ads") == ["prod/bids"]
    assert listed(fleet, team="ads", state="any") == ["prod/bids", "test/old"]
    assert listed(fleet, without_team="true") == ["test/a/../b?c=<d>&é"]
    assert listed(fleet, cluster="prod", sort="-job") == ["prod/orders", "prod/bids"]
    assert listed(fleet, state=GONE) == ["test/old"]
    assert listed(fleet, q="ORD") == ["prod/orders"]
    assert fleet.get("/api/jobs?sort=x").status_code == 400


def test_what_was_asked_for_stays_chosen_and_in_each_link(fleet: Browser) -> None:
    page = fleet.get("/jobs", params={"team": "gone team", "state": "any", "without_team": "true"}).text

    assert "No job is as you have asked for." in text(page)
    assert '<option value="gone team" selected>' in page
    assert '<option value="any" selected>' in page
    assert 'name="without_team" value="true" checked' in page
    links = re.findall(r'href="(/jobs\?[^"]*sort=[^"]*)"', fleet.get("/jobs?cluster=prod&q=o").text)
    assert links
    assert all("cluster=prod" in link and "q=o" in link for link in links)
    assert all(fleet.get(unescape(link)).status_code == 200 for link in links)


def test_the_list_comes_in_parts(fleet: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    first = fleet.get("/api/jobs?limit=2").json()
    rest = fleet.get("/api/jobs", params={"limit": 2, "cursor": first["next_cursor"]}).json()
    assert [item["job"] for item in (*first["items"], *rest["items"])] == listed(fleet)
    assert (first["total"], rest["next_cursor"]) == (3, None)

    monkeypatch.setattr("autostream.console.paging.PAGE_ROWS", 1)
    assert "2 of 3" in text(fleet.get("/jobs?page=2").text)


def test_a_job_by_rest_has_its_score_and_what_it_uses(fleet: Browser) -> None:
    orders = fleet.get("/api/jobs?q=orders").json()["items"][0]

    assert (orders["cluster"], orders["name"], orders["team"], orders["score"]) == ("prod", "orders", "trade", 71)
    assert orders["findings"][0] == {"id": "io-bound", "severity": "warning", "deduction": 20.0}
    assert (orders["use"]["cpu_cores_used"], orders["use"]["memory_used_bytes"]) == (0.03, 1 << 29)
    assert (orders["lag_seconds"], orders["seen_ms"]) == (1200.0, NOW)


def test_what_is_old_says_nothing_of_the_present(fleet: Browser, clock: FakeClock) -> None:
    clock.ms = NOW + 6 * MINUTE
    orders = fleet.get("/api/jobs?q=orders").json()["items"][0]
    assert (orders["use"]["cpu_cores_used"], orders["score"]) == (None, 71)
    clock.ms = NOW + 180 * MINUTE
    assert fleet.get("/api/jobs?q=orders").json()["items"][0]["score"] is None


def test_without_jobs_it_is_said_what_samples_them(client: Browser) -> None:
    assert "'autostream flink watch' samples the jobs" in text(client.get("/jobs").text)
    assert "作业" in client.get("/jobs", headers={"Accept-Language": "zh"}).text


NAMES = [
    "prod/a/b",
    "prod/../x",
    "prod/./y//z",
    "prod/日本 <b>é</b>",
    "prod/a?b#c%2F&d=e+f",
    "prod/[red]\"'",
    "prod/a\0b",
    "p/\n",
]


@pytest.mark.parametrize("name", NAMES)
def test_each_job_that_is_listed_has_its_page(client: Browser, name: str) -> None:
    fill_telemetry(records=[job_record(name, seen_ms=NOW)])
    (link,) = re.findall(r'href="(/job\?[^"]*)"', client.get("/jobs").text)

    page = client.get(unescape(link))

    assert page.status_code == 200
    told = client.get("/api/jobs").json()["items"][0]["job"]
    assert told == name.replace("\0", "\ufffd")
    assert re.sub(r"\s+", " ", told).strip() in text(page.text)
    assert re.findall(r"<b>|<c>", page.text) == []
    assert re.sub(r"\s+", " ", told).strip() in text(client.get(page_of_job(told)).text)
    for part in ("health", "settings", "metrics"):
        assert client.get(f"/api/jobs/{part}", params={"job": name}).json()["job"] in (told, name)


def test_a_jobs_page_has_findings_with_fixes_charts_vertices_and_settings(fleet: Browser) -> None:
    page = fleet.get("/job?name=prod/orders").text
    said = text(page)

    assert "Score 92 70% sure, over the last 10 min Not known: busy_share_max, gc_share." in said
    assert "RUNNING trade · ann · started 1 h ago · Last seen now" in said
    assert "info lag-high costs 8 points It is 20 min behind (120,000 records wait). Look at what its sources" in said
    assert "Cores last 0.03 of 2.00 · mean 0.03, largest 0.03" in said
    assert "Memory last 512.0 MiB of 4.0 GiB" in said
    assert "Records that wait last 120,000" in said
    assert "Slots last 2 of 4" in said
    assert "v1 2 of at most 128 100%" in said
    assert "Flink 2.3.0 Checkpoints every 1 min" in said
    assert "autostream.team trade" in said
    assert "评分 92 可信度 70%" in text(fleet.get("/job?name=prod/orders", headers={"Accept-Language": "zh"}).text)


def test_charts_go_as_far_back_as_was_asked(fleet: Browser) -> None:
    hour = fleet.get("/job?name=prod/orders&range=1h").text
    month = fleet.get("/job?name=prod/orders&range=30d").text

    assert "2026-09-21 14:30" in text(hour)
    assert "2026-08-22 15:30" in text(month)
    assert "Invalid range '2y'." in text(fleet.get("/job?name=prod/orders&range=2y").text)


def test_a_job_that_nobody_has_seen_is_not_found(fleet: Browser) -> None:
    for path in ("/job?name=prod/order", "/job?name=prod", "/api/jobs/metrics?job=a/b", "/api/jobs/settings?job=a/b"):
        assert fleet.get(path).status_code == 404, path
    assert "Did you mean prod/orders" in text(fleet.get("/job?name=prod/order").text)


def test_a_job_of_which_nothing_is_measured_says_so(fleet: Browser) -> None:
    said = text(fleet.get("/job", params={"name": "test/old"}).text)

    assert "Score not known 0% sure" in said
    assert "It was not judged." in said
    assert said.count("Nothing is known of this time.") == 4


def test_a_jobs_health_and_settings_by_rest(fleet: Browser) -> None:
    health = fleet.get("/api/jobs/health?job=prod/orders&window_seconds=1200").json()
    settings = fleet.get("/api/jobs/settings?job=prod/orders").json()["settings"]

    assert (health["job"], health["window_seconds"], health["team"]) == ("prod/orders", 1200, "trade")
    found = health["findings"][0]
    assert found["id"]
    assert found["reason"]
    assert found["fix"]
    assert (settings["flink_version"], settings["checkpoint_interval_ms"]) == ("2.3.0", 60_000)


def test_figures_come_in_parts_that_make_up_all_of_them(fleet: Browser) -> None:
    asked = {"job": "prod/orders", "figure": ["cpu_cores_used", "slots"], "limit": "7"}
    samples, cursor = [], None
    while True:
        part = fleet.get("/api/jobs/metrics", params=asked | ({"cursor": cursor} if cursor else {})).json()
        samples += part["samples"]
        cursor = part["next_cursor"]
        if cursor is None:
            break

    assert [sample["at_ms"] for sample in samples] == [NOW - (29 - number) * MINUTE for number in range(30)]
    assert samples[0]["figures"] == {"cpu_cores_used": 0.03, "slots": 4.0}
    assert fleet.get("/api/jobs/metrics?job=prod/orders&figure=cpu").status_code == 400
    vertex = fleet.get("/api/jobs/metrics?job=prod/orders&vertex=v1&since=2m").json()
    assert (vertex["vertex"], len(vertex["samples"])) == ({"id": "v1", "name": "v1"}, 2)
