"""What table properties and a run's options mean, and how wrong ones are refused."""

import pytest

from autostream.errors import ConfigurationError
from autostream.lake.compaction.compaction_options import CompactionOptions
from autostream.sizes import MIB

PREFIX = "autostream.compaction."


def test_defaults_are_those_of_icebergs_rewrite_but_for_the_number_of_deletes() -> None:
    options = CompactionOptions.from_properties({})
    assert options == CompactionOptions()
    assert not options.enabled
    assert (options.engine, options.sequence_number) == ("duckdb", "max-merged")
    assert (options.min_input_files, options.delete_file_threshold, options.delete_ratio_threshold) == (5, 10, 0.3)
    assert options.max_file_group_size_bytes == 100 * 1024**3
    assert options.target_file_size_bytes == 512 * MIB
    assert (options.min_file_size_bytes, options.max_file_size_bytes) == (384 * MIB, 512 * MIB * 1.8)
    assert not options.rewrite_all
    assert (options.partial_progress_enabled, options.partial_progress_max_commits) == (False, 10)


@pytest.mark.parametrize(
    ("name", "text", "attribute", "value"),
    [
        ("enabled", "true", "enabled", True),
        ("enabled", "False", "enabled", False),
        ("engine", "spark", "engine", "spark"),
        ("sequence-number", "starting-snapshot", "sequence_number", "starting-snapshot"),
        ("min-input-files", "1", "min_input_files", 1),
        ("delete-file-threshold", "3", "delete_file_threshold", 3),
        ("delete-ratio-threshold", "0", "delete_ratio_threshold", 0.0),
        ("delete-ratio-threshold", "1", "delete_ratio_threshold", 1.0),
        ("max-file-group-size-bytes", "1GiB", "max_file_group_size_bytes", 1024**3),
        ("max-file-group-size-bytes", "5000", "max_file_group_size_bytes", 5000),
        ("target-file-size-bytes", "64MB", "target_file_size_bytes", 64 * 10**6),
        ("min-file-size-ratio", "0.5", "min_file_size_ratio", 0.5),
        ("max-file-size-ratio", "2", "max_file_size_ratio", 2.0),
        ("rewrite-all", "TRUE", "rewrite_all", True),
        ("partial-progress.enabled", "true", "partial_progress_enabled", True),
        ("partial-progress.max-commits", "4", "partial_progress_max_commits", 4),
    ],
)
def test_each_option_as_property_and_for_a_run(name: str, text: str, attribute: str, value: object) -> None:
    assert getattr(CompactionOptions.from_properties({PREFIX + name: text}), attribute) == value
    assert getattr(CompactionOptions.from_properties({}, {name: text}), attribute) == value


def test_a_run_overrides_the_table_which_overrides_its_write_property() -> None:
    written = {"write.target-file-size-bytes": "1000"}
    assert CompactionOptions.from_properties(written).target_file_size_bytes == 1000
    own = {**written, PREFIX + "target-file-size-bytes": "2000"}
    assert CompactionOptions.from_properties(own).target_file_size_bytes == 2000
    assert CompactionOptions.from_properties(own, {"target-file-size-bytes": "3000"}).target_file_size_bytes == 3000
    assert CompactionOptions.from_properties(written, {"target-file-size-bytes": "3000"}).target_file_size_bytes == 3000


def test_other_properties_are_not_ours() -> None:
    foreign = {"write.format.default": "orc", "autostream.watermark": "x", "autostream.compactionist": "y"}
    assert CompactionOptions.from_properties(foreign) == CompactionOptions()


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("enabled", "yes", "must be true or false"),
        ("engine", "trino", "must be duckdb"),
        ("sequence-number", "newest", "must be max-merged or starting-snapshot"),
        ("min-input-files", "0", "must be a whole number, 1 or more"),
        ("min-input-files", "many", "must be a whole number"),
        ("delete-file-threshold", "-1", "must be a whole number, 1 or more"),
        ("delete-ratio-threshold", "30", "must be a number from 0 to 1"),
        ("delete-ratio-threshold", "nan", "must be a number from 0 to 1"),
        ("target-file-size-bytes", "0", "must be a size, at least 1 B"),
        ("target-file-size-bytes", "big", "must be a size"),
        ("max-file-size-ratio", "0.5", "must be a number from 1 to 1,000"),
        ("partial-progress.max-commits", "0", "must be a whole number, 1 or more"),
    ],
)
def test_a_wrong_value_is_named_with_its_place(name: str, text: str, says: str) -> None:
    with pytest.raises(ConfigurationError) as property_error:
        CompactionOptions.from_properties({PREFIX + name: text}, table="lake.db.t")
    assert str(property_error.value).startswith(f"Table lake.db.t: property {PREFIX}{name} is {text!r}. It ")
    assert says in str(property_error.value)
    with pytest.raises(ConfigurationError) as option_error:
        CompactionOptions.from_properties({}, {name: text})
    assert str(option_error.value).startswith(f"Option {name} is {text!r}. It ")
    assert property_error.value.exit_code == 2


def test_a_wrong_write_property_is_named_as_what_it_is() -> None:
    with pytest.raises(ConfigurationError, match=r"^Property write\.target-file-size-bytes is 'x'\. It"):
        CompactionOptions.from_properties({"write.target-file-size-bytes": "x"})


def test_an_unknown_option_is_answered_with_the_one_meant() -> None:
    with pytest.raises(
        ConfigurationError, match=r"^Option rewrite-al is unknown\. Known: .* Did you mean rewrite-all\?$"
    ):
        CompactionOptions.from_properties({}, {"rewrite-al": "true"})
    with pytest.raises(ConfigurationError, match=r"^Property autostream\.compaction\.min-input-file is unknown"):
        CompactionOptions.from_properties({PREFIX + "min-input-file": "3"})
    with pytest.raises(ConfigurationError, match=r"Known: enabled, engine, .*partial-progress\.max-commits\.$"):
        CompactionOptions.from_properties({}, {"zzzz": "1"})
