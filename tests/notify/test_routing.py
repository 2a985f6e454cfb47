from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autostream.errors import DefectError
from autostream.findings import Severity
from autostream.notices import FIELDS, Notice, NoticeKind
from autostream.notify.routing import gets, receivers_of
from tests.notify.notices import NOW_MS, released, target


@pytest.mark.parametrize(
    ("conditions", "notice", "expected"),
    [
        ({}, {}, True),
        ({"teams": ("trade",)}, {"team": "trade"}, True),
        ({"teams": ("trade", "ads")}, {"team": "ads"}, True),
        ({"teams": ("trade",)}, {"team": "ads"}, False),
        ({"teams": ("trade",)}, {}, False),  # nobody's
        ({"owners": ("ann",)}, {"team": "trade", "owner": "ann"}, True),
        ({"owners": ("ann",)}, {"team": "trade", "owner": "bob"}, False),
        ({"teams": ("trade",), "owners": ("ann",)}, {"team": "ads", "owner": "ann"}, False),
        ({"kinds": ("lock-released",)}, {}, True),
        ({"kinds": ("health-low",)}, {}, False),
        ({"min_severity": "warning"}, {"severity": Severity.ERROR}, True),
        ({"min_severity": "warning"}, {"severity": Severity.WARNING}, True),
        ({"min_severity": "warning"}, {"severity": Severity.INFO}, False),
        ({"min_severity": "error"}, {"severity": Severity.WARNING}, False),
    ],
)
def test_a_target_gets_what_its_conditions_say(
    conditions: dict[str, Any], notice: dict[str, Any], expected: bool
) -> None:
    assert gets(target(**conditions), released(**notice)) is expected


severities, names = st.sampled_from(list(Severity)), st.sampled_from(["a", "b", None])
targets = st.builds(
    target,
    teams=st.sets(st.sampled_from("ab")).map(tuple),
    owners=st.sets(st.sampled_from("ab")).map(tuple),
    min_severity=severities,
)


@given(st.lists(targets), severities, names, names)
def test_a_condition_more_never_leads_to_more_notices(
    them: list[Any], severity: Severity, team: str | None, owner: str | None
) -> None:
    notice = released(severity=severity, team=team, owner=owner)
    chosen = receivers_of(notice, them)

    assert all(gets(each.model_copy(update={"teams": ()}), notice) for each in chosen)
    assert all(gets(each.model_copy(update={"min_severity": Severity.OK}), notice) for each in chosen)
    assert [each for each in them if each in chosen] == chosen


def test_a_notice_has_the_fields_of_its_template() -> None:
    with pytest.raises(DefectError, match=r"lock-released has the fields holder, reason, table, not table"):
        released(fields={"table": "a.b.c"})
    assert set(FIELDS) == set(NoticeKind)


def test_a_notice_comes_back_from_json() -> None:
    notice = released(team="trade", fields={"table": "t", "holder": 3, "reason": {"en": "ended", "zh-CN": "已结束"}})

    assert Notice.of(notice.to_dict()) == notice
    assert notice.key == "lock-released: table lake.db.orders"
    assert notice.at_ms == NOW_MS
