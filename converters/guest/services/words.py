"""How systemd takes values apart: words with quotes and C escapes, variables, specifiers.

Sources: systemd.syntax(7) "Quoting", systemd.service(5) "Command lines", systemd.unit(5) "Specifiers".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

_ESCAPES = {
    "a": "\a",
    "b": "\b",
    "f": "\f",
    "n": "\n",
    "r": "\r",
    "t": "\t",
    "v": "\v",
    "\\": "\\",
    '"': '"',
    "'": "'",
    "s": " ",
}
_CODE = re.compile(r"x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([0-7]{3})")
_BRACED = re.compile(r"\$\$|\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_WHOLE = re.compile(r"\$([A-Za-z_][A-Za-z0-9_]*)\Z")
_PLAIN = re.compile(rb"[^A-Za-z0-9:_./]")
"""Bytes of a path that a unit's name cannot hold (systemd.unit(5), "String escaping")."""
_BLANKS = frozenset(" \t\n\r")
"""What divides words; other letters that look blank are part of one (systemd, ``extract_first_word``)."""
_LONGEST_PATH = 4096
"""``PATH_MAX``."""
_SPECIFIER = re.compile(r"%(.)", re.DOTALL)


def split_words(text: str) -> list[str]:
    """Words between blanks; quotes group, and escapes stand for a character inside and outside of quotes.

    An escape that C does not know is kept with its backslash. A quote without its twin runs to the end.
    """
    words: list[str] = []
    word: list[str] | None = None
    quote = ""
    position = 0
    while position < len(text):
        char = text[position]
        position += 1
        if char == "\\" and position < len(text):
            piece, position = _unescaped(text, position)
            word = [*(word or []), piece]
        elif quote:
            if char == quote:
                quote = ""
            elif word is not None:
                word.append(char)
        elif char in "\"'":
            # A quote groups anywhere in a word for systemd, as in the shell: --name="a b".
            quote, word = char, word or []
        elif char in _BLANKS:
            if word is not None:
                words.append("".join(word))
            word = None
        else:
            word = [*(word or []), char]
    if word is not None:
        words.append("".join(word))
    return words


def _unescaped(text: str, position: int) -> tuple[str, int]:
    if known := _ESCAPES.get(text[position]):
        return known, position + 1
    if code := _CODE.match(text, position):
        number = int(code[4], 8) if code[4] else int(code[1] or code[2] or code[3], 16)
        if 0 < number <= 0x10FFFF:
            return chr(number), code.end()
    return "\\" + text[position], position + 1


def expand_variables(words: list[str], environment: Mapping[str, str]) -> list[str]:
    """``$NAME`` as a word becomes the words its value has, ``${NAME}`` anywhere one text, ``$$`` ``$``.

    Variables that are not set are empty.
    """
    expanded: list[str] = []
    for word in words:
        if whole := _WHOLE.match(word):
            expanded += split_words(environment.get(whole[1], ""))
        else:
            expanded.append(
                _BRACED.sub(lambda found: environment.get(found[1], "") if found[1] else "$", word)
            )
    return expanded


def unescape_name(name: str) -> str:
    """What ``systemd-escape --unescape`` makes of a name: dashes to slashes, ``\\x2d`` to a character."""
    return re.sub(r"\\x([0-9a-fA-F]{2})", lambda found: chr(int(found[1], 16)), name.replace("-", "/"))


def escape_path(path: str) -> str:
    """What ``systemd-escape --path`` makes of a path: dashes of slashes, ``\\x2d`` of most else."""
    parts = [part for part in path.split("/") if part not in ("", ".")]
    raw = "/".join(parts).encode("utf-8", "surrogateescape")
    escaped = _PLAIN.sub(lambda found: b"\\x%02x" % found[0][0], raw).replace(b"/", b"-").decode("ascii")
    return f"\\x2e{escaped[1:]}" if escaped.startswith(".") else escaped or "-"


def mount_names(path: str) -> list[str]:
    """The mount units that a path can lie on, down from the root's."""
    if not path.startswith("/") or len(path) > _LONGEST_PATH:
        return []
    parts = [part for part in path.split("/") if part not in ("", ".")]
    return [f"{escape_path('/'.join(parts[:count]))}.mount" for count in range(len(parts) + 1)]


@dataclass(frozen=True, slots=True)
class UnitName:
    """A unit's name in its parts: ``postgresql@15-main.service``."""

    full: str

    @property
    def stem(self) -> str:
        """Without the type: ``postgresql@15-main``."""
        return self.full.rpartition(".")[0]

    @property
    def type(self) -> str:
        """``service``, ``socket``, ``target``…"""
        return self.full.rpartition(".")[2]

    @property
    def prefix(self) -> str:
        """Before the ``@``: ``postgresql``."""
        return self.stem.partition("@")[0]

    @property
    def instance(self) -> str:
        """After the ``@``: ``15-main``; empty for others, and for the template itself."""
        return self.stem.partition("@")[2]

    @property
    def template(self) -> str:
        """``postgresql@.service``, or empty when the unit is no instance."""
        return f"{self.prefix}@.{self.type}" if self.instance else ""


def expand_specifiers(text: str, values: Mapping[str, str]) -> str:
    """``%i``, ``%n``… by ``values``; ``%%`` is a percent sign, and one that is not known stays as it is."""
    return _SPECIFIER.sub(lambda found: values.get(found[1], found[0]), text)


def unit_specifiers(name: UnitName) -> dict[str, str]:
    """Specifiers that a unit's name decides."""
    last = name.prefix.rpartition("-")[2]
    instance = unescape_name(name.instance)
    return {
        "%": "%",
        "n": name.full,
        "N": name.stem,
        "p": name.prefix,
        "P": unescape_name(name.prefix),
        "i": name.instance,
        "I": instance,
        "j": last,
        "J": unescape_name(last),
        "f": "/" + (instance or unescape_name(name.prefix)).lstrip("/"),
    }


def system_specifiers(fragment: str, hostname: str, home: str) -> dict[str, str]:
    """Specifiers that are the same for all units of a system, but the first.

    Args:
        fragment: path of the unit file.
        home: of root, who runs the service manager, whatever ``User=`` says.
    """
    return {
        "y": fragment,
        "Y": fragment.rpartition("/")[0],
        "H": hostname,
        "l": hostname.partition(".")[0],
        "u": "root",
        "U": "0",
        "g": "root",
        "G": "0",
        "h": home,
        "t": "/run",
        "S": "/var/lib",
        "C": "/var/cache",
        "L": "/var/log",
        "E": "/etc",
        "T": "/tmp",
        "V": "/var/tmp",
    }
