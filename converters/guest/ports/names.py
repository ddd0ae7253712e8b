"""Ports by their names (services(5))."""

from __future__ import annotations

from collections.abc import Mapping

from converters.guest.files import GuestFiles

_KNOWN: Mapping[str, int] = {
    "smtp": 25,
    "lmtp": 24,
    "pop3": 110,
    "imap": 143,
    "imap2": 143,
    "smtps": 465,
    "submissions": 465,
    "ssmtp": 465,
    "urd": 465,
    "submission": 587,
    "msa": 587,
    "imaps": 993,
    "pop3s": 995,
    "sieve": 4190,
}
"""What services(5) has for mail, for guests without the file."""


def service_number(files: GuestFiles, name: str, protocol: str = "tcp") -> int:
    """A port by its number, or by its name as the guest's services(5) has it; 0 for an unknown name."""
    if name.isdecimal():
        return int(name)
    for line in (files.text("/etc/services") or "").splitlines():
        fields = line.partition("#")[0].split()
        if len(fields) >= 2 and name in (fields[0], *fields[2:]) and fields[1].endswith(f"/{protocol}"):
            return int(fields[1].partition("/")[0])
    return _KNOWN.get(name, 0)
