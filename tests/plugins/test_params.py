"""What a run may ask for, whatever started it."""

from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk import Param
from airflow.sdk.definitions.param import ParamsDict
from airflow.sdk.exceptions import AirflowFailException

from autostream_airflow.params import refuse_unknown_params

PARAMS = {"tables": Param([], type="array"), "dry_run": Param(False, type="boolean"), "options": Param({})}


def context(conf: Any, *, params: dict[str, Param] = PARAMS, ignored: bool = False) -> Any:
    """What Airflow gives to a task; it puts the conf on top of the params, unless it is told to ignore it."""
    declared = ParamsDict(dict(params))
    merged = declared.dump() | (conf if isinstance(conf, dict) and not ignored else {})
    return {"dag_run": SimpleNamespace(conf=conf), "dag": SimpleNamespace(params=declared), "params": merged}


@pytest.mark.parametrize(
    "conf",
    [
        None,  # as the scheduler starts runs
        {},
        {"dry_run": True},
        {"tables": [], "dry_run": False, "options": {}},  # as the form sends it
        {"tables": ["lake.db.t"], "options": {"rewrite-all": True}},
    ],
)
def test_what_is_understood(conf: Any) -> None:
    refuse_unknown_params(context(conf))


@pytest.mark.parametrize(
    ("conf", "message"),
    [
        ({"dry-run": True}, r"^Unknown param `dry-run`\. Did you mean `dry_run`\?"),
        ({"Dry_Run ": True}, r"Did you mean `dry_run`\?"),
        ({"tabels": ["lake.db.t"]}, r"^Unknown param `tabels`\. Did you mean `tables`\?"),
        ({"table": "lake.db.t", "dry_run": True}, r"Did you mean `tables`\?"),
        ({"zzz": 1}, r"^Unknown param `zzz`\. The params of this workflow are: tables, dry_run, options\. Nothing was"),
        ({"params": {"dry_run": True}}, r"^Unknown param `params`\."),
        ({"conf": {"dry_run": True}}, r"^Unknown param `conf`\."),
        ({"zzz": 1, "yyy": 2}, r"^Unknown param `yyy`\. Unknown param `zzz`\. The params"),
        ({"": 1}, r"^Unknown param ``\."),
        (["dry_run"], r"Write params as a JSON object"),
        ("dry_run", r"Write params as a JSON object"),
    ],
)
def test_what_is_refused(conf: Any, message: str) -> None:
    with pytest.raises(AirflowFailException, match=message):
        refuse_unknown_params(context(conf))


def test_a_workflow_without_params_takes_none() -> None:
    refuse_unknown_params(context({}, params={}))
    with pytest.raises(AirflowFailException, match=r"This workflow has no params\. Nothing was done\.$"):
        refuse_unknown_params(context({"dry_run": True}, params={}))


def test_params_that_airflow_is_told_to_ignore_are_refused() -> None:
    refuse_unknown_params(context({"dry_run": False}, ignored=True))
    with pytest.raises(AirflowFailException, match=r"\(dry_run\).*dag_run_conf_overrides_params"):
        refuse_unknown_params(context({"dry_run": True}, ignored=True))
