"""Compacts all tables of a catalog in one process, as a worker does with a batch; prints where the time went."""

import json
import os
import sys
import time
from collections import Counter

from autostream.catalogs.opening import list_tables, open_catalog, open_table
from autostream.lake.compaction.compaction_options import CompactionOptions
from autostream.lake.compaction.table_compaction import compact_table
from autostream.names import TableName
from autostream.resources import EngineResources


def main(catalog_name: str) -> None:
    """Compact every table and print a JSON object of totals in seconds."""
    catalog = open_catalog(catalog_name)
    totals: Counter[str] = Counter()
    statuses: Counter[str] = Counter()
    started, cpu = time.monotonic(), time.process_time()
    names = list(list_tables(catalog, catalog_name))
    for name in names:
        table = open_table(TableName.parse(str(name)), catalog=catalog)
        options = CompactionOptions.from_properties(table.properties, {"rewrite-all": "true"})
        result = compact_table(table, name, options=options, resources=EngineResources(threads=2)).to_dict()
        totals.update(result["seconds"])
        statuses[result["status"]] += 1
    print(
        json.dumps(
            {
                "tables": len(names),
                "statuses": statuses,
                "wall": time.monotonic() - started,
                "cpu": time.process_time() - cpu,
                "seconds": totals,
                "pid": os.getpid(),
            }
        )
    )


if __name__ == "__main__":
    main(sys.argv[1])
