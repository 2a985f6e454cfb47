"""Alembic's migrations, run by `autostream.store.schema`; there is no `alembic.ini`."""
