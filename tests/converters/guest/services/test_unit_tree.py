"""Load paths, aliases, masks, templates and drop-ins."""

from __future__ import annotations

from pathlib import Path

import pytest

from converters.guest.services.unit_tree import UnitTree
from tests.converters.guest.conftest import Plant

ETC, LIB = "/etc/systemd/system", "/usr/lib/systemd/system"


def _unit(description: str) -> str:
    return f"[Unit]\nDescription={description}\n"


def _description(tree: UnitTree, name: str) -> str | None:
    unit = tree.load(name)
    return None if unit is None else unit.settings.last("Unit", "Description")


def test_etc_goes_before_lib(plant: Plant) -> None:
    tree = UnitTree(plant({f"{LIB}/a.service": _unit("lib"), f"{ETC}/a.service": _unit("etc")}))
    assert _description(tree, "a.service") == "etc"
    assert _description(tree, "b.service") is None
    assert not tree.exists("b.service")


def test_lib_without_a_merged_usr(plant: Plant) -> None:
    tree = UnitTree(plant({"/lib/systemd/system/a.service": _unit("lib"), f"{LIB}/b.service": _unit("usr")}))
    assert (_description(tree, "a.service"), _description(tree, "b.service")) == ("lib", "usr")


@pytest.mark.parametrize("mask", ["-> /dev/null", "-> ../../../dev/null", ""])
def test_masks(plant: Plant, mask: str) -> None:
    tree = UnitTree(plant({f"{LIB}/a.service": _unit("lib"), f"{ETC}/a.service": mask}))
    assert tree.load("a.service") is None
    assert tree.exists("a.service")


def test_aliases_have_the_units_own_name(plant: Plant) -> None:
    tree = UnitTree(
        plant(
            {
                f"{LIB}/ssh.service": _unit("ssh"),
                f"{ETC}/sshd.service": f"-> {LIB}/ssh.service",
                f"{ETC}/round.service": "-> trip.service",
                f"{ETC}/trip.service": "-> round.service",
                f"{ETC}/gone.service": "-> absent.service",
            }
        )
    )
    unit = tree.load("sshd.service")
    assert unit is not None
    assert unit.name.full == "ssh.service"
    assert unit.names == {"ssh.service", "sshd.service"}
    assert tree.load("round.service") is None
    assert tree.load("gone.service") is None


def test_an_alias_of_a_masked_unit_is_masked(plant: Plant) -> None:
    tree = UnitTree(
        plant(
            {
                f"{LIB}/ssh.service": _unit("ssh"),
                f"{LIB}/sshd.service": "-> ssh.service",
                f"{ETC}/ssh.service": "-> /dev/null",
            }
        )
    )
    assert tree.load("sshd.service") is None


def test_a_unit_kept_elsewhere(plant: Plant) -> None:
    tree = UnitTree(
        plant({"/opt/app/app.service": _unit("opt"), f"{ETC}/app.service": "-> /opt/app/app.service"})
    )
    unit = tree.load("app.service")
    assert unit is not None
    assert unit.settings.last("Unit", "Description") == "opt"
    assert unit.path == f"{ETC}/app.service"


def test_instances_of_templates(plant: Plant) -> None:
    tree = UnitTree(
        plant(
            {
                f"{LIB}/getty@.service": _unit("%I"),
                f"{LIB}/autovt@.service": "-> getty@.service",
                f"{ETC}/getty@tty2.service": _unit("own"),
            }
        )
    )
    unit = tree.load("getty@tty1.service")
    assert unit is not None
    assert (unit.name.full, unit.path) == ("getty@tty1.service", f"{LIB}/getty@.service")
    assert _description(tree, "getty@tty2.service") == "own"
    alias = tree.load("autovt@tty6.service")
    assert alias is not None
    assert alias.name.full == "getty@tty6.service"


def test_drop_ins_are_read_by_file_name(plant: Plant) -> None:
    tree = UnitTree(
        plant(
            {
                f"{LIB}/a-b@.service": _unit("unit") + "[Service]\nExecStart=/unit\n",
                f"{LIB}/service.d/10-all.conf": "[Unit]\nDescription=all\n",
                f"{LIB}/a-.service.d/20-prefix.conf": "[Unit]\nDescription=prefix\n",
                f"{LIB}/a-b@.service.d/30-template.conf": "[Service]\nExecStart=\nExecStart=/template\n",
                f"{ETC}/a-b@x.service.d/05-own.conf": "[Unit]\nDescription=own\n",
                f"{ETC}/a-b@x.service.d/note.txt": "[Unit]\nDescription=no drop-in\n",
            }
        )
    )
    unit = tree.load("a-b@x.service")
    assert unit is not None
    assert unit.settings.all("Unit", "Description") == ["unit", "own", "all", "prefix"]
    assert unit.settings.all("Service", "ExecStart") == ["/template"]


def test_of_drop_ins_of_one_name_the_first_counts(plant: Plant) -> None:
    tree = UnitTree(
        plant(
            {
                f"{LIB}/a.service": _unit("unit"),
                f"{LIB}/a.service.d/x.conf": "[Unit]\nDescription=lib\n",
                f"{ETC}/a.service.d/x.conf": "[Unit]\nDescription=etc\n",
                f"{LIB}/a.service.d/y.conf": "[Unit]\nDescription=masked\n",
                f"{ETC}/a.service.d/y.conf": "-> /dev/null",
            }
        )
    )
    assert _description(tree, "a.service") == "etc"


def test_wants_directories(plant: Plant) -> None:
    tree = UnitTree(
        plant(
            {
                f"{LIB}/m.target": _unit("m"),
                f"{LIB}/m.target.wants/a.service": "-> ../a.service",
                f"{LIB}/m.target.wants/b.service": "-> ../b.service",
                f"{ETC}/m.target.wants/b.service": "-> /dev/null",
                f"{ETC}/m.target.wants/g@tty1.service": f"-> {LIB}/g@.service",
                f"{LIB}/g@.service": _unit("g"),
                f"{LIB}/g@.service.wants/helper@.service": "-> ../helper@.service",
            }
        )
    )
    target, instance = tree.load("m.target"), tree.load("g@tty1.service")
    assert target is not None and instance is not None
    assert tree.linked(target, ".wants") == ["a.service", "g@tty1.service"]
    assert tree.linked(instance, ".wants") == ["helper@tty1.service"]


def test_a_target_without_a_file_pulls_its_directory(plant: Plant) -> None:
    tree = UnitTree(
        plant(
            {
                f"{ETC}/default.target": "-> /lib/systemd/system/multi-user.target",
                f"{ETC}/multi-user.target.wants/web.service": "-> ../web.service",
            }
        )
    )
    unit = tree.load("default.target")
    assert unit is not None
    assert unit.name.full == "multi-user.target"
    assert tree.linked(unit, ".wants") == ["web.service"]


def test_real_drop_ins_by_prefix(cases: Path, plant: Plant) -> None:
    source = cases / "UNIT-01/test/units"
    folders = (
        "unit-with-multiple-dashes.service.d/10-override.conf",
        "unit-with-.service.d/20-override.conf",
    )
    files = {f"{LIB}/{name}": (source / name).read_text() for name in folders}
    tree = UnitTree(plant({**files, f"{LIB}/unit-with-multiple-dashes.service": _unit("unit")}))
    unit = tree.load("unit-with-multiple-dashes.service")
    assert unit is not None
    assert unit.settings.last("Unit", "Description") == "override4"
    assert unit.settings.last("Unit", "Documentation") == "man:override1"
