"""What is wrong with a `--where` that cannot be parsed: where, why, and what to write. Pure.

PyIceberg's parser answers with its grammar. This one reads the same language, only to find the first thing that does
not fit, and knows what people write by habit from other dialects.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

EXAMPLE: Final = "day >= '2026-11-23' AND region IN ('eu', 'us')"
_TOKENS: Final = re.compile(
    r"""(?P<string>'(?:[^']|'')*')|(?P<quoted>"[^"]*")|(?P<number>[+-]?(?:\d+\.\d*|\.?\d+))|(?P<name>[A-Za-z_][A-Za-z0-9_$]*)"""
    r"""|(?P<operator><=|>=|==|!=|<>|[<>=])|(?P<other>&&|\|\||\S)"""
)
_DATE: Final = re.compile(
    r"\d{4}-\d{1,2}(-\d{1,2})?(-\d{1,2}|[T ]\d{1,2}(:\d{2}){0,2}(\.\d+)?\s?(Z|[+-]\d{2}:?\d{2})?)?(?!\w)"
)
_TYPES: Final = ("date", "timestamp", "timestamptz", "time", "decimal", "interval")


@dataclass(eq=False)
class Fault(Exception):
    """The first thing that does not fit.

    Attributes:
        position: where it begins.
        reason: what is wrong, and what to write.
        repaired: the expression with that mended, where it is clear what was meant.
    """

    position: int
    reason: str
    repaired: str | None = None


@dataclass(frozen=True)
class _Token:
    kind: str
    text: str
    start: int
    end: int

    def is_word(self, *words: str) -> bool:
        return self.kind == "name" and self.text.lower() in words


def find_fault(where: str) -> Fault | None:
    """Return the first thing in an expression that does not fit; None if this reader finds nothing."""
    try:
        _Reader(where).read()
    except Fault as fault:
        return fault
    return None


def point_at(where: str, position: int) -> str:
    """Return an expression with a caret below a position, for a message."""
    # What is far away says nothing, and a line that is broken by the terminal would take the caret elsewhere.
    start = max(0, position - 40)
    head, tail = "…" if start else "", "…" if len(where) > position + 30 else ""
    line = (head + where[start : position + 30] + tail).replace("\n", " ").replace("\t", " ")
    return f"    {line}\n    {' ' * (position - start + len(head))}^"


