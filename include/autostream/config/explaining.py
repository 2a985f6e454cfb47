"""What is wrong with values, in words that name the key, where it was written, and what is allowed. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from autostream.config.root import entry_model
from autostream.masking import mask_setting
from autostream.spelling import one_of


def explain(error: ValidationError, origins: Mapping[tuple[str, str], str]) -> str:
    """Return what is wrong with each value that was refused."""
    return " ".join(_explained(problem, origins) for problem in error.errors())


def _explained(problem: Any, origins: Mapping[tuple[str, str], str]) -> str:
    section, key, *inner = map(str, (*problem["loc"], "")[: max(2, len(problem["loc"]))])
    origin = origins.get((section, key), "default")
    named = f"`{section}.{key}`" + (f" ({origin})" if origin != "default" else "")
    reason = problem["msg"].removeprefix("Value error, ")
    shown = mask_setting(inner[-1] if inner else key, problem["input"])
    model = entry_model(section, key)
    if not inner or model is None:
        return f"{named} cannot be {str(shown)!r}: {reason}."
    if problem["type"] == "missing":
        return f"{named} needs the key `{inner[-1]}`, which {shown} does not have."
    entry = f"Entry {int(inner[0]) + 1} of {named}"
    if problem["type"] == "extra_forbidden":
        return f"{entry} has an unknown key `{inner[-1]}`. {one_of(inner[-1], model.model_fields, 'Known keys')}"
    if problem["type"] == "value_error" and len(inner) == 1:
        return f"{entry} {reason}."
    if len(inner) == 1:
        return f"{entry} cannot be {str(shown)!r}: {reason}."
    return f"`{inner[1]}` of entry {int(inner[0]) + 1} of {named} cannot be {str(shown)!r}: {reason}."
