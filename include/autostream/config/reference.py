"""All settings in words: as a file to be edited (`autostream config init`), and as the reference in the docs."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator
from typing import Any, Final

from pydantic import SecretStr
from pydantic.fields import FieldInfo

from autostream.config.root import entry_model, section_models
from autostream.config.sections.base import NamedSection, Section

_WIDTH: Final = 100
_HEAD: Final = """\
# Settings of autostream. This file lists each key with its default, as a comment. To set a key,
# remove the # before it. `autostream config show` prints the settings in effect. `autostream
# config check` tests them. Environment variables AUTOSTREAM_SECTION__KEY override this file. Keep
# secrets there.
"""


def commented_toml() -> str:
    """Return an `autostream.toml` with every key at its default, commented out, and what it means."""
    return "\n".join([_HEAD, *(line for name, model in section_models().items() for line in _section(name, model))])


def markdown() -> str:
    """Return the reference of all settings: a heading and a table for each section."""
    parts = []
    for name, model in section_models().items():
        parts += [f"### [{name}]\n", f"{_summary(model)}\n", *_table(f"{name}.", model)]
        for key in model.model_fields:
            if entry := entry_model(name, key):
                parts += [f"\nEach `[[{name}.{key}]]` has:\n", *_table("", entry)]
        parts.append("")
    return "\n".join(parts).rstrip() + "\n"


def _section(name: str, model: type[Section]) -> Iterator[str]:
    entries = {key: entry for key in model.model_fields if (entry := entry_model(name, key))}
    yield from (*_comment(_summary(model)), f"[{name}]", "")
    for key, field in model.model_fields.items():
        if key not in entries:
            yield from _key(key, field, variable=f"AUTOSTREAM_{name}__{key}".upper())
    for key, entry in entries.items():  # last: what follows an entry belongs to it
        yield from (*_comment(model.model_fields[key].description or ""), f"#[[{name}.{key}]]")
        for inner, field in entry.model_fields.items():
            named = f"AUTOSTREAM_{name}__{key}__NAME__{inner}" if issubclass(entry, NamedSection) else ""
            yield from _key(inner, field, variable=named.upper())


def _key(key: str, field: FieldInfo, *, variable: str) -> Iterator[str]:
    secret = f" Set {variable} instead of writing it here." if variable and field.annotation is SecretStr else ""
    yield from (*_comment(f"{field.description}{secret}"), f"#{key} = {_toml(_value(field))}", "")


def _comment(text: str) -> list[str]:
    return textwrap.wrap(text, _WIDTH, initial_indent="# ", subsequent_indent="# ", break_on_hyphens=False)


def _table(prefix: str, model: type[Section]) -> Iterator[str]:
    yield from ("| key | default | meaning |", "| --- | --- | --- |")
    for key, field in model.model_fields.items():
        default = "required" if field.is_required() else _cell(_value(field))
        yield f"| `{prefix}{key}` | {default} | {field.description} |"


def _cell(value: Any) -> str:
    if value in ("", ()):
        return "–"
    return f"`{', '.join(value) if isinstance(value, tuple) else _toml(value).strip(chr(34))}`"


def _value(field: FieldInfo) -> Any:
    """Return the default of a key; an example where it has none."""
    if field.is_required():
        return field.examples[0] if field.examples else ""
    return field.default.get_secret_value() if isinstance(field.default, SecretStr) else field.default


def _toml(value: Any) -> str:
    # Of these types, JSON is TOML.
    return json.dumps(list(value) if isinstance(value, tuple) else value, ensure_ascii=False)


def _summary(model: type[Section]) -> str:
    return " ".join((model.__doc__ or "").split("\n\n")[0].split())
