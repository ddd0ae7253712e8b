"""Words, variables, specifiers and names of units."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from converters.guest.services.words import (
    UnitName,
    expand_specifiers,
    expand_variables,
    split_words,
    system_specifiers,
    unescape_name,
    unit_specifiers,
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a  b\tc", ["a", "b", "c"]),
        ("'a b' \"c d\"", ["a b", "c d"]),
        ('--name="a b"', ["--name=a b"]),
        ('"it\'s" \'say "x"\'', ["it's", 'say "x"']),
        (r"a\x20b \t \\ \101 \u00e9", ["a b", "\t", "\\", "A", "é"]),
        (r"\q", ["\\q"]),
        ("''", [""]),
        ("'open end", ["open end"]),
        ("", []),
        (r"\;", ["\\;"]),
    ],
)
def test_words(text: str, expected: list[str]) -> None:
    assert split_words(text) == expected


@given(st.lists(st.text(alphabet="ab \\\"'x01n\t$;")))
def test_quoted_words_come_back(words: list[str]) -> None:
    quoted = ['"' + word.replace("\\", "\\\\").replace('"', '\\"') + '"' for word in words]
    assert split_words(" ".join(quoted)) == words


def test_variables() -> None:
    environment = {"ONE": "one", "TWO": "two  words 'three four'", "EMPTY": ""}
    expand = expand_variables
    assert expand(["echo", "$ONE", "${ONE}", "${TWO}"], environment) == [
        "echo",
        "one",
        "one",
        environment["TWO"],
    ]
    assert expand(["$TWO"], environment) == ["two", "words", "three four"]
    assert expand(["$EMPTY", "$UNSET", "${UNSET}"], environment) == [""]
    assert expand(["a$ONE", "a${ONE}b", "$ONE/x"], environment) == ["a$ONE", "aoneb", "$ONE/x"]
    assert expand(["$$ONE", "$${ONE}", "$$"], environment) == ["$ONE", "${ONE}", "$"]


def test_specifiers() -> None:
    name = UnitName("my-app@data-x\\x2dy.service")
    values = {
        **system_specifiers("/etc/systemd/system/my-app@.service", "web.example.org", "/root"),
        **unit_specifiers(name),
    }
    text = "%i|%I|%n|%N|%p|%P|%j|%f|%h|%H|%l|%t|%S|%C|%L|%E|%%|%Y|%z"
    assert expand_specifiers(text, values).split("|") == [
        *(
            "data-x\\x2dy",
            "data/x-y",
            "my-app@data-x\\x2dy.service",
            "my-app@data-x\\x2dy",
            "my-app",
            "my/app",
        ),
        *(
            "app",
            "/data/x-y",
            "/root",
            "web.example.org",
            "web",
            "/run",
            "/var/lib",
            "/var/cache",
            "/var/log",
        ),
        *("/etc", "%", "/etc/systemd/system", "%z"),
    ]


def test_names() -> None:
    instance, plain = UnitName("getty@tty1.service"), UnitName("nginx.service")
    assert (instance.prefix, instance.instance, instance.template) == ("getty", "tty1", "getty@.service")
    assert (plain.stem, plain.type, plain.template) == ("nginx", "service", "")
    assert UnitName("getty@.service").template == ""
    assert unescape_name("dev-disk\\x2dby") == "dev/disk-by"
