"""The report tells the run's truth to people and machines, and nothing in it can break out of the page."""

from __future__ import annotations

import dataclasses
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from orchestrator.fleet.states import JobState, Stage
from orchestrator.fleet.view import ErrorView, JobView
from orchestrator.report.document import as_html, as_json, headline, next_steps, write
from tests.orchestrator.report.views import DIGEST, job, run_view


class Words(HTMLParser):
    """The text of a page, and the tags it holds."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.words: list[str] = []
        self.tags: set[str] = set()
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags.add(tag)

    def handle_data(self, data: str) -> None:
        self.words.append(" ".join(data.split()))

    @property
    def text(self) -> str:
        return " ".join(self.words)


def test_the_headline_counts_what_was_wanted() -> None:
    assert headline(run_view()) == "2 of 5 VMs converted, 1 failed."


def test_the_page_names_images_failures_and_reasons() -> None:
    text = Words(as_html(run_view())).text
    assert f"registry:5000/vms/web @{DIGEST}" in text
    assert "no Linux on <disk 0>" in text
    assert "look at the disk" in text
    assert "runs Windows" in text
    assert (
        "Debian GNU/Linux 12; starts nginx; 3.00 MiB left out of the image (boot 3.00 MiB, lost-found)."
        in text
    )
    assert "disk 0 partition 1 was read by guestfs: xfs is not read in process" in text
    assert "0 snapshots left behind" in text
    assert "Tried 2 times: the worker ended" in text


def test_a_removal_that_failed_once_is_no_second_try() -> None:
    refused = ErrorView(Stage.RELEASE, 1, "removal", "the host is busy", "", True)
    done = job("slow", JobState.DONE, attempt=1, errors=(refused,))
    text = Words(as_html(dataclasses.replace(run_view(), jobs=(done,)))).text
    assert "The release failed on the way: the host is busy" in text


def test_every_table_is_in_the_order_of_names() -> None:
    names = ("mail", "Apache", "db", "zebra", "apache")
    for state in (JobState.DONE, JobState.SKIPPED, JobState.FAILED, JobState.CANCELLED):
        view = dataclasses.replace(run_view(), jobs=tuple(job(name, state) for name in names))
        text = Words(as_html(view)).text
        places = [text.index(f" {name} ") for name in ("Apache", "apache", "db", "mail", "zebra")]
        assert places == sorted(places), state


def test_a_snapshot_left_behind_is_shouted() -> None:
    view = run_view()
    removal = ErrorView(Stage.RELEASE, 1, "removal", "FileLocked", "Snapshots > Manage Snapshots", True)
    cause = ErrorView(Stage.CONVERT, 1, "no-linux", "no Linux", "look", False)
    left = job("stuck", JobState.FAILED, snapshot_left=True, errors=(cause, removal))
    shouted = dataclasses.replace(view, jobs=(*view.jobs, left))
    assert headline(shouted).endswith("1 snapshot left in vCenter.")
    text = Words(as_html(shouted)).text
    assert "This snapshot is still on its VM. It grows until it is removed" in text
    assert "delete it by hand: stuck FileLocked Snapshots > Manage Snapshots" in text
    assert re.search(r"stuck\s+convert\s+no Linux\s+look", text), "the failed removal is not why it failed"
    assert "1 snapshot left behind" in text
    two = Words(as_html(dataclasses.replace(shouted, jobs=(left, dataclasses.replace(left, vm="stuck too")))))
    assert "These snapshots are still on their VMs" in two.text
    assert "2 snapshots left behind" in two.text
    assert "orchestrate sweep" in text


def test_vms_that_failed_alike_are_told_together() -> None:
    refused = ErrorView(Stage.CONVERT, 1, "no-linux", "no Linux", "look", False)
    alike = tuple(job(f"vm-{n}", JobState.FAILED, attempt=2, errors=(refused,)) for n in range(12))
    other = job("other", JobState.FAILED, errors=(dataclasses.replace(refused, message="noise"),))
    text = Words(as_html(dataclasses.replace(run_view(), jobs=(other, *alike)))).text
    assert text.count("no Linux") == 1
    assert text.index("12 VMs") < text.index("vm-0") < text.index("vm-11") < text.index("other")
    assert text.count("tried 2 times") == 12


@pytest.mark.parametrize(
    ("jobs", "words"),
    [
        ((job("a", JobState.DONE),), ["docker compose"]),
        ((job("a", JobState.CANCELLED),), ["continues with the VM that is not finished"]),
        ((job("a", JobState.CANCELLED), job("b", JobState.QUEUED)), ["the 2 VMs that are not finished"]),
        ((job("a", JobState.FAILED),), ["Look at the VM that failed: .* tries it again"]),
        (
            (job("a", JobState.FAILED), job("b", JobState.FAILED)),
            ["the 2 VMs that failed: .* tries them again"],
        ),
        ((job("a", JobState.DONE, snapshot_left=True),), ["the snapshot named .* sweep", "docker compose"]),
        ((job("a", JobState.SKIPPED),), ["Nothing was converted"]),
    ],
)
def test_the_page_says_what_to_do_now(jobs: tuple[JobView, ...], words: list[str]) -> None:
    steps = [" ".join(step) for step in next_steps(dataclasses.replace(run_view(), jobs=jobs))]
    assert len(steps) == len(words)
    assert all(re.search(word, step) for word, step in zip(words, steps, strict=True))


def test_commands_are_set_apart_and_nothing_else() -> None:
    page = as_html(
        dataclasses.replace(
            run_view(), notes=("begin with `orchestrate sweep --help`, then <b>`rm`", "a ` alone")
        )
    )
    assert "begin with <code>orchestrate sweep --help</code>, then &lt;b&gt;<code>rm</code></p>" in page
    assert "a ` alone</p>" in page


def test_names_from_a_guest_stay_text() -> None:
    view = dataclasses.replace(run_view(), jobs=(job("<script>alert(1)</script>", JobState.QUEUED),))
    page = Words(as_html(view))
    assert "script" not in page.tags


def test_the_json_document_has_every_vm(tmp_path: Path) -> None:
    page = write(run_view(), tmp_path / "new")
    assert page.read_text(encoding="utf-8") == as_html(run_view())
    document = json.loads((page.parent / "report.json").read_text(encoding="utf-8"))
    assert document == json.loads(as_json(run_view()))
    assert document["version"] == 1
    assert document["counts"]["failed"] == 1
    assert [vm["vm"] for vm in document["run"]["jobs"]] == ["web", "db", "odd", "mail", "later", "win"]
    assert sorted(path.name for path in page.parent.iterdir()) == ["report.html", "report.json"]
