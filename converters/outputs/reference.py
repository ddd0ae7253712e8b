"""The grammar of image references: host, repository name and tag.

Distribution, package ``reference``; OCI distribution-spec 1.1, "Pulling manifests".
"""

from __future__ import annotations

import re

from converters.errors import OutputError

COMPONENT = re.compile(r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*")
"""One name of a repository's path: words joined by one ``.``, one or two ``_``, or any number of ``-``."""
LONGEST_REPOSITORY = 255
"""Characters of host and path together."""

_NAME = re.compile(rf"{COMPONENT.pattern}(?:/{COMPONENT.pattern})*")
# Without a port a host needs a dot, or it would be the first name of a path; ``localhost`` is the exception.
_DOMAIN = r"[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+"
_HOST = re.compile(rf"(?:localhost|{_DOMAIN}|\[[0-9a-fA-F:]+\]|[A-Za-z0-9-]+(?=:))(?::[0-9]+)?")
TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")


def split_repository(repository: str) -> tuple[str, str]:
    """``host[:port]`` and path of a repository.

    Raises:
        OutputError: not of that form.
    """
    registry, _, name = repository.partition("/")
    if not _HOST.fullmatch(registry):
        raise OutputError(
            f"{repository!r} names no registry", "write HOST[:PORT]/PATH, such as localhost:5000/vms"
        )
    if not _NAME.fullmatch(name) or len(repository) > LONGEST_REPOSITORY:
        raise OutputError(
            f"{name!r} is no valid repository name",
            f"lower-case letters, digits, and . _ - between them; at most {LONGEST_REPOSITORY} with the host",
        )
    return registry, name


def check_tag(tag: str) -> None:
    """Raise when a tag is none.

    Raises:
        OutputError: not of the tags' form.
    """
    if not TAG.fullmatch(tag):
        raise OutputError(f"{tag!r} is no valid tag", "letters, digits, ., _ and -, at most 128")