class _Reader:
    def __init__(self, where: str) -> None:
        self._where = where
        self._tokens = [_Token(m.lastgroup or "", m[0], m.start(), m.end()) for m in _TOKENS.finditer(where)]
        self._tokens.append(_Token("end", "", len(where.rstrip()), len(where)))
        self._at = 0

    def read(self) -> None:
        if self._now.kind == "end":
            raise Fault(0, "The filter is empty.")
        self._expression()
        if self._now.kind == "end":
            return
        words = {"&&": "Write AND.", "||": "Write OR.", ")": "No parenthesis was opened before this one."}
        more = words.get(self._now.text, "AND, OR or the end is expected here.")
        raise self._fault(more)

    @property
    def _now(self) -> _Token:
        return self._tokens[self._at]

    @property
    def _next(self) -> _Token:
        return self._tokens[min(self._at + 1, len(self._tokens) - 1)]

    def _take(self) -> _Token:
        token = self._now
        self._at = min(self._at + 1, len(self._tokens) - 1)
        return token

    def _takes(self, *words: str) -> bool:
        if self._now.is_word(*words) or (self._now.kind == "other" and self._now.text in words):
            self._take()
            return True
        return False

    def _fault(self, reason: str, *, meant: str | None = None, end: int | None = None) -> Fault:
        """Make a fault at this token; `meant` is what should stand in its place."""
        start = self._now.start
        repaired = None
        if meant is not None:
            repaired = self._where[:start] + meant + self._where[self._now.end if end is None else end :]
        return Fault(start, reason, repaired)

    def _expression(self) -> None:
        self._term()
        while self._takes("and", "or"):
            self._term()

    def _term(self) -> None:
        if self._now.is_word("not") and self._next.kind != "operator":
            self._take()
            self._term()
        elif self._takes("("):
            self._expression()
            if not self._takes(")"):
                raise self._fault("A closing parenthesis is expected here.")
        else:
            self._comparison()

    def _comparison(self) -> None:
        if self._now.kind in ("string", "number"):
            self._take()
            self._operator()
            self._column()
        elif self._now.is_word("true", "false") and self._next.kind != "operator":
            self._take()
        else:
            self._column()
            self._condition()

    def _column(self) -> None:
        if self._now.kind not in ("name", "quoted"):
            if self._now.text == "!":
                raise self._fault("Write NOT.")
            if self._now.text.isalpha():
                raise self._strange_name(self._now)
            raise self._fault("A comparison is expected here: a column, an operator, a value.")
        if self._next.text == "(" and not self._now.is_word("in", "not"):
            raise self._fault("Functions are not available. Compare the column itself.")
        name = self._take()
        while self._now.text == "." and self._next.kind in ("name", "quoted"):
            self._take()
            self._take()
        if self._now.start == name.end and self._now.kind in ("other", "number") and self._now.text not in "().":
            raise self._strange_name(name)

    def _strange_name(self, first: _Token) -> Fault:
        name = self._word_at(first.start)
        return Fault(
            first.start,
            f'Write a name with characters other than A-Z, a-z, 0-9 and _ in double quotes: "{name}".',
            f'{self._where[: first.start]}"{name}"{self._where[first.start + len(name) :]}',
        )

    def _word_at(self, start: int) -> str:
        return re.split(r"[\s=<>!(),]", self._where[start:], maxsplit=1)[0]

    def _operator(self) -> None:
        if self._now.kind != "operator":
            raise self._fault("One of =, !=, <, <=, > and >= is expected here.")
        self._take()

    def _condition(self) -> None:
        if self._now.kind == "operator":
            self._take()
            self._value()
        elif self._takes("is"):
            self._takes("not")
            if not self._takes("null", "nan"):
                raise self._fault("NULL or NAN is expected here.")
        else:
            negated = self._takes("not")
            if self._takes("in"):
                self._list()
            elif self._takes("like"):
                self._pattern()
            elif self._now.is_word("between") and not negated:
                self._take()
                self._value()
                if not self._takes("and"):
                    raise self._fault("AND is expected here: BETWEEN has two values.")
                self._value()
            elif self._now.is_word("between"):
                raise self._fault("NOT BETWEEN is not available. Write NOT (column BETWEEN 1 AND 2).")
            elif self._now.is_word("ilike", "rlike", "regexp", "similar"):
                raise self._fault("Only LIKE is available, with one % at the end.")
            else:
                raise self._fault("One of =, !=, <, <=, >, >=, IN, LIKE, BETWEEN and IS is expected here.")

    def _list(self) -> None:
        if not self._takes("("):
            raise self._fault("A list in parentheses is expected here, such as ('eu', 'us').")
        kinds = []
        while True:
            first = self._now
            self._value()
            kinds.append("." in first.text if first.kind == "number" else first.kind)
            if kinds[-1] != kinds[0]:
                raise Fault(
                    first.start, ("The values of a list must have one kind: all texts, or all numbers of one kind.")
                )
            if not self._takes(","):
                break
        if not self._takes(")"):
            raise self._fault("A comma or a closing parenthesis is expected here.")

    def _pattern(self) -> None:
        if self._now.kind != "string":
            self._value()
            raise Fault(self._tokens[self._at - 1].start, "A pattern in single quotes is expected here, such as 'eu%'.")
        if re.search(r"(?<!\\)%(?!$)", self._now.text[1:-1]):
            raise self._fault(r"A pattern can have only one %, at its end. Write \% for the character itself.")
        self._take()

    def _value(self) -> None:
        token = self._now
        if date := _DATE.match(self._where, token.start) if token.kind == "number" else None:
            text = f"'{date[0].strip()}'"
            raise self._fault(f"Write a date or time in single quotes: {text}.", meant=text, end=date.end())
        if token.kind == "name" and not token.is_word("true", "false"):
            self._refuse_word()
        elif token.kind == "quoted":
            text = "'" + token.text[1:-1].replace("'", "''") + "'"
            raise self._fault(f"Double quotes are for columns. Write a text in single quotes: {text}.", meant=text)
        elif token.kind not in ("string", "number", "name"):
            self._refuse_other()
        self._take()
        word = self._word_at(token.start)
        if token.kind == "number" and len(word) > len(token.text) and word[len(token.text)] not in ";":
            raise Fault(token.start, f"{word} is not a number. Write a text in single quotes.")

    def _refuse_word(self) -> None:
        word = self._now.text
        if word.lower() in ("null", "nan"):
            raise self._fault(f"Write IS {word.upper()} or IS NOT {word.upper()}.")
        if self._next.text == "(":
            raise self._fault("Functions are not available. Write the value itself.")
        if word.lower() in _TYPES and self._next.kind == "string":
            raise self._fault(
                f"Leave out the type. Write {self._next.text}.", meant=self._next.text, end=self._next.end
            )
        raise self._fault(
            f"Write a text in single quotes: '{word}'. Two columns cannot be compared.", meant=f"'{word}'"
        )

    def _refuse_other(self) -> None:
        if self._now.text in ("'", '"'):
            raise self._fault("This quote is not closed.")
        if self._now.text in tuple("‘’“”´`"):
            raise self._fault("This is another kind of quote. Write ' before and after a text.")
        raise self._fault("A value is expected here: a number, true, false, or a text in single quotes.")
