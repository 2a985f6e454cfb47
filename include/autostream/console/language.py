"""The languages of the pages: one file of messages each, `t("tables.title")` in templates."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

LANGUAGES: Final = {"en": "English", "zh-CN": "简体中文"}
"""What the pages are written in, by what each calls itself."""
DEFAULT: Final = "en"
COOKIE: Final = "autostream_language"

Translate = Callable[..., str]
"""Returns a message by its key; `{NAME}` in it stands for the value given under that name."""


def _flat(table: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    messages: dict[str, str] = {}
    for key, value in table.items():
        messages |= _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return messages


MESSAGES: Final = {
    language: _flat(tomllib.loads((Path(__file__).parent / "messages" / f"{language}.toml").read_text("utf-8")))
    for language in LANGUAGES
}
"""All messages by language and key."""


def translator(language: str) -> Translate:
    """Return what gives the messages of a language."""
    messages = MESSAGES[language]

    def t(key: str, **values: object) -> str:
        return messages[key].format(**values)

    return t


def choose(*, chosen: str | None, accepted: str) -> str:
    """Return the language to answer in.

    Args:
        chosen: What the reader chose before, if anything.
        accepted: What the browser sends as `Accept-Language`.
    """
    if chosen in LANGUAGES:
        return chosen
    wishes = []
    for position, wish in enumerate(accepted.split(",")):
        tag, _, weight = wish.strip().partition(";")
        match = re.fullmatch(r"\s*q=([01](?:\.\d{0,3})?)\s*", weight)
        wishes.append((-(float(match[1]) if match else 1.0), position, tag.strip().lower()))
    for preference, _, tag in sorted(wishes):
        for language in LANGUAGES:
            if preference and tag.partition("-")[0] == language.partition("-")[0]:
                return language
    return DEFAULT
