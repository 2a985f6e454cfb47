"""Copies as scratch Parquet of files that DuckDB does not read as they are."""
