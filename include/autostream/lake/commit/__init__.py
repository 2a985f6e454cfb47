"""Replacing files of a table by others, whatever else is committed meanwhile."""
