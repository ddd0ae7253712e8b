"""The guest of nine services in one container, for machines whose services act on each other's processes."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace

import pytest
import yaml

from converters.grouping import Grouping
from converters.manifests.compose import compose
from deploy.demo import dockerd, guests
from deploy.demo.registry import registry
from tests.converters.conversions import request, run
from tests.corpus.compose import up
from tests.corpus.test_stack import ANSWERS, SERVICES, START, WANTED, Stack

pytestmark = [pytest.mark.root, pytest.mark.long]


@pytest.fixture(scope="module")
def together(engine: dockerd.Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with registry() as server:
        asked = replace(request(server, "together", guests.stack().raw), grouping=Grouping.VM)
        converted = run(asked, tmp_path_factory.mktemp("scratch"))
        reference = f"{asked.target.repository}@{converted.digest}"
        document = yaml.safe_load(compose(converted.plan, reference, converted.services))
        engine.pull(reference)
        with up(engine, document) as containers:
            (only,) = containers.values()
            everywhere = dict.fromkeys((*SERVICES, "postgresql-15-main", "together"), only)
            yield Stack(converted, document, everywhere, engine.address(only))


def test_all_answer_and_stop(together: Stack) -> None:
    assert not together.converted.services
    deadline = time.monotonic() + START
    missing = dict(WANTED)
    while missing and time.monotonic() < deadline:
        missing = {name: text for name, text in missing.items() if text not in ANSWERS[name](together)}
        time.sleep(0.2)
    container = together.containers["together"]
    assert not missing, container.logs(tail=40).decode()
    began = time.monotonic()
    container.stop(timeout=60)
    container.reload()
    assert container.attrs["State"]["ExitCode"] == 0 and time.monotonic() - began < 40
    assert b"killed" not in container.logs()
