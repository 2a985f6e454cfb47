"""What reads, merges and writes the files of a table: DuckDB, capped and spilling."""
