"""Children that end with whoever started them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
REBUILD = """
import runpy, sys, time
import models.device
models.device.Machine.named = lambda *_, **__: (print("begun", flush=True), time.sleep(60))
sys.argv[1:] = ["--bundle", "b", "--cohort", "c", "--index", "i"]
runpy.run_module("index.rebuild", run_name="__main__")
"""


def test_a_rebuild_ends_with_the_service_that_reads_what_it_says():
    """Killed, that could not tell it."""
    with subprocess.Popen([sys.executable, "-c", REBUILD], stdout=subprocess.PIPE, cwd=ROOT) as rebuild:
        try:
            assert rebuild.stdout.readline() == b"begun\n"
            rebuild.stdout.close()
            assert rebuild.wait(10) == 1
        finally:
            rebuild.kill()
