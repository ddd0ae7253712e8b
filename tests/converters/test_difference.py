"""What differs from the machine is said: what is left out and why, and what needs a person."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from converters.difference import Topic, differences, markdown
from converters.guest.facts import GuestFacts, Inspection, UnmountedVolume, UnreadMount
from converters.guest.secrets.values import Secret, SecretKind
from converters.hardening import Hardening, Secrets
from converters.image.removals import Removal
from converters.plan import ImagePlan, MachineFacts, plan_image
from tests.converters.planfile.machines import APP, CRON, GUEST, by_rules, planned

NASTY = "x\n# <b>[a](b)</b> *c* `d` |"
REMOVALS = (Removal("tmp", "temporary files", 3, 1234, tuple(f"tmp/{number}" for number in range(9))),)


def _found(guest: object = GUEST) -> dict[Topic, list[tuple[str, str]]]:
    assert isinstance(guest, type(GUEST))
    inspection = Inspection(
        guest,
        (),
        notes=("A disk note.",),
        unread=(UnreadMount("/srv", "UUID=1"),),
        unmounted=(UnmountedVolume("disk 1 partition 1", "ext4", "2", "old", 5),),
    )
    by_topic: dict[Topic, list[tuple[str, str]]] = {}
    for one in differences(inspection, planned(guest), REMOVALS):
        by_topic.setdefault(one.topic, []).append((one.subject, one.text))
    return by_topic


def test_nothing_of_the_machine_is_dropped_without_a_word() -> None:
    found = _found()
    assert list(found) == [Topic.DECIDE, Topic.DIFFERENT, Topic.LEFT_OUT, Topic.KNOW]
    assert ("service cron", CRON.reason) in found[Topic.LEFT_OUT]
    left = dict(found[Topic.LEFT_OUT])
    assert left["disk 1 partition 1"] == "nothing mounts it at boot (ext4 old 2)"
    assert left["tmp"].startswith("temporary files: 3 entries, 1,234 bytes (tmp/0, ")
    assert left["tmp"].endswith("tmp/4 …)")
    different = [text for subject, text in found[Topic.DIFFERENT] if subject == "service app"]
    assert any("because it goes to the background" in text for text in different)
    assert "port 8000/tcp is reached only in its own network (/opt/app/conf)" in different
    assert "/var/lib/app is a volume (StateDirectory=)" in different
    decide = dict(found[Topic.DECIDE])
    assert "UUID=1 is on none of the disks" in decide["/srv"]
    assert decide["job backup.2"].endswith("it ran once at each boot")
    assert ("", "A disk note.") in found[Topic.KNOW]


def test_what_nobody_knows_how_to_start_and_secrets_need_a_person() -> None:
    unknown = replace(APP, command=(), specification=None, name="thing")
    secret = Secret(SecretKind.PRIVATE_KEY, "/etc/ssl/private/a.key")
    decide = dict(_found(replace(GUEST, services=(unknown,), secrets=(secret,)))[Topic.DECIDE])
    assert decide["service thing"] == "how it is started: no command is known"
    assert "private-key" in decide["/etc/ssl/private/a.key"]


def _extracted(path: str, guest: GuestFacts = GUEST) -> tuple[ImagePlan, list[tuple[Topic, str, str]]]:
    """The plan with a secret of that path moved out, and what is told of it and of jobs."""
    guest = replace(guest, secrets=(Secret(SecretKind.PRIVATE_KEY, path, size=9),))
    plan = plan_image(guest, MachineFacts("web"), hardening=Hardening(secrets=Secrets.EXTRACT))
    found = differences(Inspection(guest, ()), plan, ())
    return plan, [(one.topic, one.subject, one.text) for one in found if one.subject in (path, "jobs")]


def test_a_secret_that_a_service_gets_needs_nobody() -> None:
    path = "/etc/ssl/private/a.key"
    text = "a secret that its service's container gets from outside the image"
    assert _extracted(path)[1] == [(Topic.DIFFERENT, path, f"{text}, and no job's")]
    assert _extracted(path, replace(GUEST, jobs=()))[1] == [(Topic.DIFFERENT, path, text)]


def test_a_secret_that_only_jobs_may_need_needs_a_person() -> None:
    path = "/root/.aws/credentials"
    plan, (decide, different) = _extracted(path)
    topic, subject, text = decide
    assert (topic, subject) == (Topic.DECIDE, "jobs")
    assert text.startswith("By the clock ran backup, backup.2, and may need")
    assert f"no container gets: {path} (in the file {plan.held[0].name})" in text
    assert text in plan.notes
    assert different == (
        Topic.DIFFERENT,
        path,
        "a secret that was moved out of the image, and that no container gets",
    )


def test_without_jobs_a_secret_that_no_container_gets_needs_nobody() -> None:
    plan, found = _extracted("/root/.aws/credentials", replace(GUEST, jobs=()))
    assert [topic for topic, _, _ in found] == [Topic.DIFFERENT]
    assert not [note for note in plan.notes if "by the clock" in note.lower()]


def test_what_people_decided_is_told(tmp_path: Path) -> None:
    rules = "version: 1\nclassify: [{services: [app], role: platform, reason: not wanted}]\n"
    plan = planned(decisions=by_rules(tmp_path / "r.yaml", rules))
    told = [(one.topic, one.subject, one.text) for one in differences(Inspection(GUEST, ()), plan, ())]
    source = "entry 1 of `classify` in r.yaml"
    assert (Topic.DECIDED, "service app", f"gets no container: not wanted (by {source})") in told
    assert (Topic.LEFT_OUT, "service app", "not wanted") in told


def test_a_guests_texts_cannot_change_the_page() -> None:
    guest = replace(GUEST, services=(replace(CRON, name=NASTY, reason=NASTY),), notes=(NASTY,))
    plan = planned(guest)
    page = markdown(plan, differences(Inspection(guest, ()), plan, ()))
    headings = [line for line in page.splitlines() if line.startswith("#")]
    assert headings[0] == "# Web 01: what differs from the machine"
    assert set(headings[1:]) <= {f"## {topic}" for topic in Topic}
    assert "<b>" not in page
    assert "\\<b\\>\\[a\\](b)" in page
