"""The examples of docs/python.md, run one after the other on a small table."""

import re
from pathlib import Path
from typing import Any

import pytest
from pyiceberg.catalog.sql import SqlCatalog

from tests.support.lakes import BUCKETED, Orders

COMPLETE = {"autostream.watermark": "1795399200000", "autostream.watermark.writer.ingest": "1795399200000"}
GUIDE = Path(__file__).parents[1] / "docs" / "python.md"


def test_every_example_runs(
    lake: SqlCatalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Orders(lake, "db.orders", spec=BUCKETED, **COMPLETE).checkpoint(3)
    names: dict[str, Any] = {"directory": tmp_path}
    examples = re.findall(r"^```python\n(.*?)^```", GUIDE.read_text(), re.M | re.S)
    for example in examples:
        exec(compile(example, str(GUIDE), "exec"), names)
    out = capsys.readouterr().out
    assert len(examples) == 11
    assert "committed 12 -> 4" in out
    assert "lake.db.orders committed" in out
    assert "{'committed': 1} 0" in out
    assert "True 1795402800000" in out
    assert "reset 1795395600000" in out
    assert "lake.db.orders is complete up to 2026-11-23 01:00 UTC since" in out
    assert "ok catalog lake reachable, 1 namespace" in out
    assert "need 03:00 UTC, 1 h short, held back by writer ingest" in out
