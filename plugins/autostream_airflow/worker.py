"""The child process in which tables are planned and compacted, and locks looked through, one request after the other.

Requests come as JSON lines on standard input, each is answered by one JSON line on what was standard output; whatever
else is printed, and the log, goes to standard error. When standard input ends, because the parent closed it or died,
the process ends at once: a compaction that is killed leaves its table as it was.

Airflow is not imported here, which saves its two seconds and 100 MB.
"""

from __future__ import annotations

import json
import logging
import os
import queue
import sys
import threading
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from autostream.masking import MaskingFormatter

if TYPE_CHECKING:
    from pyiceberg.catalog import Catalog

    from autostream.resources import EngineResources

_catalogs: dict[str, Catalog] = {}
_logger = logging.getLogger(__name__)


def main() -> None:
    """Answers requests until standard input ends."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # a library that prints must not be taken for an answer
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(MaskingFormatter(logging.Formatter("%(message)s")))
    logging.captureWarnings(True)  # Python would print them as they are
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    requests: queue.SimpleQueue[str] = queue.SimpleQueue()
    threading.Thread(target=_read, args=(sys.stdin, requests), daemon=True).start()
    while True:
        answers.write(json.dumps(answer(json.loads(requests.get()))) + "\n")
        answers.flush()


def _read(lines: Iterable[str], requests: queue.SimpleQueue[str]) -> None:
    for line in lines:
        requests.put(line)
    os._exit(0)  # also in the middle of a request, which a regular exit would wait for


def answer(request: Mapping[str, Any]) -> dict[str, Any]:
    """Do what a request asks; return `{"value": ...}`, or `{"row": ...}` with the failure.

    Args:
        request: `action` (`list`, `plan`, `compact` or `sweep`), `catalog`, `properties` (of the catalog, on top of
            PyIceberg's configuration); to plan or compact, `table`, `options` and `where`; to plan, whether the table
            was `named`; to compact, `partitions`; to compact or sweep, `dry_run`.
    """
    from autostream.errors import AutostreamError
    from autostream.lake.compaction.outcomes import outcome_of_error

    try:
        return {"value": _ACTIONS[request["action"]](request)}
    except Exception as error:
        if not isinstance(error, AutostreamError):  # nobody wrote its message for a reader
            _logger.exception("unexpected %s", type(error).__name__)
        return {"row": outcome_of_error(request.get("table") or request["catalog"], error)}


def _list(request: Mapping[str, Any]) -> list[str]:
    """Names of all tables of the catalog."""
    from autostream.catalogs import list_tables

    return [str(name) for name in list_tables(_catalog(request), request["catalog"])]


def _plan(request: Mapping[str, Any]) -> list[list[Any]] | None:
    """`[partition, bytes, files]` of each group to rewrite, or None where the table is not to be compacted.

    Where nothing is to be rewritten but deletes are to go, that is a group without files.
    """
    from autostream.catalogs import open_table
    from autostream.lake.compaction.compaction_options import CompactionOptions
    from autostream.lake.compaction.planning import plan_compaction

    table = open_table(request["table"], catalog=_catalog(request))
    options = CompactionOptions.from_properties(table.properties, request["options"])
    if not options.enabled and not request["named"]:
        return None
    plan = plan_compaction(table, options=options, where=request["where"])
    groups = [[group.partition, group.input_bytes, group.input_files] for group in plan.groups]
    return groups or ([["(deletes only)", 0, 0]] if plan.has_work else [])


def _compact(request: Mapping[str, Any]) -> dict[str, Any]:
    """Return the result of the compaction, as `autostream table compact --json` prints it."""
    from autostream.catalogs import open_table
    from autostream.lake.compaction.compaction_options import CompactionOptions
    from autostream.lake.compaction.table_compaction import compact_table
    from autostream.names import TableName

    name = TableName.parse(request["table"])
    table = open_table(name, catalog=_catalog(request))
    result = compact_table(
        table,
        name,
        options=CompactionOptions.from_properties(table.properties, request["options"]),
        where=request["where"],
        partitions=request["partitions"],
        dry_run=request["dry_run"],
        resources=_resources(),
        report_progress=lambda message: _logger.info("%s: %s", name, message),
    )
    document: dict[str, Any] = result.to_dict()
    return document


def _sweep(request: Mapping[str, Any]) -> list[dict[str, Any]]:
    """One row a lock of the catalog's metastore, with what became of it; the stale ones are released."""
    from autostream.catalogs.hive import HiveCatalog
    from autostream.config import load_settings
    from autostream.errors import ConfigurationError
    from autostream.locks.janitor import sweep_locks

    catalog = _catalog(request)
    if not isinstance(catalog, HiveCatalog):
        raise ConfigurationError(
            f"Catalog {request['catalog']!r} is no Hive catalog ({type(catalog).__name__}), so it has no Hive locks. "
            "Leave it out of janitor.catalogs and of the param `catalogs`."
        )
    return sweep_locks(catalog, load_settings().janitor, dry_run=request["dry_run"])


def _resources() -> EngineResources:
    """Return what the configuration lets the engine of this process use."""
    from autostream.config import load_settings
    from autostream.resources import EngineResources

    return EngineResources.configured(**load_settings().engine.model_dump())


_ACTIONS = {"list": _list, "plan": _plan, "compact": _compact, "sweep": _sweep}


def _catalog(request: Mapping[str, Any]) -> Catalog:
    """Return the catalog of the request, opened once: opening costs as much as loading many tables."""
    from autostream.catalogs import open_catalog

    name = request["catalog"]
    if name not in _catalogs:
        _catalogs[name] = open_catalog(name, request["properties"])
    return _catalogs[name]


if __name__ == "__main__":
    main()
