"""Properties of tables, catalogs and connections read as typed values, with errors that name their owner.

What is read is text that anybody may have written: `Table lake.db.orders: property commit.retry.num-retries is 'many'.
It must be a whole number, 0 or more.`
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, TypeVar

from autostream.errors import AutostreamError, ConfigurationError
from autostream.sizes import format_size, parse_size
from autostream.spelling import meant, one_of, shortened

_Value = TypeVar("_Value")
_Default = TypeVar("_Default")
_Choice = TypeVar("_Choice", bound=str)

_WHOLE: Final = re.compile(r"[+-]?[0-9]{1,19}")
_NUMBER: Final = re.compile(r"[+-]?([0-9]{1,40}(\.[0-9]{0,40})?|\.[0-9]{1,40})([eE][+-]?[0-9]{1,3})?")


@dataclass(frozen=True)
class Properties:
    """The properties of one owner, and where it does not have one, those of the next.

    White space around a value never counts. An empty value is one that is wrong, as it is for Java, unless
    `without_blanks` says that it means nothing.

    Attributes:
        owner: Whose they are, as messages begin: `Table lake.db.orders`; empty where `kind` says enough.
        values: What they hold. Others than texts are read as what they look like.
        kind: What they are called in messages.
        prefix: What all keys begin with; it is left out where values are asked for.
        fallback: Whose properties count where this owner does not have one.
    """

    owner: str
    values: Mapping[str, Any] = field(repr=False)  # may hold secrets
    kind: str = "property"
    prefix: str = ""
    fallback: Properties | None = None

    def below(self, prefix: str) -> Properties:
        """Return the properties whose keys begin with a prefix, to be asked for without it."""
        fallback = self.fallback.below(prefix) if self.fallback else None
        return replace(self, prefix=self.prefix + prefix, fallback=fallback)

    def or_else(self, fallback: Properties) -> Properties:
        """Return the properties with those of another owner, which count where this one does not have one."""
        return replace(self, fallback=self.fallback.or_else(fallback) if self.fallback else fallback)

    def without_blanks(self) -> Properties:
        """Return the properties that are not empty: forms and environments send what was left empty as well."""
        stated = {key: value for key, value in self.values.items() if str(value).strip()}
        return replace(self, values=stated, fallback=self.fallback.without_blanks() if self.fallback else None)

    def refuse_unknown(self, known: Collection[str]) -> None:
        """Refuse keys below the prefix that mean nothing.

        Raises:
            ConfigurationError: There is one; the message says what there is, and what was probably meant.
        """
        for name in self.keys():
            if name not in known:
                raise ConfigurationError(f"{self._called(name)} is unknown. {one_of(name, known, 'Known')}")

    def __contains__(self, key: str) -> bool:
        """Say whether the owner, or one that it falls back to, has a property."""
        return self._holder(key) is not None

    def keys(self) -> list[str]:
        """Return the owner's own keys below the prefix, as they are asked for."""
        return [key.removeprefix(self.prefix) for key in self.values if key.startswith(self.prefix)]

    def text(self, key: str, default: _Default) -> str | _Default:
        """Return a value as it is written, without white space around it."""
        return self.read(key, default, str)

    def whole(
        self, key: str, default: _Default, *, minimum: int | None = None, maximum: int | None = None
    ) -> int | _Default:
        """Return a whole number.

        Raises:
            ConfigurationError: It is none, or outside of what is allowed.
        """

        def parse(text: str) -> int:
            value = int(text) if _WHOLE.fullmatch(text) else None
            if value is None or not _within(value, minimum, maximum):
                raise ValueError(f"a whole number{_range(minimum, maximum)}")
            return value

        return self.read(key, default, parse)

    def number(
        self,
        key: str,
        default: _Default,
        *,
        minimum: float | None = None,
        maximum: float | None = None,
        above: float | None = None,
    ) -> float | _Default:
        """Return a number; `above` is a bound that is not allowed itself.

        Raises:
            ConfigurationError: It is none, not finite, or outside of what is allowed.
        """

        def parse(text: str) -> float:
            value = float(text) if _NUMBER.fullmatch(text) else math.nan
            too_low = above is not None and value <= above
            if not math.isfinite(value) or too_low or not _within(value, minimum, maximum):
                raise ValueError(f"a number{_range(minimum, maximum, above)}")
            return value

        return self.read(key, default, parse)

    def size(self, key: str, default: _Default, *, minimum: int = 0) -> int | _Default:
        """Return a size in bytes, which may be written with a unit: `512MB`.

        Raises:
            ConfigurationError: It is none, or too small.
        """

        def parse(text: str) -> int:
            try:
                value = parse_size(text)
            except AutostreamError:
                value = -1
            if value < max(minimum, 0):
                least = f", at least {format_size(minimum)}" if minimum else ""
                raise ValueError(f"a size{least}: a number of bytes, or a number with a unit, such as 512MB or 2GiB")
            return value

        return self.read(key, default, parse)

    def boolean(self, key: str, default: _Default) -> bool | _Default:
        """Return a yes or no, written `true` or `false` in any case.

        Raises:
            ConfigurationError: It is neither.
        """

        def parse(text: str) -> bool:
            if text.lower() not in ("true", "false"):
                raise ValueError("true or false")
            return text.lower() == "true"

        return self.read(key, default, parse)

    def is_true(self, key: str, *, default: bool = False) -> bool:
        """Say whether a value is `true` in any case, as Java's `Boolean.parseBoolean` does: all else is false."""
        return self.read(key, default, lambda text: text.lower() == "true")

    def choice(self, key: str, default: _Default, allowed: Collection[_Choice]) -> _Choice | _Default:
        """Return that one of the allowed words which a value is, in any case.

        Raises:
            ConfigurationError: It is none of them.
        """
        by_folded = {word.lower(): word for word in allowed}

        def parse(text: str) -> _Choice:
            if (found := by_folded.get(text.lower())) is not None:
                return found
            near = meant(text, [str(word) for word in allowed])
            raise ValueError(either(allowed) + (f". Did you mean {near}?" if near else ""))

        return self.read(key, default, parse)

    def read(self, key: str, default: _Default, parse: Callable[[str], _Value]) -> _Value | _Default:
        """Return what a function makes of a value; the default where nobody has the property.

        Args:
            key: The property, without the prefix.
            default: What stands for a property that is not there.
            parse: Reads a text. It raises `ValueError` with what is allowed, to follow `It must be`.

        Raises:
            ConfigurationError: The value is refused.
        """
        holder = self._holder(key)
        if holder is None:
            return default
        text = str(holder.values[holder.prefix + key]).strip()
        try:
            return parse(text)
        except ValueError as error:
            raise holder.wrong(key, str(error)) from error

    def wrong(self, key: str, allowed: str) -> ConfigurationError:
        """Return the error for a value that is not allowed.

        Args:
            key: The property, without the prefix.
            allowed: What it must be, to follow `It must be`.
        """
        value = str(self.values.get(self.prefix + key, ""))
        end = "" if allowed.endswith((".", "?")) else "."
        return ConfigurationError(f"{self._called(key)} is {shortened(value)}. It must be {allowed}{end}")

    def _holder(self, key: str) -> Properties | None:
        """Return the first in the chain that has a property."""
        holder: Properties | None = self
        while holder is not None and holder.values.get(holder.prefix + key) is None:
            holder = holder.fallback
        return holder

    def _called(self, key: str) -> str:
        name = f"{self.kind} {self.prefix}{key}"
        return f"{self.owner}: {name}" if self.owner else name[0].upper() + name[1:]


