"""A service as it runs, with the demo bundle and an index of random studies, for drills that do it harm."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import httpx
import numpy as np

from cli.demo import DEMO_BUNDLE
from inputs.records import STANDARD_LEADS

ROOT = Path(__file__).resolve().parents[2]
SERVE = "from app.main import serve; from app.settings import Settings; serve(Settings())"


def wfdb_files() -> list[tuple[str, tuple[str, bytes]]]:
    """An invented ECG as the parts of an upload."""
    time_s = np.arange(5000) / 500
    phase = (time_s % 0.8) - 0.35
    beat = np.exp(-0.5 * (phase / 0.01) ** 2) + 0.25 * np.exp(-0.5 * ((phase - 0.25) / 0.04) ** 2)
    gains = np.linspace(0.4, 1.2, 12)
    gains[2:6] = gains[1] - gains[0], -(gains[0] + gains[1]) / 2, gains[0] - gains[1] / 2, gains[1] - gains[0] / 2
    counts = np.round(1000 * gains[:, None] * beat).astype("<i2")
    lines = ["rec 12 500 5000", *(f"rec.dat 16 1000(0)/mV 16 0 0 0 0 {lead}" for lead in STANDARD_LEADS)]
    header = "\n".join(lines) + "\n"
    return [("files", ("rec.hea", header.encode())), ("files", ("rec.dat", counts.T.tobytes()))]


class RunningService:
    """A server process of its own. `environment` sets ECHO2ECG_* and TMPDIR."""

    def __init__(self, index: Path, log: Path, **environment: str) -> None:
        own = {name: value for name, value in os.environ.items() if not name.startswith("ECHO2ECG_")}
        paths = {"ECHO2ECG_BUNDLE_DIR": str(DEMO_BUNDLE), "ECHO2ECG_INDEX_DIR": str(index)}
        self.log = log
        with log.open("wb") as stderr:
            self.process = subprocess.Popen(
                [sys.executable, "-c", SERVE],
                env=own
                | paths
                | {"ECHO2ECG_PORT": "0", "ECHO2ECG_DEVICE": "cpu", "ECHO2ECG_READER_WORKERS": "1"}
                | environment,
                stdout=subprocess.DEVNULL,
                stderr=stderr,
                cwd=ROOT,
            )
        try:
            self.url = self._wait_until_ready()
        except BaseException:
            self.end()
            raise

    def _wait_until_ready(self) -> str:
        end = time.monotonic() + 90
        while time.monotonic() < end:
            assert self.process.poll() is None, self.log.read_text()
            events = [json.loads(line)["event"] for line in self.log.read_text().splitlines()]
            for url in (event.split()[3] for event in events if "Uvicorn running on" in event):
                if httpx.get(f"{url}/readyz").status_code == 200:
                    return url
            time.sleep(0.1)
        raise AssertionError(self.log.read_text())

    @property
    def pid(self) -> int:
        return self.process.pid

    def children(self) -> list[int]:
        """Its reading children."""
        found = []
        for task in Path(f"/proc/{self.pid}/task").iterdir():
            try:
                found += [int(pid) for pid in (task / "children").read_text().split()]
            except OSError:  # a thread that ended just now
                continue
        return found

    def descriptors(self) -> int:
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def ask(self, timeout_s: float = 60.0) -> tuple[int, float]:
        """An ordinary ECG: the status of its answer, and how long it took."""
        started = time.monotonic()
        status = httpx.post(f"{self.url}/v1/search", files=wfdb_files(), timeout=timeout_s).status_code
        return status, time.monotonic() - started

    def end(self) -> None:
        self.process.kill()
        self.process.wait()

    def __enter__(self) -> RunningService:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()
