"""Verifies machines' images in one engine, a few at once: for one conversion and for a whole run."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from threading import BoundedSemaphore

from converters.manifests.compose import compose
from converters.outputs.auth import Credentials
from converters.request import Converted
from orchestrator import durable
from orchestrator.verify.engine import Engine, VerifyError
from orchestrator.verify.observe import observe
from orchestrator.verify.verdict import Verification
from orchestrator.verify.watch import verify

FORMAT_VERSION = 1
"""Of the file with a verdict."""


@dataclass(frozen=True, slots=True)
class VerifySettings:
    """Where and how images are verified."""

    engine: str = ""
    """See ``Engine``."""
    at_once: int = 1
    seconds: float = 90.0
    """Until every port has to answer."""
    together: bool = True
    """Whether a machine's containers are started together and asked."""
    alone: bool = False
    """Whether each is started alone, to see what it opens."""


class Verifier:
    """Any number of threads may ask; ``at_once`` machines are started at a time."""

    def __init__(self, settings: VerifySettings, credentials: Credentials | None, folder: Path) -> None:
        """``folder`` gets a file with each verdict."""
        self._settings = settings
        self._credentials = credentials
        self._folder = folder
        self._slots = BoundedSemaphore(settings.at_once)

    def __call__(
        self,
        name: str,
        converted: Converted,
        reference: str,
        home: Path,
        answers: Mapping[tuple[str, int], str] | None = None,
    ) -> Verification:
        """Start a machine's containers and write the verdict down; an engine that fails is a verdict too.

        Args:
            name: of the verdict's file.
            reference: the machine's own image by digest.
            home: the compose file's folder, which has the files that it names.
            answers: what the running machine answered, by protocol and port.

        Raises:
            OSError: the verdict cannot be written.
        """
        text = compose(converted.plan, reference, converted.services)
        try:
            with self._slots, Engine(self._settings.engine, self._credentials) as engine:
                found = Verification(converted.plan.name)
                if self._settings.together:
                    found = verify(engine, converted.plan, text, self._settings.seconds, home, answers)
                if self._settings.alone:
                    found = replace(found, observed=observe(engine, converted.plan, text, home))
        except VerifyError as error:
            found = Verification(converted.plan.name, error=str(error))
        durable.make_folder(self._folder)
        document = {"version": FORMAT_VERSION, "good": found.good, **asdict(found)}
        durable.write_text(
            self._folder / f"{name}.verify.json", json.dumps(document, indent=2, ensure_ascii=False) + "\n"
        )
        return found
