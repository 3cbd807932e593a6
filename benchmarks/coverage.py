"""What a bundle says of fresh simulated patients beside what it promises: sets, LVEF intervals, and raised flags.

    python -m benchmarks.coverage [--bundle bundles/demo] [--patients 2000] [--seed 987001]

One ECG and one echo report of each patient, drawn from the simulator by a seed that no cohort has. Coverage is that of
the sets as they are served, with the answer given always in, so it may exceed what was promised. Its standard error
counts both who is measured here and who sized the sets: over calibrations of n patients coverage is
Beta(k, n + 1 - k), k = ceil((n + 1) coverage) (Vovk 2012); of one class by sets over all, only who is measured here.
What a bundle has not is left out. Simulated patients say nothing about real ones.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cohorts.labels import shd_label
from ground.findings import SHD_FLAGS
from inputs.ecg.prepare import ecg_windows, prepare_ecg
from inputs.records import STANDARD_LEADS, EcgRecording
from models.bundle import Bundle, EcgVerdict, PredictionSet
from models.labels import SHD_ANSWERS
from simulator.ecg.electrics import sample_electrics
from simulator.ecg.recorder import choose_recorder
from simulator.ecg.signal import simulate_ecg
from simulator.patient import sample_patient
from simulator.report import report_study
from training.evaluation.metrics import regression_report

BUNDLE = Path(__file__).resolve().parent.parent / "bundles" / "demo"
BATCH = 100


@dataclass(frozen=True)
class Asked:
    """One patient: what is said of the ECG, and the truth, None where the report lacks it."""

    verdict: EcgVerdict
    lvef_percent: float | None
    lvef_class: int | None
    shd: bool | None
    flags: Mapping[str, bool | None]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", type=Path, default=BUNDLE)
    parser.add_argument("--patients", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=987_001)
    options = parser.parse_args()
    bundle = Bundle.load(options.bundle, device="cpu", parts=("ecg",))
    asked = fresh_patients(bundle, options.patients, options.seed)
    print(f"{bundle.id}: {len(asked)} fresh simulated patients, seed {options.seed}")
    print_sets(asked, bundle)
    print_interval(asked)
    print_points(asked)
    print_flags(asked)


def fresh_patients(bundle: Bundle, count: int, seed: int) -> list[Asked]:
    """One ECG and one report, of the same moment, of each of so many new patients."""
    found: list[Asked] = []
    spec = bundle.manifest.ecg
    streams = np.random.SeedSequence(seed).spawn(count)
    for start in range(0, count, BATCH):
        windows, reports = [], []
        for stream in streams[start : start + BATCH]:
            rng = np.random.default_rng(stream)
            patient, electrics = sample_patient(rng), sample_electrics(rng)
            moment = patient.at(float(rng.uniform(30, 1000)))
            recorder = choose_recorder(patient.site, rng)
            signal = simulate_ecg(moment, electrics=electrics, recorder=recorder, rng=rng)
            recording = EcgRecording(signal, recorder.rate_hz, STANDARD_LEADS, "simulated")
            windows.append(ecg_windows(prepare_ecg(recording, spec).signal_LN, spec))
            reports.append(report_study(moment, rng))
        output = bundle.embed_ecgs(np.stack(windows))
        for row, report in enumerate(reports):
            flags = {name: as_flag(report[name]) for name in SHD_FLAGS}
            lvef = report["lvef_percent"]
            percent = None if lvef is None else float(lvef)
            lvef_class = None if percent is None else int(bundle.lvef.class_of([percent])[0])
            found.append(Asked(output.row(row), percent, lvef_class, shd_label(flags), flags))
    return found


def as_flag(reported: object) -> bool | None:
    return None if reported is None else bool(reported)


def print_sets(asked: Sequence[Asked], bundle: Bundle) -> None:
    """Coverage within each class and over all, and how large the sets are."""

    def lvef_class(one: Asked) -> int | None:
        return one.lvef_class

    def shd_class(one: Asked) -> int | None:
        return None if one.shd is None else int(one.shd)

    kinds: dict[str, Callable[[EcgVerdict], PredictionSet | None]] = {
        "LVEF, per class": lambda said: said.lvef.per_class_set if said.lvef else None,
        "LVEF, overall": lambda said: said.lvef.prediction_set if said.lvef else None,
        "SHD, per class": lambda said: said.shd.per_class_set if said.shd else None,
        "SHD, overall": lambda said: said.shd.prediction_set if said.shd else None,
    }
    print(f"\n{'sets':18}{'patients of class':20}{'n':>6}{'promised':>10}{'covered':>9}{'+-':>7}{'set size':>10}")
    for name, set_of in kinds.items():
        is_lvef = name.startswith("LVEF")
        labels, truth_of = (bundle.lvef.labels, lvef_class) if is_lvef else (SHD_ANSWERS, shd_class)
        rows = [(truth, said) for one in asked if (truth := truth_of(one)) is not None if (said := set_of(one.verdict))]
        if not rows:
            print(f"{name:18}this bundle has none")
            continue
        for number, label in [*enumerate(labels), (None, "all")]:
            of_class = [(truth, said) for truth, said in rows if number in (None, truth)]
            print_coverage(name, label, of_class, number)


def print_coverage(name: str, label: str, rows: Sequence[tuple[int, PredictionSet]], number: int | None) -> None:
    """One line; nothing is promised of a class by sets over all, nor of all by sets within classes."""
    if not rows:
        print(f"{name:18}{label:20}{0:>6}")
        return
    covered_N = np.array([truth in said.classes for truth, said in rows])
    size = np.mean([len(said.classes) for _, said in rows])
    said, promised = rows[0][1], False
    shares, sized_by = np.empty(0), list[int]()
    if not said.n_calibration_C and number is None:
        shares, sized_by, promised = np.ones(1), [said.n_calibration], True
    elif said.n_calibration_C:
        shares = np.bincount([truth for truth, _ in rows], minlength=len(said.n_calibration_C)) / len(rows)
        sized_by = [said.n_calibration if c in said.falls_back else n for c, n in enumerate(said.n_calibration_C)]
        promised = number is not None and number not in said.falls_back
    error = standard_error(covered_N, said.coverage, sized_by, shares)
    told = f"{said.coverage:.3f}" if promised else "-"
    print(f"{name:18}{label:20}{len(rows):>6}{told:>10}{covered_N.mean():>9.3f}{error:>7.3f}{size:>10.2f}")


def standard_error(
    covered_N: NDArray[np.bool_], coverage: float, sized_by: Sequence[int], shares: NDArray[np.float64]
) -> float:
    """Of a coverage: binomial for those measured, Beta for each group that sized sets, by its share of them."""
    p = covered_N.mean()
    variance = p * (1 - p) / len(covered_N)
    for share, n in zip(shares, sized_by, strict=True):
        k = math.ceil((n + 1) * coverage - 1e-9)
        variance += share**2 * k * (n + 1 - k) / ((n + 1) ** 2 * (n + 2))
    return float(np.sqrt(variance))


def print_interval(asked: Sequence[Asked]) -> None:
    """LVEF as a number: its error, and how often its interval holds the truth, by the bin that it is from."""
    print(f"\n{'LVEF as a number':38}{'n':>6}{'promised':>10}{'covered':>9}{'+-':>7}{'width':>10}")
    estimates = [
        (one.verdict.lvef.estimate, one.lvef_percent)
        for one in asked
        if one.verdict.lvef is not None and one.verdict.lvef.estimate is not None and one.lvef_percent is not None
    ]
    if not estimates:
        print("this bundle has none")
        return
    error_N = np.array([found.percent - truth for found, truth in estimates])
    rows = [
        (found.n_calibration, found.coverage, found.low <= truth <= found.high, found.high - found.low)
        for found, truth in estimates
        if found.low is not None
        and found.high is not None
        and found.n_calibration is not None
        and found.coverage is not None
    ]
    sizes = sorted({n for n, *_ in rows})
    for size in sizes:
        of_bin = [row for row in rows if row[0] == size]
        covered_N, coverage = np.array([row[2] for row in of_bin]), of_bin[0][1]
        error = standard_error(covered_N, coverage, [size], np.ones(1))
        width = np.mean([row[3] for row in of_bin])
        label = f"interval sized by {size} patients"
        print(f"{label:38}{len(of_bin):>6}{coverage:>10.3f}{covered_N.mean():>9.3f}{error:>7.3f}{width:>10.1f}")
    if sizes:
        covered_N, coverage = np.array([row[2] for row in rows]), rows[0][1]
        shares = np.array([np.mean([row[0] == size for row in rows]) for size in sizes])
        error = standard_error(covered_N, coverage, sizes, shares)
        width = np.mean([row[3] for row in rows])
        print(f"{'all':38}{len(rows):>6}{coverage:>10.3f}{covered_N.mean():>9.3f}{error:>7.3f}{width:>10.1f}")
    truth_N = np.array([truth for _, truth in estimates])
    print(f"mean absolute error {absolute_error(truth_N, truth_N + error_N)} points, bias {error_N.mean():+.1f}")
    print(
        f"mean absolute error of their mean LVEF, said to everybody: {absolute_error(truth_N, truth_N.mean())} points"
    )


def absolute_error(truth_N: NDArray[np.float64], predicted: ArrayLike) -> str:
    """The mean and, in brackets, its 95 % interval by bootstrap over patients."""
    predicted_N = np.broadcast_to(np.asarray(predicted, dtype=np.float64), truth_N.shape)
    return regression_report(truth_N, predicted_N, np.arange(len(truth_N))).mean_absolute_error.in_digits(2)


def print_points(asked: Sequence[Asked]) -> None:
    """Sensitivity, specificity, PPV and NPV here, beside those that the bundle states."""
    print(f"\n{'called at its point':22}{'':10}{'sensitivity':>13}{'specificity':>13}{'PPV':>7}{'NPV':>7}")
    for question in ("lowest LVEF class", "SHD"):
        rows, stated = [], None
        for one in asked:
            said, lvef = one.verdict.shd, one.verdict.lvef
            if question == "SHD" and said is not None and said.positive is not None and one.shd is not None:
                rows.append((said.positive, one.shd))
                stated = said.operating_point
            elif question != "SHD" and lvef is not None and lvef.positive is not None and one.lvef_class is not None:
                rows.append((lvef.positive, one.lvef_class == 0))
                stated = lvef.operating_point
        if not rows:
            print(f"{question:22}this bundle has none")
            continue
        called_N, case_N = np.array(rows, dtype=bool).T
        shares = (called_N[case_N].mean(), (~called_N[~case_N]).mean())
        values = (case_N[called_N].mean(), (~case_N[~called_N]).mean())
        print(f"{question:22}{'measured':10}{shares[0]:>13.3f}{shares[1]:>13.3f}{values[0]:>7.3f}{values[1]:>7.3f}")
        if stated is not None:
            ppv, npv = (math.nan if value is None else value for value in (stated.ppv, stated.npv))
            print(f"{'':22}{'stated':10}{stated.sensitivity:>13.3f}{stated.specificity:>13.3f}{ppv:>7.3f}{npv:>7.3f}")


def print_flags(asked: Sequence[Asked]) -> None:
    """How often each flag is raised, or positive in an older bundle, and how often where nothing is to be found."""
    rows = [one for one in asked if one.verdict.shd is not None]
    if not rows or not rows[0].verdict.flags:
        print("\nthis bundle has no probes of flags")
        return
    print(f"\n{'flag':50}{'told of it':>14}{'n':>6}{'has it':>9}{'raised':>9}{'PPV':>7}")
    for name in rows[0].verdict.flags:
        known = [(one.verdict.flags[name], one.flags[name]) for one in rows if one.flags.get(name) is not None]
        if not known:
            continue
        raised_N = np.array([said.positive for said, _ in known])
        has_N = np.array([bool(truth) for _, truth in known])
        finding = known[0][0].finding
        told = "yes or no" if finding is None else "nothing" if finding == "cannot_tell" else "raised or not"
        right = f"{has_N[raised_N].mean():.3f}" if raised_N.any() else "-"
        print(f"{name:50}{told:>14}{len(known):>6}{has_N.mean():>9.3f}{raised_N.mean():>9.3f}{right:>7}")
    for label, among in (
        (
            "SHD-negative answers",
            [one for one in rows if one.verdict.shd is not None and one.verdict.shd.positive is False],
        ),
        ("hearts without SHD", [one for one in rows if one.shd is False]),
    ):
        if not among:
            print(f"{label}: none")
            continue
        share = np.mean([any(flag.positive for flag in one.verdict.flags.values()) for one in among])
        error = math.sqrt(share * (1 - share) / len(among))
        print(f"{label}: {share:.3f} +- {error:.3f} of {len(among)} with any raised flag")


if __name__ == "__main__":
    main()
