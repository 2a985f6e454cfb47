"""Whose jobs are: by their parameters, by labels, by rules, each on its own."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autostream.config import JobRule, load_settings
from autostream.errors import ConfigurationError
from autostream.flink.ownership import OWNER, TEAM, Ownership, ownership_of
from autostream.names import JobName

JOB = JobName("prod", "trade-orders/eu")
BY_NAME = JobRule(job="[^/]+/(?P<team>[a-z]+)-.+", team="{team}", owner="{team}@example.org")
ALL_OF_PROD = JobRule(job="prod/.*", owner="on-call")

names = st.text(min_size=1)


@pytest.mark.parametrize(
    ("parameters", "labels", "rules", "team", "owner"),
    [
        ({}, {}, (), None, None),
        ({TEAM: "ads", OWNER: "ann"}, {TEAM: "x", OWNER: "y"}, (BY_NAME,), "ads", "ann"),
        ({OWNER: "ann"}, {TEAM: "ads", OWNER: "y"}, (BY_NAME,), "ads", "ann"),
        ({TEAM: " "}, {OWNER: ""}, (BY_NAME,), "trade", "trade@example.org"),
        ({}, {}, (ALL_OF_PROD, BY_NAME), "trade", "on-call"),
        ({}, {}, (JobRule(job="trade-.*", team="x"), JobRule(job="prod/trade", team="x")), None, None),
        ({}, {}, (JobRule(job="prod/(?P<a>x)?.*", team="{a}"), JobRule(job=".*", team="rest")), "rest", None),
    ],
)
def test_who_says_it_first(
    parameters: dict[str, str], labels: dict[str, str], rules: tuple[JobRule, ...], team: str, owner: str
) -> None:
    assert ownership_of(JOB, parameters=parameters, labels=labels, rules=rules) == Ownership(team, owner)


@given(names, names)
def test_a_rule_for_one_job_fits_that_job_alone_whatever_it_is_called(name: str, other: str) -> None:
    rule = JobRule(job=re.escape(f"prod/{name}"), team="ours")
    assert ownership_of(JobName("prod", name), rules=[rule]).team == "ours"
    assert ownership_of(JobName("prod", other), rules=[rule]).team == ("ours" if other == name else None)


@given(names)
def test_what_is_taken_from_a_name_is_taken_as_it_is(name: str) -> None:
    rule = JobRule(job="prod/(?P<all>.*)", team="{all}")
    assert ownership_of(JobName("prod", name), rules=[rule]).team == (name.strip() or None)


@pytest.mark.parametrize(
    ("rule", "says"),
    [
        ('job = "prod/("\nteam = "x"', r"invalid regular expression 'prod/\('"),
        ('job = "prod/.*"\nteam = "{name}"', r"names \{name\}, which is not a named group of job = 'prod/\.\*'"),
        ('team = "x"', r"needs the key `job`"),
        ('job = "x"\nteams = "x"', r"unknown key `teams`"),
    ],
)
def test_a_rule_that_cannot_be(tmp_path: Path, rule: str, says: str) -> None:
    (tmp_path / "autostream.toml").write_text(f"[[flink.jobs]]\n{rule}\n")
    with pytest.raises(ConfigurationError, match=says):
        load_settings(environ={}, directory=tmp_path)


def test_rules_of_the_file_and_of_the_environment(tmp_path: Path) -> None:
    (tmp_path / "autostream.toml").write_text('[[flink.jobs]]\njob = "a/.*"\nteam = "ads"\n')
    assert load_settings(environ={}, directory=tmp_path).flink.jobs == (JobRule(job="a/.*", team="ads"),)
    environ = {"AUTOSTREAM_FLINK__JOBS": '[{"job": "b/.*", "owner": "bob"}]'}
    assert load_settings(environ=environ, directory=tmp_path).flink.jobs == (JobRule(job="b/.*", owner="bob"),)
