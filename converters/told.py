"""What the guest's age and the hosts' kernel mean for its containers: added to a plan once both are known."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

from converters.guest.facts import GuestFacts
from converters.guest.kernel.values import Finding, Grade, KernelVerdict, TargetKernel
from converters.guest.kernel.verdict import judge
from converters.guest.support import end_of_life_note
from converters.plan import ImagePlan

_MOST_TOLD = 12
"""Findings told one by one; hosts with hundreds of kernel parameters are not rare."""


def with_verdict(plan: ImagePlan, guest: GuestFacts, target: TargetKernel, today: date) -> ImagePlan:
    """The plan with the kernel's verdict and its sentences, and one on a release that nobody mends."""
    verdict = judge(guest, target)
    notes = (*filter(None, (end_of_life_note(guest.release, today),)), *_sentences(verdict))
    return replace(plan, kernel=verdict, notes=(*plan.notes, *notes))


def _sentences(verdict: KernelVerdict) -> tuple[str, ...]:
    told, rest = verdict.findings[:_MOST_TOLD], verdict.findings[_MOST_TOLD:]
    sentences = [finding.sentence() for finding in told]
    if rest:
        sentences.append(f"Kernel: {len(rest)} more, no worse, as {_subjects(rest)}.")
    if verdict.grade in (Grade.HOST, Grade.FAILS):
        sentences.append(f"Kernel judged for: {_in_words(verdict.target)}.")
    return tuple(sentences)


def _subjects(findings: tuple[Finding, ...]) -> str:
    return ", ".join(finding.subject for finding in findings[:3])


def _in_words(target: TargetKernel) -> str:
    known = f", vsyscall={target.vsyscall}" if target.vsyscall else ""
    return (
        f"Linux {target.release} on {target.machine}{known} ({target.source}; --target-kernel names another)"
    )
