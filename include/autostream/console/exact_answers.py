"""Ids in what REST answers: numbers as far as readers of JSON tell them apart, else texts."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import PlainSerializer

from autostream.exact_ids import exact_id

ExactId = Annotated[int, PlainSerializer(exact_id, return_type=int | str, when_used="json")]
"""The type of an id that may be beyond 2^53 - 1."""
AN_EXACT_ID: Final = "A text if it is beyond 2^53 - 1."
"""What the description of such a field says."""
