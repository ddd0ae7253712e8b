"""A look at a guest: release, architecture, services and the rest, from a few of its files."""

from __future__ import annotations

from dataclasses import replace

from converters.errors import NoLinuxError
from converters.filesystems.base import Filesystem
from converters.guest.accounts import Accounts
from converters.guest.architecture import read_architecture
from converters.guest.containers.find import existing_containers
from converters.guest.directories import merged, tmpfiles_directories
from converters.guest.facts import GuestFacts, Job, Release, Service
from converters.guest.files import GuestFiles, printable
from converters.guest.identity import (
    detect_init,
    read_hostname,
    read_login_environment,
    read_manager_environment,
    read_timezone,
)
from converters.guest.jobs import scheduled_jobs
from converters.guest.jobs.timers import timer_jobs
from converters.guest.kernel.facts import read_kernel_facts
from converters.guest.packages.find import read_packages
from converters.guest.privilege.find import Finder
from converters.guest.release import read_release
from converters.guest.resolution import read_hosts, read_search_domains
from converters.guest.secrets.find import find_secrets
from converters.guest.secrets.host_keys import with_host_keys
from converters.guest.services import Started, find_services

_UNKNOWN = Release(id="linux", version="", name="Linux", family="", source="")


def inspect(fs: Filesystem) -> GuestFacts:
    """What the files of a guest tell about it; what cannot be read or is missing ends up in ``notes``.

    A guest may lack its release file, an init or a known program: an appliance, or a system of containers, is
    still worth an image. Only a tree with neither /etc nor /usr is no Linux system.

    Raises:
        NoLinuxError: the tree is no root file system of a Linux system.
    """
    files = GuestFiles(fs)
    if not files.is_directory("/etc") and not files.is_directory("/usr"):
        raise NoLinuxError(
            "the file system has neither /etc nor /usr, so it is not the root of a Linux system",
            "if another volume is, say which: `orchestrate convert DISK… --root DISK:PARTITION`",
        )
    release = read_release(files)
    if release is None:
        files.note("No file says which distribution this is.")
    hostname = read_hostname(files)
    accounts = Accounts(files)
    init = detect_init(files)
    architecture = read_architecture(files)
    started = find_services(init, files, accounts, hostname, read_manager_environment(files))
    services = _with_needs(files, accounts, started)
    return GuestFacts(
        release=release or _UNKNOWN,
        architecture=architecture,
        hostname=printable(hostname),
        init=init,
        services=services,
        jobs=_jobs(files, init, started),
        environment=tuple(read_login_environment(files).items()),
        timezone=printable(read_timezone(files)),
        kernel=read_kernel_facts(files, architecture),
        containers=existing_containers(files, accounts),
        packages=read_packages(files, started.services),
        directories=merged([*tmpfiles_directories(files, accounts), *started.directories]),
        hosts=read_hosts(files),
        search_domains=read_search_domains(files),
        secrets=find_secrets(files, accounts, services),
        notes=files.notes,
    )


def _with_needs(files: GuestFiles, accounts: Accounts, started: Started) -> tuple[Service, ...]:
    """The services, each with what it needs of the kernel and the host."""
    finder = Finder(files, accounts)
    units = started.boot.units if started.boot is not None else {}
    return tuple(
        replace(service, needs=finder.needs(service, unit.settings if unit is not None else None))
        for found in started.services
        for service in (with_host_keys(found, files),)
        for unit in (units.get(f"{service.name}.service"),)
    )


def _jobs(files: GuestFiles, init: str, started: Started) -> tuple[Job, ...]:
    """What runs by the clock, whoever starts it."""
    jobs = scheduled_jobs(files, init)
    if started.boot is None:
        return jobs
    return (*jobs, *timer_jobs(started.boot.units, started.boot.tree, started.boot.executions))
