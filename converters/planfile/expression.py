"""The conditions of rules: facts compared with texts and numbers, joined by ``and``, ``or`` and ``not``.

::

    machine matches "web-*" and not (service == "nginx" or 443 in ports)

A condition is parsed before any machine is looked at, so that a misspelt fact is found out then. It can do
nothing but compare: there are no calls, and its time is bounded by its length.
"""

from __future__ import annotations

import difflib
import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase

Fact = str | int | tuple[str, ...] | tuple[int, ...]
Facts = Mapping[str, Fact]
Condition = Callable[[Facts], bool]

_DEEPEST = 50
_TOKEN = re.compile(
    r"""\s*(?:(?P<text>"[^"\n]*"|'[^'\n]*')|(?P<number>\d{1,15}(?!\w))|(?P<word>[A-Za-z_]\w*)"""
    r"""|(?P<sign>==|!=|<=|>=|[<>()\[\],]))"""
)
_ORDERS: Mapping[str, Callable[[int, int], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


class Kind(StrEnum):
    """What a value is."""

    TEXT = "a text"
    NUMBER = "a number"
    TEXTS = "several texts"
    NUMBERS = "several numbers"


_MEMBERS = {Kind.TEXTS: Kind.TEXT, Kind.NUMBERS: Kind.NUMBER}


class ExpressionError(ValueError):
    """What is wrong with a condition, and where in it."""


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    at: int
    """Column, from 1."""


@dataclass(frozen=True, slots=True)
class _Operand:
    kind: Kind
    of: Callable[[Facts], Fact]
    at: int


def parse(text: str, known: Mapping[str, Kind]) -> Condition:
    """The condition that ``text`` says about facts of these names. Raises ``ExpressionError``."""
    return _Parser(_tokens(text), known).whole()


def _tokens(text: str) -> list[_Token]:
    tokens, at, end = [], 0, len(text.rstrip())
    while at < end:
        found = _TOKEN.match(text, at)
        if found is None:
            rest = text[at:].lstrip()
            column = end - len(rest.rstrip()) + 1
            raise ExpressionError(f"column {column}: {rest.split()[0][:20]!r} is not understood")
        kind = found.lastgroup or ""
        tokens.append(_Token(kind, found[kind], found.start(kind) + 1))
        at = found.end()
    return [*tokens, _Token("end", "", end + 1)]


class _Parser:
    """Recursive descent; each method reads what it is named after."""

    def __init__(self, tokens: list[_Token], known: Mapping[str, Kind]) -> None:
        self._tokens = tokens
        self._known = known
        self._next = 0
        self._depth = 0

    def whole(self) -> Condition:
        found = self._either()
        if self._peek().kind != "end":
            raise self._unexpected("`and`, `or` or the end")
        return found

    def _either(self) -> Condition:
        parts = [self._both()]
        while self._takes("or"):
            parts.append(self._both())
        return parts[0] if len(parts) == 1 else lambda facts: any(part(facts) for part in parts)

    def _both(self) -> Condition:
        parts = [self._negated()]
        while self._takes("and"):
            parts.append(self._negated())
        return parts[0] if len(parts) == 1 else lambda facts: all(part(facts) for part in parts)

    def _negated(self) -> Condition:
        self._depth += 1
        if self._depth > _DEEPEST:
            raise ExpressionError(f"column {self._peek().at}: is too deep within `not` and parentheses")
        try:
            if self._takes("not"):
                inner = self._negated()
                return lambda facts: not inner(facts)
            if self._takes("("):
                inner = self._either()
                self._require(")")
                return inner
            return self._comparison()
        finally:
            self._depth -= 1

    def _comparison(self) -> Condition:
        left = self._operand()
        token = self._take()
        match token.text:
            case "==" | "!=" as sign:
                return self._equal(left, self._operand(), sign == "==")
            case "<" | "<=" | ">" | ">=" as sign:
                return self._ordered(left, self._operand(), _ORDERS[sign])
            case "matches":
                return self._matching(left, self._operand())
            case "in":
                return self._member(left, self._operand())
            case "not" if self._takes("in"):
                inner = self._member(left, self._operand())
                return lambda facts: not inner(facts)
            case _:
                raise ExpressionError(
                    f"column {token.at}: expected ==, !=, <, <=, >, >=, `in`, `not in` or `matches`"
                )

    def _equal(self, left: _Operand, right: _Operand, wanted: bool) -> Condition:
        self._same(left.kind, right)
        return lambda facts: (left.of(facts) == right.of(facts)) is wanted

    def _ordered(self, left: _Operand, right: _Operand, order: Callable[[int, int], bool]) -> Condition:
        for side in (left, right):
            self._same(Kind.NUMBER, side)

        def holds(facts: Facts) -> bool:
            one, other = left.of(facts), right.of(facts)
            return isinstance(one, int) and isinstance(other, int) and order(one, other)

        return holds

    def _matching(self, left: _Operand, right: _Operand) -> Condition:
        for side in (left, right):
            self._same(Kind.TEXT, side)
        return lambda facts: fnmatchcase(str(left.of(facts)), str(right.of(facts)))

    def _member(self, left: _Operand, right: _Operand) -> Condition:
        member = _MEMBERS.get(right.kind)
        if member is None:
            raise ExpressionError(f"column {right.at}: `in` takes several values, and this is {right.kind}")
        self._same(member, left)

        def holds(facts: Facts) -> bool:
            several = right.of(facts)
            return isinstance(several, tuple) and left.of(facts) in several

        return holds

    @staticmethod
    def _same(kind: Kind, operand: _Operand) -> None:
        if operand.kind is not kind:
            raise ExpressionError(f"column {operand.at}: this is {operand.kind}, where {kind} is wanted")

    def _operand(self) -> _Operand:
        token = self._take()
        match token.kind, token.text:
            case "text" | "number", _:
                kind, value = self._literal(token)
                return _Operand(kind, lambda facts: value, token.at)
            case _, "[":
                return self._list(token.at)
            case "word", name if name in self._known:
                return _Operand(self._known[name], lambda facts: facts[name], token.at)
            case "word", name:
                close = difflib.get_close_matches(name, self._known, 1)
                meant = f"did you mean {close[0]}? " if close else ""
                raise ExpressionError(
                    f"column {token.at}: {name} is not known here; {meant}there are: {', '.join(self._known)}"
                )
            case _:
                self._next -= token.kind != "end"
                raise self._unexpected("a fact, a text in quotes, a number or a list")

    @staticmethod
    def _literal(token: _Token) -> tuple[Kind, str | int]:
        if token.kind == "number":
            return Kind.NUMBER, int(token.text)
        return Kind.TEXT, token.text[1:-1]

    def _list(self, at: int) -> _Operand:
        items: list[tuple[Kind, str | int]] = []
        while True:
            token = self._take()
            if token.kind not in ("text", "number"):
                raise ExpressionError(f"column {token.at}: a list holds texts in quotes, or numbers")
            items.append(self._literal(token))
            if self._takes("]"):
                break
            self._require(",")
        texts = tuple(value for _, value in items if isinstance(value, str))
        numbers = tuple(value for _, value in items if isinstance(value, int))
        if texts and numbers:
            raise ExpressionError(f"column {at}: a list holds texts or numbers, not both")
        if texts:
            return _Operand(Kind.TEXTS, lambda facts: texts, at)
        return _Operand(Kind.NUMBERS, lambda facts: numbers, at)

    def _peek(self) -> _Token:
        return self._tokens[self._next]

    def _take(self) -> _Token:
        token = self._peek()
        if token.kind != "end":
            self._next += 1
        return token

    def _takes(self, text: str) -> bool:
        token = self._peek()
        taken = token.kind in ("word", "sign") and token.text == text
        self._next += taken
        return taken

    def _require(self, text: str) -> None:
        if not self._takes(text):
            raise self._unexpected(f"`{text}`")

    def _unexpected(self, wanted: str) -> ExpressionError:
        token = self._peek()
        found = f"`{token.text}` stands" if token.text else "it ends"
        return ExpressionError(f"column {token.at}: {found} where {wanted} is wanted")
