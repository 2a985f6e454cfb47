"""Iceberg tables: scan, plan, rewrite, commit."""
