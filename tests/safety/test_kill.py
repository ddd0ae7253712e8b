"""A reader is killed, a worker frozen, and the registry goes away in the middle."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Mapping

from orchestrator.errors import ExitCode
from tests.safety.harness import WORKER, Site, digests, errors, in_push
from tests.waiting import until

READER = "converters.reader.child"
"""What stands in the arguments of the process that reads a disk for a worker."""


def test_a_killed_reader_costs_an_attempt(site: Site, undisturbed: Mapping[str, str]) -> None:
    with site.converting("--workers", "1") as command:
        os.kill(site.process(READER), signal.SIGKILL)
        assert command.wait() == ExitCode.OK, command.said
    jobs = site.report()
    assert errors(jobs["big"]) == [("convert", "reader")]
    assert digests(jobs) == site.tagged() == undisturbed


def test_a_frozen_worker_is_killed_and_the_vm_tried_again(site: Site, undisturbed: Mapping[str, str]) -> None:
    with site.converting("--workers", "1", "--worker-silence", "6") as command:
        in_push(site)
        worker = site.process(WORKER)
        os.kill(worker, signal.SIGSTOP)
        site.undisturb()
        until(lambda: worker not in site.processes(), 30)
        assert command.wait() == ExitCode.OK, command.said
    assert errors(site.report()["big"]) == [("convert", "worker-lost")]
    assert digests(site.report()) == site.tagged() == undisturbed


def test_the_registry_is_away_for_some_seconds(site: Site, undisturbed: Mapping[str, str]) -> None:
    with site.converting("--workers", "1") as command:
        in_push(site)
        site.registry.stop()
        time.sleep(4)
        site.registry.start()
        site.undisturb()
        assert command.wait() == ExitCode.OK, command.said
    assert digests(site.report()) == site.tagged() == undisturbed


def test_the_registry_loses_power_in_the_middle_of_a_blob(site: Site, undisturbed: Mapping[str, str]) -> None:
    with site.converting("--workers", "1") as command:
        in_push(site)
        site.registry.kill()
        site.registry.start()
        site.undisturb()
        assert command.wait() == ExitCode.OK, command.said
    assert digests(site.report()) == site.tagged() == undisturbed
