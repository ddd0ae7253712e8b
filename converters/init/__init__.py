"""The static init of the images: a Go program in ``program/``, driven by a specification a service."""

from __future__ import annotations

from pathlib import Path

from converters.errors import UnsupportedError

ARCHITECTURES = ("386", "amd64", "arm64")
"""OCI's words for the processors that the program is built for."""

SOURCE = Path(__file__).parent / "program"
PROGRAMS = Path(__file__).parent / "bin"
"""Where ``converters.init.build`` puts the programs."""


def program(architecture: str) -> bytes:
    """The init for a processor.

    Raises:
        UnsupportedError: there is none for it, or it was not built.
    """
    if architecture not in ARCHITECTURES:
        raise UnsupportedError(
            f"there is no init for {architecture}", f"it is built for {', '.join(ARCHITECTURES)}"
        )
    path = PROGRAMS / f"init-{architecture}"
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise UnsupportedError(
            f"the init for {architecture} was not built: {path} is missing",
            "run `python -m converters.init.build`, which needs a Go toolchain; deploy/setup does",
        ) from error
