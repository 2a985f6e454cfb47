from autostream.exact_ids import with_exact_ids


def test_ids_beyond_what_javascript_can_tell_apart_are_texts() -> None:
    most = 2**53 - 1
    document = {
        "snapshot_id": most + 1,
        "lower": {"snapshot_id": most, "job_id": "a"},
        "rows": [{"equality_ids": [1, most + 2], "watermark_ms": 2**63 - 1}],
        "id": True,
    }
    assert with_exact_ids(document) == {
        "snapshot_id": "9007199254740992",
        "lower": {"snapshot_id": most, "job_id": "a"},
        "rows": [{"equality_ids": [1, "9007199254740993"], "watermark_ms": 2**63 - 1}],
        "id": True,
    }
