"""The reading process is started for each guest: what it imports is what its start costs."""

from __future__ import annotations

import json
import subprocess
import sys

_FOREIGN = {"pydantic", "pydantic_core", "jinja2", "ruamel", "httpx", "rich", "click", "distributed"}
"""Of the converter and the command line; none is wanted where a hostile disk is read."""
_PLANNING = ("converters.planfile", "converters.request", "converters.pipeline", "converters.manifests")


def test_the_reading_process_imports_only_what_reading_takes() -> None:
    code = "import converters.reader.child, json, sys; print(json.dumps(sorted(sys.modules)))"
    said = subprocess.run([sys.executable, "-I", "-c", code], check=True, stdout=subprocess.PIPE).stdout
    modules: list[str] = json.loads(said)
    assert "converters.reader.child" in modules
    assert not _FOREIGN & {module.partition(".")[0] for module in modules}
    assert not [module for module in modules if module.startswith(_PLANNING)]
