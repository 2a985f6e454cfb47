"""Flink's REST interface: what runs, since when, and how it fares."""
