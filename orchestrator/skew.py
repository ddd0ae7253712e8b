"""Whether two clocks agree."""

from __future__ import annotations

from orchestrator.vsphere.values import CheckResult

SKEW_SECONDS = 60.0
"""Certificates, tokens and the age of snapshots bear that much."""


def clock(name: str, skew: float, whose: str, than: str) -> CheckResult:
    """A line that says how far ``whose`` is ahead of ``than``; apart, they are a warning."""
    if abs(skew) <= SKEW_SECONDS:
        return CheckResult(name, True, f"{whose} is within {SKEW_SECONDS:g} s of {than}")
    return CheckResult(
        name,
        False,
        f"{whose} is {skew:+.0f} s from {than}",
        "let both take their time from NTP: the validity of certificates and tokens, and the age of"
        " snapshots, are told by these clocks",
        blocks=False,
    )
