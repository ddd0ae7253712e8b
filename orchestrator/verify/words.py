"""A verification in words, for a terminal and a report. Pure."""

from __future__ import annotations

from orchestrator.verify.verdict import Verification


def lines(found: Verification) -> list[str]:
    """A verdict for people, a line a service, and what a failed one logged."""
    told = [found.sentence()] if found.services or found.error else []
    for service in found.services:
        ports = [f"{port.number}/{port.protocol} {port.outcome}: {port.said}" for port in service.ports]
        why = [service.reason] if service.reason else []
        told.append(f"  {service.service} {service.outcome}" + "".join(f"; {one}" for one in (*why, *ports)))
        told += [f"    {line}" for line in service.lines]
    if found.also:
        told.append(f"  not in any configuration, and listening: {', '.join(found.also)}")
    told += observed_lines(found)
    return told


def observed_lines(found: Verification) -> list[str]:
    """What services opened when they were alone, where that is not what is known of them."""
    told = []
    for one in found.observed:
        if one.ended is not None:
            told.append(f"{one.service}, started alone, ended with status {one.ended}")
        elif one.unknown or one.missing:
            more = (
                [f"opened {', '.join(one.unknown)}, of which no configuration tells"] if one.unknown else []
            )
            less = [f"did not open {', '.join(one.missing)}"] if one.missing else []
            told.append(f"{one.service}, started alone, {' and '.join([*more, *less])}")
        else:
            told.append(
                f"{one.service}, started alone, opened what is known: {', '.join(one.sockets) or 'none'}"
            )
    return told
