"""The demo: simulate, index, serve, ask with a real ECG, print the answer.

The cohort is simulated with a seed no training cohort has. A second run reuses the cohort and the index.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from cli.console import err, out, progress
from cli.query import ask, print_answer

DEMO_BUNDLE = Path(__file__).resolve().parent.parent / "bundles" / "demo"
DEMO_SEED = 20_260_308
DEMO_PATIENTS = 130
"""About 1.8 studies per patient: a little over 200 studies."""
READY_TIMEOUT_S = 120.0
REAL_ECG = "waveform_ecg.dcm"
"""A real, anonymous 12-lead ECG (1000 Hz, DICOM) that pydicom ships with its test files."""


class DemoFailed(Exception):
    """The demo cannot go on; one sentence says why."""


def run_demo(folder: Path, *, port: int, keep_serving: bool) -> None:
    """Everything `make demo` does, in order. Ends the server on interrupt, or at once with `--exit`."""
    cohort, index = folder / "cohort", folder / "index"
    _make_cohort(cohort)
    _make_index(cohort, index)
    ecg = _real_ecg()
    with _server(index, cohort, _free_port(port), log=folder / "server.log") as url:
        out.print(f"Asking with a real ECG: {ecg.name}, from pydicom's test files.", markup=False)
        print_answer(ask(url, [ecg], {"k": 10}))
        out.print("The studies above are simulated; the ECG is real. Nothing here is medical advice.")
        if not keep_serving:
            return
        out.print(f"\nThe service runs at [bold]{url}[/bold] until you press Ctrl-C.")
        _wait_for_interrupt()


def _make_cohort(cohort: Path) -> None:
    from simulator.cohort import is_complete, simulate_cohort

    if is_complete(cohort, patients=DEMO_PATIENTS, seed=DEMO_SEED):
        out.print(f"Cohort: reusing {cohort}", markup=False)
        return
    with progress("Simulating patients") as report:
        simulate_cohort(cohort, patients=DEMO_PATIENTS, seed=DEMO_SEED, workers=os.cpu_count() or 1, progress=report)


def _make_index(cohort: Path, index: Path) -> None:
    from index.rebuild import is_current, rebuild_index

    if is_current(DEMO_BUNDLE, cohort, index):
        out.print(f"Index: reusing {index}", markup=False)
        return
    with progress("Embedding studies") as report:
        result = rebuild_index(DEMO_BUNDLE, cohort, index, workers=os.cpu_count() or 1, progress=report)
    out.print(f"Index: {result.studies} simulated studies, {result.views} views, in {result.seconds:.0f} s.")


def _real_ecg() -> Path:
    from pydicom.data import get_testdata_file

    found = get_testdata_file(REAL_ECG, download=False)
    if found is None:
        raise DemoFailed(f"pydicom's test file {REAL_ECG} is missing: reinstall pydicom.")
    return Path(str(found))


def _free_port(wanted: int) -> int:
    for port in range(wanted, wanted + 100):
        with socket.socket() as probe:
            # As the server itself does: a port whose last connections are still closing is free.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise DemoFailed(f"No free port between {wanted} and {wanted + 99}.")


@contextmanager
def _server(index: Path, cohort: Path, port: int, *, log: Path) -> Iterator[str]:
    """The service as its own process, yielded when it is ready."""
    command = [sys.executable, "-m", "cli.main", "serve", "--bundle", str(DEMO_BUNDLE), "--index", str(index)]
    command += ["--host", "127.0.0.1", "--port", str(port), "--cohort", f"demo={cohort}"]
    url = f"http://127.0.0.1:{port}"
    with log.open("wb") as log_file:
        process = subprocess.Popen(command, stdout=log_file, stderr=subprocess.STDOUT)  # noqa: S603
    try:
        _wait_until_ready(url, process, log)
        yield url
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            process.kill()


def _wait_until_ready(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + READY_TIMEOUT_S
    while time.monotonic() < end:
        if process.poll() is not None:
            raise DemoFailed(f"The service ended before it was ready; {log} says why.")
        try:
            if httpx.get(f"{url}/readyz", timeout=2.0).status_code == httpx.codes.OK:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.2)
    raise DemoFailed(f"The service was not ready after {READY_TIMEOUT_S:.0f} s; {log} says why.")


def _wait_for_interrupt() -> None:
    try:
        signal.pause()
    except KeyboardInterrupt:
        err.print("Stopping.")
