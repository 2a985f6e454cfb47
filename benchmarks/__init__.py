"""Speed and memory of compaction, measured as whole processes: `python -m benchmarks --help`."""
