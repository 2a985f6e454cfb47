"""The section `engine`: what the embedded engine may use of the machine."""

from __future__ import annotations

from pydantic import Field

from autostream.config.sections.base import Section, SizeText


class EngineSettings(Section):
    """What the embedded engine (DuckDB) may use of the machine; per process."""

    memory_limit: SizeText = Field(
        default="640MB",
        description=(
            "Memory that the engine may use before it spills to disk, such as 640MB or 2GiB. The whole process needs "
            "about 300 MB more."
        ),
    )
    threads: int = Field(default=0, ge=0, le=1024, description="Number of threads of the engine. 0: one for each core.")
    spill_directory: str = Field(
        default="",
        description=(
            "Directory for data that does not fit into memory. Empty: the system's directory for temporary files."
        ),
    )
