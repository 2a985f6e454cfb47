"""Flink jobs on pages and by REST: the list of all."""

import re
from html import unescape

import pytest

from autostream.telemetry.job_records import GONE
from tests.console.jobs import fill_fleet
from tests.console.support import MINUTE, T0, Browser, text
from tests.support.clocks import FakeClock

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
