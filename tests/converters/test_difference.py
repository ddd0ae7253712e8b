"""What differs from the machine is said: what is left out and why, and what needs a person."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from converters.difference import Topic, differences, markdown
from converters.guest.facts import Inspection, UnmountedVolume, UnreadMount
from converters.guest.secrets.values import HeldFile, Secret, SecretKind
from converters.image.removals import Removal
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


def test_a_secret_that_was_moved_out_needs_nobody() -> None:
    secret = Secret(SecretKind.PRIVATE_KEY, "/etc/ssl/private/a.key")
    guest = replace(GUEST, secrets=(secret,))
    plan = replace(planned(guest), held=(HeldFile("a", secret.path, 0, 0, 0o600),))
    topics = [one.topic for one in differences(Inspection(guest, ()), plan, ()) if one.subject == secret.path]
    assert topics == [Topic.DIFFERENT]


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
