"""Iceberg catalogs: tables opened by name, the locks of a commit, and commits of which the outcome is found out."""
