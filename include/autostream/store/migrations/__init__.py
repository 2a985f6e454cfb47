"""Alembic's migrations, run by ``autostream.store.database``; there is no ``alembic.ini``."""
