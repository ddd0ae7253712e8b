"""What a registry's answers mean: its words, whether to come again and when, and what a person can do."""

from __future__ import annotations

import email.utils
import json
from collections.abc import Mapping

import httpx

TRANSIENT = {408, 429, 500, 502, 503, 504}
"""Statuses that may be another the next time."""
HINTS = {
    401: "check --registry-username and its password, or run `docker login` for this registry",
    403: "the user may not push here; give it the right to, or choose another --registry prefix",
    404: "the repository does not exist; create it, or choose another --registry prefix",
    405: "the registry takes no pushes; is it read-only or a mirror?",
    413: "the registry or a proxy before it limits the size of a request; raise that limit",
}
"""What to do about a refusal, by status."""


def describe(response: httpx.Response) -> str:
    """Status and the registry's own words (distribution-spec, "Error Codes")."""
    status = f"{response.status_code} {response.reason_phrase}"
    try:
        errors = json.loads(response.content)["errors"]
        said = "; ".join(_words(error) for error in errors)
    except (ValueError, KeyError, TypeError, AttributeError):
        said = response.text.strip()[:200]
    return f"{status}: {said}" if said else status


def _words(error: Mapping[str, object]) -> str:
    parts = [str(error[key]) for key in ("code", "message", "detail") if error.get(key)]
    return ": ".join(parts)[:300]


def retry_after(headers: Mapping[str, str]) -> float:
    """Seconds of a ``Retry-After`` header (RFC 9110, 10.2.3): a number, or a date.

    A date is compared with the answer's own: this machine's clock need not be right.
    """
    value = headers.get("Retry-After", "")
    if value.strip().isdigit():
        return float(value)
    try:
        until = email.utils.parsedate_to_datetime(value)
        now = email.utils.parsedate_to_datetime(headers.get("Date", ""))
    except ValueError:
        return 0.0
    return max(0.0, (until - now).total_seconds())
