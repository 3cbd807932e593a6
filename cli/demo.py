"""The demo: simulate, index, serve, ask with a real ECG, print the answer.

The cohort is simulated with a seed no training cohort has. A second run reuses the cohort and the index.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.text import Text

from cli.console import err, out, progress
from cli.query import ask, print_answer
from cli.ready import NotReady, wait_until_ready
from ground.errors import Refusal

DEMO_BUNDLE = Path(__file__).resolve().parent.parent / "bundles" / "demo"
DEMO_SEED = 20_260_308
DEMO_PATIENTS = 48
"""About 1.8 studies per patient: over 80 studies, which are as many as two cores simulate and embed in a minute."""
READY_TIMEOUT_S = 120.0
REAL_ECG = "waveform_ecg.dcm"
"""A real, anonymous 12-lead ECG (1000 Hz, DICOM) that pydicom ships with its test files."""


class DemoFailed(Refusal):
    """The demo cannot go on; one sentence says why."""


def run_demo(folder: Path, *, port: int, keep_serving: bool) -> None:
    """Everything `make demo` does, in order. Ends the server on interrupt or SIGTERM, or at once with `--exit`."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # unwinds, so that the server is not left behind
    with _demo_service(folder, _free_port(port), device="auto") as url:
        ecg = _real_ecg()
        out.print(f"Asking with a real ECG: {ecg.name}, from pydicom's test files.")
        print_answer(ask(url, [ecg], {"k": 10}))
        out.print("The ECG above is real; the studies, their patients and the training data are simulated.")
        if not keep_serving:
            return
        out.print()
        out.print(Text.assemble("The service runs at ", (url, "bold"), " until you press Ctrl-C."))
        _wait_for_interrupt()


def answer_real_ecg(folder: Path, *, device: str) -> dict[str, Any]:
    """The demo's answer on a chosen device, for checks."""
    with _demo_service(folder, _free_port(8000), device=device) as url:
        return ask(url, [_real_ecg()], {"k": 10})


@contextmanager
def _demo_service(folder: Path, port: int, *, device: str) -> Iterator[str]:
    """The address of a service over the demo's cohort and index, both made when they are not there."""
    cohort, index = folder / "cohort", folder / "index"
    folder.mkdir(parents=True, exist_ok=True)
    made_now = _make_cohort(cohort)
    _make_index(cohort, index, device=device, cohort_changed=made_now)
    with _server(index, cohort, port, device=device, log=folder / "server.log") as url:
        yield url


def _make_cohort(cohort: Path) -> bool:
    """Whether it had to be simulated now."""
    from simulator.cohort import SIMULATOR_VERSION, find_simulation, simulate_cohort

    there = find_simulation(cohort)
    if there and (there.patients, there.seed, there.simulator_version) == (DEMO_PATIENTS, DEMO_SEED, SIMULATOR_VERSION):
        out.print(f"Cohort: reusing {cohort} ({there.studies} simulated studies)")
        return False
    with progress("Simulating patients") as report:
        simulate_cohort(
            cohort,
            patients=DEMO_PATIENTS,
            seed=DEMO_SEED,
            workers=os.cpu_count() or 1,
            replace=there is not None and there.seed == DEMO_SEED,  # an earlier demo's, never somebody's own
            progress=report,
        )
    return True


def _make_index(cohort: Path, index: Path, *, device: str, cohort_changed: bool) -> None:
    from index.rebuild import is_current, rebuild_index
    from models.device import Machine

    if not cohort_changed and is_current(DEMO_BUNDLE, cohort, index):
        out.print(f"Index: reusing {index}")
        return
    with progress("Embedding studies") as report:
        machine = Machine.named(device, workers=os.cpu_count() or 1, progress=report)
        result = rebuild_index(DEMO_BUNDLE, cohort, index, machine)
    out.print(f"Index: {result.studies} simulated studies, {result.views} views, in {result.seconds:.0f} s.")


def _real_ecg() -> Path:
    from pydicom.data import get_testdata_file

    found = get_testdata_file(REAL_ECG, download=False)
    if found is None:
        raise DemoFailed("sample_missing", f"pydicom's test file {REAL_ECG} is missing: reinstall pydicom.")
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
    raise DemoFailed("no_port", f"No free port between {wanted} and {wanted + 99}.")


@contextmanager
def _server(index: Path, cohort: Path, port: int, *, device: str, log: Path) -> Iterator[str]:
    """The service as its own process, yielded when it is ready."""
    command = [sys.executable, "-m", "cli.main", "serve", "--bundle", str(DEMO_BUNDLE), "--index", str(index)]
    command += ["--host", "127.0.0.1", "--port", str(port), "--cohort", f"demo={cohort}"]
    command += ["--device", device]
    url = f"http://127.0.0.1:{port}"
    with log.open("wb") as log_file:
        process = subprocess.Popen(command, stdout=log_file, stderr=subprocess.STDOUT)  # noqa: S603
    try:
        wait_until_ready(url, timeout_s=READY_TIMEOUT_S, process=process)
        yield url
    except NotReady as error:
        raise DemoFailed("not_started", f"The service {error}; {log} says why.") from None
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            process.kill()


def _wait_for_interrupt() -> None:
    try:
        signal.pause()
    except KeyboardInterrupt:
        err.print("Stopping.")
