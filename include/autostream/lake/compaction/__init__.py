"""Compaction: what is worth it, its rewrite, and the outcomes of a run."""
