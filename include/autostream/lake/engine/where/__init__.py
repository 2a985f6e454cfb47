"""Filters as people write them, and what they rule out."""
