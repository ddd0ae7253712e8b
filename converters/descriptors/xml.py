"""Untrusted XML as a tree: no document type, no entities of its own, bounded in size and depth."""

from __future__ import annotations

from dataclasses import dataclass, field
from xml.parsers import expat

from converters.errors import DescriptorError

LARGEST_XML = 16 << 20
"""Bytes; a real OVF has some 20 KiB."""
_DEEPEST = 64
_MOST_ELEMENTS = 200_000


@dataclass(slots=True)
class Element:
    """An element by its local name: OVF's versions and vendors differ in namespaces alone."""

    name: str
    attributes: dict[str, str]
    """By local name."""
    children: list[Element] = field(default_factory=list)
    text: str = ""

    def all(self, *names: str) -> list[Element]:
        """The children with one of these names."""
        return [child for child in self.children if child.name in names]

    def first(self, name: str) -> Element | None:
        """The first child of that name."""
        return next((child for child in self.children if child.name == name), None)

    def value(self, name: str) -> str:
        """The text of the first child of that name; empty when there is none."""
        found = self.first(name)
        return "" if found is None else found.text.strip()


def parse_xml(data: bytes, what: str) -> Element:
    """The root of a document; ``what`` it is, for messages.

    Raises:
        DescriptorError: too large, no well-formed XML, or with a document type.
    """
    if len(data) > LARGEST_XML:
        raise DescriptorError(f"{what} has {len(data):,} bytes", "is it an OVF descriptor?")
    document = Element("", {})
    stack = [document]
    count = 0
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.buffer_text = True
    parser.buffer_size = 1 << 20

    def start(name: str, attributes: dict[str, str]) -> None:
        nonlocal count
        count += 1
        if count > _MOST_ELEMENTS or len(stack) > _DEEPEST:
            raise DescriptorError(f"{what} has more elements than any OVF", "export the machine again")
        element = Element(_local(name), {_local(key): value for key, value in attributes.items()})
        stack[-1].children.append(element)
        stack.append(element)

    def end(_name: str) -> None:
        stack.pop()

    def characters(text: str) -> None:
        stack[-1].text += text

    def doctype(*_words: object) -> None:
        raise DescriptorError(f"{what} declares a document type, which an OVF must not", "remove <!DOCTYPE>")

    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = characters
    parser.StartDoctypeDeclHandler = doctype
    try:
        parser.Parse(data, True)
    except (expat.ExpatError, ValueError, LookupError) as error:  # the latter of an odd encoding
        raise DescriptorError(f"{what} is no XML: {error}", "copy or export it again") from error
    return document.children[0]


def _local(name: str) -> str:
    return name.rpartition(" ")[2]
