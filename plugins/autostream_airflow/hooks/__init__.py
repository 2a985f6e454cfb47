"""Airflow connections as the clients of the library."""
