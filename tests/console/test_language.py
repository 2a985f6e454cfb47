import re
import string
from pathlib import Path

import pytest
from pyiceberg.catalog.sql import SqlCatalog

from autostream import console
from autostream.console import view
from autostream.console.language import DEFAULT, LANGUAGES, MESSAGES, choose, translator
from autostream.findings import Finding, Severity
from autostream.lake.compaction.compaction_options import CompactionOptions
from autostream.lake.compaction.planning import plan_compaction
from autostream.lake.compaction.reasons import REASONS
from autostream.lake.compaction.table_report import find_advice
from tests.console.support import Browser, text
from tests.lake.files import data
from tests.lake.states import state
from tests.support.lakes import Orders


def fields(message: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(message) if name is not None}


@pytest.mark.parametrize("language", LANGUAGES)
def test_each_language_has_all_messages_with_the_same_values_in_them(language: str) -> None:
    assert MESSAGES[language].keys() == MESSAGES[DEFAULT].keys()
    for key, message in MESSAGES[language].items():
        assert message.strip(), key
        assert fields(message) == fields(MESSAGES[DEFAULT][key]), key


def test_every_message_is_used_and_what_is_used_is_there() -> None:
    package = Path(console.__file__).parent
    texts = "".join(path.read_text() for path in [*package.rglob("*.html"), *package.rglob("*.py")])
    asked = set(re.findall(r"\bt\(\s*f?\"([\w.-]+[\w-])\"", texts))
    assert asked <= MESSAGES[DEFAULT].keys()
    prefixes = tuple(re.findall(r"\bt\(\s*f?\"([\w.-]+\.)[\"{]", texts))
    assert {key for key in MESSAGES[DEFAULT] if not key.startswith(prefixes)} <= asked


@pytest.mark.parametrize(
    ("chosen", "accepted", "language"),
    [
        (None, "", "en"),
        (None, "zh-CN,zh;q=0.9,en;q=0.8", "zh-CN"),
        (None, "zh-Hans-CN", "zh-CN"),
        (None, "de, en;q=0.5, zh;q=0.7", "zh-CN"),
        (None, "zh;q=0, en", "en"),
        (None, "de-DE,de", "en"),
        (None, "en-GB,zh", "en"),
        (None, ";;q=x,,*", "en"),
        ("zh-CN", "en", "zh-CN"),
        ("en", "zh", "en"),
        ("klingon", "zh", "zh-CN"),
    ],
)
def test_the_language_is_what_was_chosen_else_what_the_browser_wishes(
    chosen: str | None, accepted: str, language: str
) -> None:
    assert choose(chosen=chosen, accepted=accepted) == language


def test_values_are_put_into_messages() -> None:
    assert translator("zh-CN")("time.ago", length="5 min") == "5 min 前"


def test_reasons_of_compaction_are_told_in_english_as_commands_tell_them() -> None:
    told = {key.removeprefix("reason."): words for key, words in MESSAGES["en"].items() if key.startswith("reason.")}

    assert told == {"separator": "; ", **REASONS}


def test_advice_is_told_in_english_as_commands_tell_it(lake: SqlCatalog) -> None:
    orders = Orders(lake, "db.orders")
    orders.checkpoint()
    uncounted = state(data("a", record_count=-1)), "lake.db.other"
    plan = plan_compaction(orders.load(), options=CompactionOptions(), name="lake.db.orders", only_to_show=True)
    found = [*find_advice(*uncounted), *find_advice(plan.state, "lake.db.orders")]

    assert [each.id for each in found] == ["records-uncounted", "empty-commits-rare"]
    for each in found:
        assert view.advice(each, translator("en")) == {"text": str(each), "english": False}
        assert not view.advice(each, translator("zh-CN"))["english"]
    recorded = Finding(subject="table t", severity=Severity.WARNING, reason="As it was recorded.", id="other")
    assert view.advice(recorded, translator("zh-CN")) == {"text": "As it was recorded.", "english": True}


def test_what_compaction_would_do_is_told_in_chinese(client: Browser, lake: SqlCatalog) -> None:
    Orders(lake, "db.orders").checkpoint(6)

    page = client.get("/plan/lake.db.orders", headers={"Accept-Language": "zh"}).text

    said = text(page.partition("<main>")[2].partition("</main>")[0])
    assert "有 6 个文件可合并" in said
    assert "每 10 个检查点才提交一次" in said
    names = r"lake\.db\.orders|spec=0|\S+ KiB|flink\.\S+=1|Flink|'autostream token create NAME --role admin'"
    assert re.findall(r"[A-Za-z]+", re.sub(names, "", said)) == []


def test_pages_are_in_the_chosen_language(client: Browser) -> None:
    assert 'lang="en"' in client.get("/").text
    assert "所有时间均为 UTC" in client.get("/", headers={"Accept-Language": "zh"}).text

    answer = client.get("/language/zh-CN?back=/tables/lake.db.t?until=")
    assert (answer.status_code, answer.headers["location"]) == (303, "/tables/lake.db.t?until=")
    page = text(client.get("/tables/lake.db.t").text)
    assert "数据完整至 未知 无人上报" in page
    assert "未找到" in client.get("/nothing").text


def test_the_way_back_leads_nowhere_else(client: Browser) -> None:
    for back in ("https://evil.example", "//evil.example", "/\\evil.example", "/a\nb", "x", ""):
        assert client.get("/language/en", params={"back": back}).headers["location"] == "/", back


def test_a_language_that_is_not_there_is_not_found(client: Browser) -> None:
    answer = client.get("/language/klingon")
    assert answer.status_code == 404
    assert "Unknown language 'klingon'. Known: en, zh-CN." in text(answer.text)
