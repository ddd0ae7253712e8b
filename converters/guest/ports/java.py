"""Ports of programs in a Java machine: Tomcat by its server.xml, Elasticsearch by its YAML, or by flags."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from converters.guest.facts import Port
from converters.guest.files import GuestFiles, printable
from converters.guest.ports.address import is_loopback, merged
from converters.guest.ports.arguments import argument_ports

_TOMCAT = "org.apache.catalina.startup.Bootstrap"
_ELASTIC = ("org.elasticsearch.bootstrap.Elasticsearch", "org.opensearch.bootstrap.OpenSearch")
_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
_ELEMENT = re.compile(r"<(Connector|Server)\b([^>]*)>")
_ATTRIBUTE = re.compile(r"""([\w.]+)\s*=\s*("[^"]*"|'[^']*')""")
_PROPERTY = re.compile(r"\$\{([\w.-]+)\}")
_ELASTIC_DEFAULTS = (("http.port", 9200), ("transport.port", 9300))


def java_ports(files: GuestFiles, words: tuple[str, ...], environment: Mapping[str, str]) -> tuple[Port, ...]:
    """Ports by the main class of a ``java`` command line; of an unknown one, those its flags name."""
    properties = _properties(words)
    if _TOMCAT in words:
        base = properties.get("catalina.base") or properties.get("catalina.home", "")
        return tomcat_ports(files, base, properties)
    if any(word.startswith(_ELASTIC) for word in words):
        return elastic_ports(
            files, properties.get("es.path.conf") or properties.get("opensearch.path.conf", "")
        )
    return argument_ports(words, environment)


def tomcat_ports(files: GuestFiles, base: str, properties: Mapping[str, str]) -> tuple[Port, ...]:
    """Ports of each ``Connector``, and of the ``Server`` for its shutdown word, for the machine itself only.

    Args:
        base: Tomcat's directory, with ``conf/server.xml`` in it.
        properties: what ``${name}`` stands for.
    """
    path = f"{base}/conf/server.xml"
    text = _COMMENT.sub("", files.text(path) or "")
    return merged(_tomcat(text, path, {**_catalina(files, base), **properties}))


def _tomcat(text: str, path: str, properties: Mapping[str, str]) -> Iterator[Port]:
    for element, inside in _ELEMENT.findall(text):
        attributes = {
            name: _PROPERTY.sub(lambda found: properties.get(found[1], found[0]), value[1:-1])
            for name, value in _ATTRIBUTE.findall(inside)
        }
        number = attributes.get("port", "")
        if number.isdecimal() and 0 < int(number) < 65536:
            address = "localhost" if element == "Server" else attributes.get("address", "")
            yield Port(int(number), "tcp", printable(path), is_loopback(address))


def _catalina(files: GuestFiles, base: str) -> dict[str, str]:
    """``conf/catalina.properties``: a file of Java properties, as far as ports need it."""
    lines = (files.text(f"{base}/conf/catalina.properties") or "").splitlines()
    pairs = (line.partition("=") for line in lines if not line.lstrip().startswith(("#", "!")))
    return {name.strip(): value.strip() for name, equals, value in pairs if equals}


def elastic_ports(files: GuestFiles, folder: str) -> tuple[Port, ...]:
    """Ports of Elasticsearch or OpenSearch; without a ``network.host`` they serve the machine itself only."""
    folder = folder or "/etc/elasticsearch"
    paths = [f"{folder}/{name}.yml" for name in ("elasticsearch", "opensearch")]
    path = next((path for path in paths if files.is_file(path)), paths[0])
    settings: dict[str, str] = {}
    for line in (files.text(path) or "").splitlines():
        name, colon, value = line.partition(":")
        if colon and not name.startswith(("#", " ", "-")):
            settings[name.strip()] = value.partition(" #")[0].strip().strip("'\"[]")
    loopback = is_loopback(settings.get("network.host", "_local_").replace("_local_", "localhost"))
    return tuple(
        Port(
            int(said) if (said := settings.get(name, "").partition("-")[0]).isdecimal() else default,
            "tcp",
            printable(path) if name in settings else "default of Elasticsearch",
            loopback,
        )
        for name, default in _ELASTIC_DEFAULTS
    )


def _properties(words: tuple[str, ...]) -> dict[str, str]:
    """What ``-Dname=value`` sets."""
    pairs = (word.removeprefix("-D").partition("=") for word in words if word.startswith("-D"))
    return {name: value for name, _, value in pairs}
