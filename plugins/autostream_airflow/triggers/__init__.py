"""Triggers: what waits in the triggerer, for tasks and for assets."""
