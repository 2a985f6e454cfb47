"""Compactions that were run: what each did, recorded where it is done, and asked for by table."""
