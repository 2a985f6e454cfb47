"""Earlier states of a table, read from the metadata files that it still lists."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from pyiceberg.io import FileIO

from autostream.errors import AutostreamError
from autostream.iceberg.snapshots import SnapshotFacts
from autostream.watermark.history.metadata_facts import MetadataState

# Metadata of a table with many snapshots takes tens of megabytes while it is parsed.
_READERS: Final = 4
_GZIP: Final = b"\x1f\x8b"

StateOrProblem = tuple[MetadataState, list[SnapshotFacts]] | str


def read_states(io: FileIO, locations: Sequence[str], *, known: frozenset[int] | None) -> Iterator[StateOrProblem]:
    """Yield, of each metadata file, what it says and the snapshots that are not known, or why it cannot be read.

    Args:
        io: How files are read.
        locations: Where they are.
        known: Ids of the snapshots that are known; None where no snapshot is of interest.
    """
    with ThreadPoolExecutor(_READERS, thread_name_prefix="metadata-history") as pool:
        yield from pool.map(lambda location: read_metadata(io, location, known), locations)


def read_metadata(io: FileIO, location: str, known: frozenset[int] | None) -> StateOrProblem:
    """Return what a metadata file says, with the snapshots that are not `known`, or why it cannot be read.

    Not by PyIceberg's classes: they take a second for a table of many snapshots, of which little is needed.
    """
    try:
        with io.new_input(location).open() as stream:
            raw = stream.read()
        document = json.loads(gzip.decompress(raw) if raw[:2] == _GZIP else raw)
        state = MetadataState(
            file_name_of(location), int(document["last-updated-ms"]), document.get("properties") or {}
        )
        if known is None:
            return state, []
        expired = [s for s in document.get("snapshots") or () if s["snapshot-id"] not in known]
        return state, [SnapshotFacts.from_json(snapshot) for snapshot in expired]
    except FileNotFoundError:
        return f"skipped metadata file {location}: it is missing"
    except (AutostreamError, OSError) as error:
        return f"skipped metadata file {location}: {error}"
    except (ValueError, KeyError, TypeError, AttributeError, EOFError, zlib.error) as error:
        return f"skipped metadata file {location}: it is not table metadata ({type(error).__name__}: {error})"


def file_name_of(location: str) -> str:
    """Return the name of a metadata file without its directory."""
    return location.rsplit("/", 1)[-1]
