"""What all sections of the configuration have in common, and the types of their values."""

from __future__ import annotations

import json
import re
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from autostream.config.secrets import learn_secrets


def split_list(value: Any) -> Any:
    """Let an environment variable hold a list: `lake, archive`."""
    if isinstance(value, str):
        return [item for item in (part.strip() for part in value.split(",")) if item]
    return value


def parse_list(value: Any) -> Any:
    """Let an environment variable hold a list of entries, as JSON."""
    if isinstance(value, str):
        try:
            return json.loads(value or "[]")
        except json.JSONDecodeError as error:
            raise ValueError(f"is not a JSON list: {error}") from error
    return value


def _compiles(pattern: str) -> str:
    try:
        re.compile(pattern)
    except re.error as error:
        raise ValueError(f"invalid regular expression {pattern!r}: {error}") from error
    return pattern


NameList = Annotated[tuple[str, ...], BeforeValidator(split_list)]
RegularExpression = Annotated[str, AfterValidator(_compiles)]
SizeText = Annotated[str, Field(pattern=r"^\s*\d+(\.\d+)?\s*([KMGT]i?)?B?\s*$")]


class Section(BaseModel):
    """Base of all sections of the configuration."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True, hide_input_in_errors=True)

    def model_post_init(self, _context: object) -> None:
        """Have the secrets among the values hidden from now on."""
        learn_secrets(self)


class ListedSection(Section):
    """Base of what a section has several of: `[[section.key]]` in the file."""


class NamedSection(ListedSection):
    """Base of entries that others refer to by name; each of their keys has an environment variable."""

    name: str = Field(
        examples=["prod"],
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$",
        description="The name of the cluster: letters, digits, `.`, `_` and `-`.",
    )
