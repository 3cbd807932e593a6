"""What reading in a child process with limits adds to reading in one's own process.

    python benchmarks/guarded_read.py [--runs 40]

Both read the same made-up 12-lead, 10 s record of 500 Hz in this one run, alternating, as NPY, CSV and WFDB; medians
count. Passes when the median upload takes at most 15 ms longer.
"""

from __future__ import annotations

import argparse
import io
import platform
import statistics
import sys
import time
from collections.abc import Callable, Sequence

import numpy as np
import wfdb
from rich.console import Console
from rich.table import Table

from inputs.ecg.read import read_ecg
from inputs.guarded.reader import GuardedReader
from inputs.records import NO_HINTS, STANDARD_LEADS, ReadHints, UploadedFile

WANTED_MS = 15.0
RATE_HZ, SECONDS = 500, 10


def signal_mv() -> np.ndarray:
    """(12, 5000): beats of a made-up heart with some noise."""
    random = np.random.default_rng(1)
    time_s = np.arange(RATE_HZ * SECONDS) / RATE_HZ
    beat = np.exp(-0.5 * (((time_s % 0.8) - 0.4) / 0.012) ** 2)
    return np.outer(np.linspace(0.4, 1.6, 12), beat) + 0.02 * random.standard_normal((12, len(time_s)))


def uploads(signal: np.ndarray) -> dict[str, tuple[list[UploadedFile], ReadHints]]:
    npy = io.BytesIO()
    np.save(npy, signal.astype(np.float32))
    rows = "\n".join(",".join(f"{value:.4f}" for value in row) for row in signal.T)
    csv = f"{','.join(STANDARD_LEADS)}\n{rows}\n".encode()
    stated = ReadHints(rate_hz=float(RATE_HZ), unit="mV")
    return {
        "npy": ([UploadedFile("a.npy", npy.getvalue())], stated),
        "csv": ([UploadedFile("a.csv", csv)], stated),
        "wfdb": (_wfdb(signal), NO_HINTS),
    }


def _wfdb(signal: np.ndarray) -> list[UploadedFile]:
    import tempfile
    from pathlib import Path

    with tempfile.TemporaryDirectory() as folder:
        leads = list(STANDARD_LEADS)
        wfdb.wrsamp("a", RATE_HZ, ["mV"] * 12, leads, signal.T, fmt=["16"] * 12, write_dir=folder)
        return [UploadedFile(name, (Path(folder) / name).read_bytes()) for name in ("a.hea", "a.dat")]


def median_ms(reads: Sequence[Callable[[], object]], runs: int) -> list[float]:
    """Of each of `reads`, taken in turn."""
    took_ms: list[list[float]] = [[] for _ in reads]
    for _ in range(runs):
        for read, own in zip(reads, took_ms, strict=True):
            started = time.perf_counter()
            read()
            own.append(1000 * (time.perf_counter() - started))
    return [statistics.median(own) for own in took_ms]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=40)
    runs = parser.parse_args().runs
    table = Table(title=f"{platform.processor() or platform.machine()}, {runs} runs each, medians")
    for name in ("format", "own process, ms", "child, ms", "added, ms", "ratio"):
        table.add_column(name, justify="right")
    added = []
    with GuardedReader() as reader:
        reader.warm()
        for name, (files, hints) in uploads(signal_mv()).items():
            own, child = median_ms([lambda: read_ecg(files, hints), lambda: reader.read_ecg(files, hints)], runs)  # noqa: B023
            added.append(child - own)
            table.add_row(name, f"{own:.1f}", f"{child:.1f}", f"{child - own:.1f}", f"{child / own:.2f}")
    console = Console()
    console.print(table)
    passed = statistics.median(added) <= WANTED_MS
    console.print(f"Wanted: at most {WANTED_MS:g} ms added to the median upload. {'Passed' if passed else 'Missed'}.")
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
