"""Which tables a run is about: named in full, matched by patterns, or all that are enabled. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from autostream.names import TableName, catalog_of
from autostream.spelling import one_of

_WILDCARDS = "*?"  # not `[`, which names of tables may contain; where there is one of these, it begins a set


def is_pattern(word: str) -> bool:
    """Say whether a word stands for any number of tables, rather than for the one that it names."""
    return any(character in word for character in _WILDCARDS)


@dataclass(frozen=True)
class ChosenTable:
    """A table to look at.

    Attributes:
        name: Its full name.
        named: Whether it was named in full, so that it need not be enabled.
    """

    name: str
    named: bool


@dataclass(frozen=True)
class TableSelection:
    """Which tables a run is about.

    Attributes:
        names: Tables that are named in full.
        patterns: Patterns of full names, such as `lake.shop.*`; `*` matches dots too.
        enabled_only: Whether a table that is not named in full has to be enabled.
    """

    names: tuple[str, ...] = ()
    patterns: tuple[str, ...] = ()
    enabled_only: bool = True

    @classmethod
    def parse(cls, words: Iterable[str], *, enabled_only: bool = True) -> TableSelection:
        """Return the selection that words make: names and patterns, in any order; none: all tables.

        Raises:
            UsageError: A word is neither a pattern nor the full name of a table.
        """
        distinct = tuple(dict.fromkeys(words))
        names = tuple(str(TableName.parse(word)) for word in distinct if not is_pattern(word))
        return cls(names, tuple(word for word in distinct if is_pattern(word)), enabled_only)

    @property
    def needs_listing(self) -> bool:
        """Whether catalogs have to be looked through."""
        return bool(self.patterns) or not self.names

    @property
    def catalogs_named(self) -> tuple[str, ...]:
        """The catalogs that patterns name, such as `lake` in `lake.shop.*`."""
        return tuple(dict.fromkeys(found for pattern in self.patterns if (found := _catalog_named(pattern))))

    def catalogs_to_list(self, catalogs: Iterable[str]) -> tuple[str, ...]:
        """Return those catalogs in which a table may match."""
        if not self.needs_listing:
            return ()
        anywhere = not self.patterns or not all(map(_catalog_named, self.patterns))
        return tuple(catalog for catalog in catalogs if anywhere or catalog in self.catalogs_named)

    def choose(self, listed: Mapping[str, Sequence[str]]) -> Iterator[ChosenTable]:
        """Yield each table once: those named in full, then those that match, given the tables of each catalog."""
        yield from (ChosenTable(name, named=True) for name in self.names)
        for table in (table for tables in listed.values() for table in tables):
            if table not in self.names and self.needs_listing and self._matches(table):
                yield ChosenTable(table, named=False)

    def unmatched(self, listed: Mapping[str, Sequence[str]], catalogs: Collection[str]) -> dict[str, str]:
        """Return the patterns that match no table, each with what to tell of it.

        Args:
            listed: The tables of each catalog that could be looked through.
            catalogs: The catalogs that there are: what one of them might have is not said to be missing.
        """
        found: dict[str, str] = {}
        for pattern in self.patterns:
            named = _catalog_named(pattern)
            if named and named not in catalogs:
                found[pattern] = f"Unknown catalog {named!r}. {one_of(named, catalogs, 'Catalogs')}"
                continue
            looked_in = [named] if named else list(catalogs)
            tables = sorted(table for catalog in looked_in for table in listed.get(catalog, ()))
            whole = all(catalog in listed for catalog in looked_in)
            if whole and not any(fnmatchcase(table, pattern) for table in tables):
                there = one_of(pattern, tables, "There are") if tables else "These catalogs have no tables."
                found[pattern] = f"No table in {', '.join(looked_in)} matches. {there}"
        return found

    def _matches(self, table: str) -> bool:
        return not self.patterns or any(fnmatchcase(table, pattern) for pattern in self.patterns)


def _catalog_named(pattern: str) -> str:
    """Return the catalog that a pattern names in full; nothing where it may be any."""
    catalog = catalog_of(pattern)
    return "" if is_pattern(catalog) or catalog == pattern else catalog
