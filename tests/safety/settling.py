"""A place for runs, and its end: what one test leaves must not make the next one fail."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from converters.process import ProcessError
from deploy.demo.registry import Registry
from deploy.demo.simulator import Simulator
from tests.safety.harness import Site
from tests.safety.link import Link


@contextmanager
def settling(vcenter: Simulator, images: Registry, link: Link, folder: Path) -> Iterator[Site]:
    """A place in ``folder``, whose name its images carry; what runs leave there is an error.

    Raises:
        AssertionError: something is left; it is then removed as far as possible.
    """
    vcenter.forget_calls()
    site = Site(vcenter, images, link, folder, folder.name.replace("_", "-").lower())
    try:
        yield site
        site.undisturb()
        site.assert_settled()
    except BaseException:
        site.undisturb()
        with site.started("sweep") as command, suppress(ProcessError):
            command.wait()
        vcenter.end_sessions()
        raise
