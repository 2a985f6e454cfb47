"""The floor: DuckDB merely copies data files to the same format. `python -m benchmarks.floor LIST OUTPUT`."""

import sys
from pathlib import Path

import duckdb


def copy(listing: Path, output: Path) -> None:
    """Copy the Parquet files that `listing` names, one a line, into one of the same compression."""
    settings = {"threads": 2, "memory_limit": "512MB", "preserve_insertion_order": False}
    connection = duckdb.connect(config={**settings, "temp_directory": f"{output}.tmp"})
    form = "FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 3"
    connection.execute(
        f"COPY (SELECT * FROM read_parquet($files)) TO '{output}' ({form})", {"files": listing.read_text().splitlines()}
    )


if __name__ == "__main__":
    copy(Path(sys.argv[1]), Path(sys.argv[2]))
