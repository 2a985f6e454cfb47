"""Watermarks as tables tell them."""
