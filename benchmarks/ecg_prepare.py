"""ECG preparation beside a plain version of the same method with SciPy's general sparse solver.

    python benchmarks/ecg_prepare.py [--records 8] [--rate 500]

Both versions prepare the same invented 12-lead, 10 s records in this one run, alternating, on one thread; the quickest
run of each counts, because other work on the machine only ever adds time. Passes when preparation as served is at least
30 times faster and the two agree within 1e-6 in float64.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import TypeVar

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import scipy.signal
import scipy.sparse
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from scipy.sparse.linalg import spsolve

from inputs.ecg.prepare import (
    compile_solver,
    normalise_signal,
    prepare_ecg,
    resample_signal,
)
from inputs.records import STANDARD_LEADS, EcgRecording
from inputs.specs import EcgSpec

Result = TypeVar("Result")

WANTED_RATIO = 30.0
WANTED_DIFFERENCE = 1e-6


def plain_baseline(y_N: NDArray[np.float64], spec: EcgSpec) -> NDArray[np.float64]:
    samples = len(y_N)
    differences = scipy.sparse.diags_array([1.0, -2.0, 1.0], offsets=[0, -1, -2], shape=(samples, samples - 2))
    penalty = spec.baseline_lambda * (differences @ differences.T)
    weights = np.ones(samples)
    for _ in range(spec.baseline_iterations):
        system = scipy.sparse.csc_array(scipy.sparse.diags_array(weights) + penalty)
        baseline: NDArray[np.float64] = spsolve(system, weights * y_N)
        weights = spec.baseline_p * (y_N > baseline) + (1 - spec.baseline_p) * (y_N < baseline)
    return baseline


def plain_prepare(signal_LN: NDArray[np.float64], rate_hz: float, spec: EcgSpec) -> NDArray[np.float64]:
    samples = int(signal_LN.shape[1] * spec.rate_hz / rate_hz)
    signal_LN = np.stack([scipy.signal.resample(lead, samples) for lead in signal_LN])
    limit = spec.clip_sd * signal_LN.std()
    signal_LN = np.clip(signal_LN, -limit, limit)
    signal_LN = signal_LN - np.stack([plain_baseline(lead, spec) for lead in signal_LN])
    for first, last in spec.normalisation_groups:
        group = signal_LN[first:last]
        signal_LN[first:last] = (group - group.mean()) / np.sqrt(group.var() + spec.variance_floor)
    return signal_LN


def invented_record(seed: int, rate_hz: float) -> NDArray[np.float64]:
    """(12, 10 s) mV: beats, drift and noise."""
    random = np.random.default_rng(seed)
    time_s = np.arange(int(10 * rate_hz)) / rate_hz
    beats = np.exp(-0.5 * (((time_s % 0.85) - 0.4) / 0.012) ** 2)
    drift = np.sin(2 * np.pi * random.uniform(0.05, 0.4, (12, 1)) * time_s + random.uniform(0, 6, (12, 1)))
    noise = 0.02 * random.standard_normal((12, len(time_s)))
    return random.uniform(-1.5, 1.5, (12, 1)) * beats + 0.3 * drift + noise


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--records", type=int, default=8)
    parser.add_argument("--rate", type=float, default=500.0, help="sampling rate of the records in Hz")
    options = parser.parse_args()
    spec, rate_hz = EcgSpec(), options.rate
    compile_solver()

    def served(signal_LN: NDArray[np.float64]) -> None:
        prepare_ecg(EcgRecording(signal_LN.astype(np.float32), rate_hz, STANDARD_LEADS, "invented"), spec)

    def ours(signal_LN: NDArray[np.float64]) -> NDArray[np.floating]:
        return normalise_signal(resample_signal(signal_LN, rate_hz, spec.rate_hz), spec)

    seconds: dict[str, list[float]] = {"plain": [], "float64": [], "served": []}
    difference = 0.0
    for seed in range(options.records):
        record_LN = invented_record(seed, rate_hz)
        expected = timed(seconds["plain"], partial(plain_prepare, record_LN, rate_hz, spec))
        for _ in range(10):
            found = timed(seconds["float64"], partial(ours, record_LN))
            timed(seconds["served"], partial(served, record_LN))
        difference = max(difference, float(np.abs(expected - found).max()))

    best_ms = {name: 1e3 * min(values) for name, values in seconds.items()}
    ratio = best_ms["plain"] / best_ms["served"]
    table = Table(title=f"Preparing 12 x {int(10 * rate_hz)} samples at {rate_hz:g} Hz, one thread, {machine()}")
    for heading in ("version", "best ms", "median ms", "times faster"):
        table.add_column(heading, justify="left" if heading == "version" else "right")
    labels = {
        "plain": "scipy.sparse.linalg.spsolve, float64",
        "float64": "this project, float64, without checks",
        "served": "this project as served (checks, float32)",
    }
    for name, label in labels.items():
        median_ms = 1e3 * float(np.median(seconds[name]))
        table.add_row(label, f"{best_ms[name]:.2f}", f"{median_ms:.2f}", f"{best_ms['plain'] / best_ms[name]:.1f}")
    console = Console()
    console.print(table)
    console.print(f"largest difference in float64: {difference:.1e} (wanted: at most {WANTED_DIFFERENCE:.0e})")
    console.print(f"ratio: {ratio:.1f} (wanted: at least {WANTED_RATIO:.0f})")
    return 0 if ratio >= WANTED_RATIO and difference <= WANTED_DIFFERENCE else 1


def timed(seconds: list[float], call: Callable[[], Result]) -> Result:
    start = time.perf_counter()
    result = call()
    seconds.append(time.perf_counter() - start)
    return result


def machine() -> str:
    with open("/proc/cpuinfo") as file:
        names = [line.split(":", 1)[1].strip() for line in file if line.startswith("model name")]
    return f"{names[0] if names else platform.machine()}, {os.cpu_count()} cores"


if __name__ == "__main__":
    sys.exit(main())
