"""A notice in words: a template for each kind and language, as Markdown or as plain text.

What comes from outside is no markup: in Markdown it is escaped, and no value has control characters.
"""

from __future__ import annotations

import re
import tomllib
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Final, Literal, get_args

from autostream.config.sections.notify import Language
from autostream.masking import mask
from autostream.notices import RECOVERIES, Notice, Value
from autostream.times import iso

Format = Literal["markdown", "text"]

# Robots of DingTalk take 20,000 bytes, in which a Chinese character may have six.
_MOST_OF_A_PART: Final = 800
_MOST_OF_A_TITLE: Final = 150
_STEERING: Final = ("Cc", "Cf", "Cs", "Zl", "Zp")

# What begins markup wherever it stands; `_` does so only beside what is not a letter.
_MARKUP: Final = re.compile(r"[\\`*\[\]]|(?<![^\W_])_|_(?![^\W_])")
# What begins markup at the start of a line: headings, lists, quotes, rules.
_AT_A_START: Final = re.compile(r"^(\s*)(?:([#+>-])|(\d+)([.)]))", re.MULTILINE)
# What not every Markdown takes a backslash before.
_AS_ENTITY: Final = re.compile(r"<|&|~(?=~)|^\s*=", re.MULTILINE)

TEMPLATES: Final[Mapping[str, Mapping[str, Mapping[str, str]]]] = {
    language: tomllib.loads((files(__package__) / "templates" / f"{language}.toml").read_text("utf-8"))
    for language in get_args(Language)
}
"""The templates: by language, then kind, then part."""


@dataclass(frozen=True)
class Letter:
    """A message as it is sent.

    Attributes:
        title: One line of plain text.
        body: The rest, as Markdown or as plain text.
        format: Which of the two.
    """

    title: str
    body: str
    format: Format


def write_letter(
    notice: Notice, *, language: Language = "en", format: Format = "text", console_url: str = "", repeats: int = 0
) -> Letter:
    """Put a notice into words: what happened, why, what to do, how to take it back, where to see more.

    Args:
        notice: What happened.
        language: The language of the message. A field that has no text in it has its English one.
        format: How the body is written.
        console_url: The address that links begin with; empty: there are no links.
        repeats: How often it happened again meanwhile.
    """
    words, layout = TEMPLATES[language][notice.kind], TEMPLATES[language]["layout"]
    style = _MARKDOWN if format == "markdown" else _TEXT
    values = {name: style.escape(_text(value, language)) for name, value in notice.fields.items()}
    parts = [_part(words["happened"], values)]
    for name in ("why", "todo"):
        if said := _part(words[name], values):
            parts.append(style.headed(layout[name], said))
    if notice.undo:
        parts.append(style.headed(layout["undo"], style.code(_shortened(_cleaned(notice.undo), _MOST_OF_A_PART))))
    if repeats:
        parts.append(layout["repeats"].format(count=repeats))
    if notice.link and console_url:
        parts.append(style.link(layout["more"], f"{console_url.rstrip('/')}{notice.link}"))
    parts.append(_footer(notice, layout, style))
    return Letter(title=title_of(notice, language), body=mask("\n\n".join(parts)), format=format)


def title_of(notice: Notice, language: Language = "en") -> str:
    """Return what a notice says, in one line of plain text: `Warning: stale lock on lake.db.orders was released`."""
    values = {name: " ".join(_text(value, language).split()) for name, value in notice.fields.items()}
    words = TEMPLATES[language]
    mood = words["severity"]["recovered" if notice.kind in RECOVERIES else notice.severity.value]
    said = words["layout"]["title"].format(mood=mood, said=words[notice.kind]["title"].format(**values))
    return _shortened(mask(" ".join(said.split())), _MOST_OF_A_TITLE)


def escaped(text: str) -> str:
    """Return a text that Markdown shows as it is, its lines too."""
    text = _AS_ENTITY.sub(lambda match: f"&#{ord(match[0][-1])};", text)
    text = _MARKUP.sub(lambda match: f"\\{match[0]}", text)
    text = _AT_A_START.sub(lambda m: f"{m[1]}\\{m[2]}" if m[2] else f"{m[1]}{m[3]}\\{m[4]}", text)
    return "  \n".join(filter(None, (line.strip() for line in text.split("\n"))))


@dataclass(frozen=True)
class _Style:
    """How the parts of a message are written.

    Attributes:
        escape: Writes what comes from outside.
        headed: Puts a heading above a text.
        code: Writes a command.
        link: Writes a text that leads to a URL.
    """

    escape: Callable[[str], str]
    headed: Callable[[str, str], str]
    code: Callable[[str], str]
    link: Callable[[str, str], str]


def _as_code(text: str) -> str:
    """Return a text as code of Markdown: with more backticks around it than there are in it."""
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence, space = "`" * (longest + 1), " " if "`" in text else ""
    return f"{fence}{space}{' '.join(text.split())}{space}{fence}"


def _as_link(text: str, url: str) -> str:
    return f"[{text}]({re.sub(_IN_LINKS, lambda match: f'%{ord(match[0]):02X}', url)})"


_IN_LINKS: Final = re.compile(r"[\s()<>\\]")
_MARKDOWN: Final = _Style(escaped, "**{}**\n\n{}".format, _as_code, _as_link)
_TEXT: Final = _Style(str, "{}:\n{}".format, str, "{}: {}".format)


def _part(template: str, values: Mapping[str, str]) -> str:
    return _shortened(template.format(**values).strip(), _MOST_OF_A_PART)


def _footer(notice: Notice, layout: Mapping[str, str], style: _Style) -> str:
    at = (iso(notice.at_ms) or "").removesuffix("Z").partition(".")[0].replace("T", " ")
    said = ["autostream", layout["at"].format(at=at)]
    for name, value in (("team", notice.team), ("owner", notice.owner)):
        if value:
            said.append(layout[name].format(**{name: style.escape(" ".join(_cleaned(value).split()))}))
    return " · ".join(said)


def _text(value: Value, language: str) -> str:
    if isinstance(value, Mapping):
        value = value.get(language) or value.get("en", "")
    if isinstance(value, float):
        value = f"{value:g}"
    return _shortened(_cleaned(str(value)), _MOST_OF_A_PART)


def _cleaned(text: str) -> str:
    """Return a text without what steers a terminal, a mail header or the direction of writing."""
    return "".join(" " if c != "\n" and unicodedata.category(c) in _STEERING else c for c in text).strip()


def _shortened(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1].rstrip()}…"
