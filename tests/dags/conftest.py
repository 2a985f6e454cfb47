"""Airflow, imported with a home of its own."""

import os
from pathlib import Path

# Before anything imports airflow: it makes its home when it is imported.
os.environ["AIRFLOW_HOME"] = str(Path(__file__).parents[2] / ".pytest_cache" / "airflow")
