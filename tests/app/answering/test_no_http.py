"""An ECG is answered without HTTP: nothing of it is even imported."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    "module", ["app.answering.pipeline", "app.answering.answered", "app.service", "outputs.report"]
)
def test_no_web_framework_is_loaded_with_what_answers(module):
    code = f"import sys, {module}; print({{'fastapi', 'starlette', 'uvicorn'}} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
