"""Settings as the values that other parts want."""

from __future__ import annotations

import pytest

from orchestrator.ledger import Timing
from orchestrator.settings import Settings
from orchestrator.wiring import publishing_access, registry_access


@pytest.mark.parametrize(("patience", "expected"), [(20.0, 20.0), (3600.0, Timing().silent / 2)])
def test_a_manifest_is_not_tried_for_longer_than_a_run_is_certain_of_its_vms(
    patience: float, expected: float
) -> None:
    settings = Settings(registry_patience=patience)
    assert publishing_access(settings).patience == expected
    assert registry_access(settings).patience == patience
