"""Connections as a deployment has them: in the environment."""

import json
from collections.abc import Callable
from typing import Any

import pytest

Connect = Callable[..., None]


@pytest.fixture
def connect(monkeypatch: pytest.MonkeyPatch) -> Connect:
    """Makes a connection: its id, and its fields."""

    def make(name: str, **connection: Any) -> None:
        monkeypatch.setenv(f"AIRFLOW_CONN_{name.upper()}", json.dumps(connection))

    return make


@pytest.fixture(autouse=True)
def _no_kerberos(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AIRFLOW__CORE__SECURITY", raising=False)
    monkeypatch.delenv("KRB5CCNAME", raising=False)


@pytest.fixture
def kerberos(monkeypatch: pytest.MonkeyPatch) -> str:
    """Airflow uses Kerberos, and its ticket renewer keeps this credential cache."""
    monkeypatch.setenv("AIRFLOW__CORE__SECURITY", "kerberos")
    monkeypatch.setenv("AIRFLOW__KERBEROS__CCACHE", "/run/airflow/ccache")
    return "/run/airflow/ccache"
