"""Resident memory of the running service: after start and after many queries, with its reading child beside it.

    python -m benchmarks.memory [--studies 100000] [--requests 200] [--bundle bundles/demo]

Two servers, one after the other: the demo bundle (random weights of its size where it is not there) with a small
index, and models of the paper's size with many studies. The bars: 900 MB and 1,500 MB on a CPU.
"""

from __future__ import annotations

import argparse
import os
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import httpx
from pydicom.data import get_testdata_file
from rich.console import Console
from rich.table import Table

from benchmarks.random_bundle import write_random_bundle, write_random_generation
from cli.ready import wait_until_ready
from models.architecture import demo, paper
from models.bundle import Bundle

DEMO_BAR_MB, PAPER_BAR_MB = 900, 1500
DEMO_STUDIES = 250
READY_TIMEOUT_S = 600.0


def main() -> int:
    options = _parse()
    ecg = Path(str(get_testdata_file("waveform_ecg.dcm", download=False))).read_bytes()
    table = Table("Setup", "Server at start", "Server after queries", "Highest", "Reading child", "Bar", "Held")
    held = True
    with tempfile.TemporaryDirectory(prefix="memory-") as name:
        folder = Path(name)
        demo_dir = options.bundle if options.bundle.exists() else folder / "demo"
        demo_bundle = (
            Bundle.load(demo_dir, device="cpu", parts=("ecg",))
            if demo_dir.exists()
            else write_random_bundle(demo_dir, demo())
        )
        setups = [
            (f"demo size, {DEMO_STUDIES} studies", demo_dir, demo_bundle, DEMO_STUDIES, DEMO_BAR_MB),
            (
                f"paper size, {options.studies} studies",
                folder / "paper",
                write_random_bundle(folder / "paper", paper()),
                options.studies,
                PAPER_BAR_MB,
            ),
        ]
        for title, bundle_dir, bundle, studies, bar_mb in setups:
            index_dir = folder / f"index-{studies}"
            write_random_generation(index_dir, bundle, studies)
            at_start, after, peak, child = _measure(bundle_dir, index_dir, ecg, options.requests)
            held &= peak < bar_mb
            row = [f"{megabytes:.0f} MB" for megabytes in (at_start, after, peak, child, bar_mb)]
            table.add_row(title, *row, "yes" if peak < bar_mb else "NO")
    Console(width=140).print(table)
    return 0 if held else 1


def _measure(bundle_dir: Path, index_dir: Path, ecg: bytes, requests: int) -> tuple[float, float, float, float]:
    """MB of the server at start, after the queries and at its highest, and of its children together."""
    port = _free_port()
    serve = "from app.main import serve; from app.settings import Settings; serve(Settings())"
    settings = {
        "ECHO2ECG_BUNDLE_DIR": str(bundle_dir),
        "ECHO2ECG_INDEX_DIR": str(index_dir),
        "ECHO2ECG_PORT": str(port),
        "ECHO2ECG_DEVICE": "cpu",
        "ECHO2ECG_LOG_LEVEL": "error",
    }
    process = subprocess.Popen([sys.executable, "-c", serve], env=os.environ | settings)
    try:
        url = f"http://127.0.0.1:{port}"
        wait_until_ready(url, timeout_s=READY_TIMEOUT_S, process=process)
        at_start = _status_mb(process.pid, "VmRSS")
        with httpx.Client(timeout=120) as client:
            for _ in range(requests):
                client.post(f"{url}/v1/search", files={"files": ecg}, params={"k": 100}).raise_for_status()
            client.post(f"{url}/v1/search", files={"files": ecg}, params={"exclude_patient": "patient-1"})
        threads = Path(f"/proc/{process.pid}/task").iterdir()
        children = {pid for thread in threads for pid in (thread / "children").read_text().split()}
        child = sum(_status_mb(int(pid), "VmRSS") for pid in children)
        return at_start, _status_mb(process.pid, "VmRSS"), _status_mb(process.pid, "VmHWM"), child
    finally:
        process.terminate()
        process.wait(60)


def _status_mb(pid: int, name: str) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(f"{name}:"))


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=100_000)
    parser.add_argument("--requests", type=int, default=200)
    parser.add_argument("--bundle", type=Path, default=Path("bundles/demo"))
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