def of_table(name: object, values: Mapping[str, Any]) -> Properties:
    """Return the properties of a table; an empty value is a wrong one."""
    return Properties(f"Table {name}", values)


def of_catalog(name: str, values: Mapping[str, Any]) -> Properties:
    """Return the properties of a catalog; an empty value says nothing, as environments hold what is not set."""
    return Properties(f"Catalog {name}", values).without_blanks()


def either(words: Collection[str]) -> str:
    """Return words as a choice: `a`, `a or b`, `a, b or c`."""
    *first, last = words
    return f"{', '.join(first)} or {last}" if first else str(last)


def _within(value: float, minimum: float | None, maximum: float | None) -> bool:
    return (minimum is None or value >= minimum) and (maximum is None or value <= maximum)


def _range(minimum: float | None, maximum: float | None, above: float | None = None) -> str:
    """Return the bounds of a number in words, to follow `a number`."""
    if above is not None:
        return f" above {_shown(above)}" + ("" if maximum is None else f", at most {_shown(maximum)}")
    if minimum is not None and maximum is not None:
        return f" from {_shown(minimum)} to {_shown(maximum)}"
    if minimum is not None:
        return f", {_shown(minimum)} or more"
    return "" if maximum is None else f", {_shown(maximum)} or less"


def _shown(bound: float) -> str:
    return f"{bound:,}" if isinstance(bound, int) else f"{bound:g}"
