"""What a run was asked for, and whether it was understood.

Airflow checks the params that a workflow has, and takes whatever else the conf of a run holds: with `{"dry-run": true}`
it would be a run for real.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowFailException

from autostream.spelling import meant

if TYPE_CHECKING:
    from airflow.sdk.definitions.context import Context


def refuse_unknown_params(context: Context) -> None:
    """Refuses a run whose conf holds anything that its workflow does not take; the `pre_execute` of first tasks.

    Raises:
        AirflowFailException: A key of the conf is no param of the workflow, or Airflow is set to ignore the conf.
    """
    conf = context["dag_run"].conf or {}
    problems = list(_problems(conf, context["dag"].params, context["params"]))
    if problems:
        raise AirflowFailException(" ".join((*problems, "Nothing was done.")))


def _problems(conf: object, known: Collection[str], params: Mapping[str, Any]) -> Iterator[str]:
    if not isinstance(conf, Mapping):
        yield f"The conf of the run is {conf!r}. Write params as a JSON object, such as {{}}."
        return
    unknown = sorted(str(key) for key in conf if key not in known)
    yield from (f"Unknown param `{key}`.{_hint(key, known)}" for key in unknown)
    if unknown:
        yield f"The params of this workflow are: {', '.join(known)}." if known else "This workflow has no params."
    ignored = sorted(key for key in conf if key in known and params[key] != conf[key])
    if ignored:
        yield (
            f"Airflow ignores the params of this run ({', '.join(ignored)}), since its option "
            "`core.dag_run_conf_overrides_params` is False. Set it to True, or start the run without params."
        )


def _hint(key: str, known: Collection[str]) -> str:
    near = meant(key.strip().replace("-", "_"), known)
    return f" Did you mean `{near}`?" if near else ""
