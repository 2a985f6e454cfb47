import os
import tempfile
from pathlib import Path

from autostream.resources import EngineResources, available_cpus, peak_memory_bytes


def test_what_this_process_has_and_uses() -> None:
    assert available_cpus() == len(os.sched_getaffinity(0))
    assert peak_memory_bytes() > 10 * 10**6
    resources = EngineResources()
    assert (resources.threads, resources.spill_directory) == (available_cpus(), Path(tempfile.gettempdir()))
    assert resources.memory_limit_bytes == 640 * 10**6
