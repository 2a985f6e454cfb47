"""What was found, as people and programs read it."""

import json

from autostream.findings import Finding, Severity, worst_first


def test_a_finding_in_sentences_and_as_json() -> None:
    bare = Finding("zookeeper", Severity.OK, "3 servers are up.")
    assert str(bare) == "3 servers are up."
    assert bare.to_dict() == {"subject": "zookeeper", "severity": "ok", "reason": "3 servers are up."}
    full = Finding("job prod/x", Severity.WARNING, "It waits.", "Scale it to 5.", id="io-bound", figures={"busy": 1.0})
    assert str(full) == "It waits. Scale it to 5."
    assert json.loads(json.dumps(full.to_dict())) == {
        "subject": "job prod/x",
        "severity": "warning",
        "reason": "It waits.",
        "id": "io-bound",
        "remedy": "Scale it to 5.",
        "figures": {"busy": 1.0},
    }


def test_the_worst_comes_first_then_by_subject_then_as_found() -> None:
    found = [
        Finding("b", Severity.OK, "1"),
        Finding("b", Severity.WARNING, "2"),
        Finding("a", Severity.INFO, "3"),
        Finding("a", Severity.WARNING, "5"),
        Finding("a", Severity.WARNING, "4"),
        Finding("c", Severity.ERROR, "6"),
    ]
    assert [finding.reason for finding in worst_first(found)] == ["6", "5", "4", "2", "3", "1"]
