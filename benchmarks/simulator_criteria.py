"""Simulated ECGs held against what is published: every criterion beside its band, and recordings beside real ones.

    python -m benchmarks.simulator_criteria [--patients 6000] [--seed 41] [--real FOLDER]

Textbook criteria are read off one beat without noise, as a person with a ruler would; what an ECG carries is measured
on recordings prepared as for a model: 150 principal components of the median beat and four measures of rhythm, fitted
on two thirds of the patients and tested on the others. `--real`, or ECHO2ECG_REALDATA, names a folder of real ECG
files: their measures as percentiles among the simulated ones. Those are alarms, not targets: no constant of the
simulator follows them. Bands are published figures, widened to what their samples allow; see `docs/simulator.md`.
Letters in array names: P patients, F features, N samples, L leads.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from sklearn.linear_model import LogisticRegression, RidgeCV
from sklearn.metrics import roc_auc_score

from benchmarks.ecg_measures import INDEPENDENT, Read, measures_of, median_beat, read_beat
from inputs.ecg.judged import judge_ecg
from inputs.ecg.prepare import prepare_ecg
from inputs.ecg.quality import check_ecg
from inputs.ecg.read import read_ecg_path
from inputs.errors import InputError
from inputs.records import STANDARD_LEADS, EcgRecording
from inputs.specs import EcgSpec
from simulator.ecg.electrics import sample_electrics
from simulator.ecg.recorder import choose_recorder
from simulator.ecg.signal import simulate_ecg
from simulator.patient import sample_patient
from simulator.physiology import Conduction, Infarct, Physiology, shd_flags
from simulator.segments import share_scarred

SPEC = EcgSpec(centre="median", windows="mean")
COMPONENTS = 150
DAY = 200.0
SECONDS = 10.0
RULER_STREAM, RECORDING_STREAM = 1, 2
OUTSIDE_PERCENTILES = (1.0, 99.0)
_BROAD: dict[Conduction, dict[str, tuple[float, float]]] = {
    "left_bundle_block": {
        "QRS, median ms": (130.0, 170.0),
        "QRS area, median uVs": (66.0, 150.0),
        "R in I, median mV": (0.5, 1.5),
        "R in V6, median mV": (0.5, 1.5),
        "S in V2, median mV": (1.0, 3.0),
    },
    "paced": {"QRS, median ms": (150.0, 190.0)},
}

out = Console(width=118)

_Mask = NDArray[np.bool_]
_Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Criterion:
    """One row. low, high: the band; both None where there is none and the value is only reported."""

    name: str
    value: float
    low: float | None = None
    high: float | None = None

    @property
    def verdict(self) -> str:
        """`yes`, `NO`, or a dash where there is no band. What cannot be computed is not within."""
        if self.low is None or self.high is None:
            return "-"
        return "yes" if self.low <= round(self.value, 3) <= self.high else "NO"


@dataclass(frozen=True, eq=False)
class Patients:
    """Hearts and what a ruler finds in the ECG of each."""

    hearts: list[Physiology]
    reads: list[Read]

    def each(self, ask: Callable[[Physiology], float]) -> _Floats:
        """(P,) something about every heart."""
        return np.array([ask(heart) for heart in self.hearts], dtype=float)

    def where(self, ask: Callable[[Physiology], bool]) -> _Mask:
        return np.array([ask(heart) for heart in self.hearts], dtype=bool)

    def found(self, ask: Callable[[Read], bool]) -> _Mask:
        return np.array([ask(read) for read in self.reads], dtype=bool)

    def measured(self, ask: Callable[[Read], float]) -> _Floats:
        return np.array([ask(read) for read in self.reads], dtype=float)


@dataclass(frozen=True, eq=False)
class Recordings:
    """What a model could see of each patient, the truth beside it, and what real files are held against."""

    hearts: list[Physiology]
    beats_PF: NDArray[np.float32]
    rhythm_PF: _Floats
    measures: list[dict[str, float]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--patients", type=int, default=6000, help="a third of them is tested on")
    parser.add_argument("--seed", type=int, default=41)
    parser.add_argument("--real", type=Path, help="a folder of ECG files; else ECHO2ECG_REALDATA; none: left out")
    options = parser.parse_args()
    patients = read_patients(options.patients, options.seed)
    recordings = record_patients(options.patients, options.seed)
    rows = [*voltage(patients), *scars(patients), *conduction(patients), *healthy_ranges(patients)]
    rows += [*broad_complexes(patients), *carried(recordings), *recorded_ranges(recordings)]
    show(rows, f"{options.patients} patients, seed {options.seed}")
    named = options.real or os.environ.get("ECHO2ECG_REALDATA")
    if named:
        show_beside(recordings, real_measures(Path(named)))


def read_patients(count: int, seed: int) -> Patients:
    """The noise-free beats of `count` patients, read."""
    hearts, reads = [], []
    for number in range(count):
        rng = np.random.default_rng([seed, number, RULER_STREAM])
        heart = sample_patient(rng).at(DAY)
        hearts.append(heart)
        reads.append(read_beat(heart, sample_electrics(rng), rng))
    return Patients(hearts, reads)


def sensitivity(found_P: _Mask, ill_P: _Mask) -> float:
    return float(found_P[ill_P].mean())


def specificity(found_P: _Mask, ill_P: _Mask) -> float:
    return float(1.0 - found_P[~ill_P].mean())


def voltage(patients: Patients) -> Iterator[Criterion]:
    """Hypertrophy by LV mass index beyond 115 (men) or 95 g/m2, and low voltage: PMC7486900, PMC3467444, Eisenberg."""
    male_P = patients.where(lambda heart: heart.sex == "male")
    thick_P = patients.where(lambda h: h.lv_mass_g / h.body_surface_m2 > (115.0 if h.sex == "male" else 95.0))
    sokolow_P = patients.found(lambda read: read.sokolow_lyon_mv >= 3.5)
    yield Criterion("Sokolow-Lyon, sensitivity for LV mass", sensitivity(sokolow_P, thick_P), 0.15, 0.32)
    yield Criterion("Sokolow-Lyon, specificity", specificity(sokolow_P, thick_P), 0.92, 0.99)
    cornell_P = patients.measured(lambda read: read.cornell_mv)
    for sex, own_P in (("men", male_P), ("women", ~male_P)):
        cut_mv = np.quantile(cornell_P[own_P & ~thick_P], 0.95)
        caught = float((cornell_P[own_P & thick_P] > cut_mv).mean())
        yield Criterion(f"Cornell, sensitivity at specificity 0.95, {sex}", caught, 0.20, 0.30)
    usual_P = cornell_P > np.where(male_P, 2.8, 2.0)
    yield Criterion("Cornell at 2.8 and 2.0 mV, sensitivity", sensitivity(usual_P, thick_P))
    yield Criterion("Cornell at 2.8 and 2.0 mV, specificity", specificity(usual_P, thick_P), 0.93, 0.99)
    low_P = patients.found(lambda read: read.low_limb_voltage)
    soaked_P = patients.where(lambda heart: heart.effusion >= 2)
    yield Criterion("low limb voltage, sensitivity for effusion", sensitivity(low_P, soaked_P), 0.12, 0.25)
    yield Criterion("low limb voltage, specificity", specificity(low_P, soaked_P), 0.94, 1.0)
    amyloid_P = patients.where(lambda heart: heart.cause == "amyloid")
    yield Criterion("low limb voltage in amyloid", sensitivity(low_P, amyloid_P))


def scars(patients: Patients) -> Iterator[Criterion]:
    """Q waves in the territory, without bundle block: Asch et al., Am Heart J 2006;152:742."""
    unblocked_P = patients.where(lambda heart: heart.conduction in ("normal", "left_anterior_block"))
    size_P = patients.each(lambda heart: share_scarred(heart.segment_motion))
    bands: dict[Infarct, tuple[float, float]] = {"LAD": (0.35, 0.55), "RCA": (0.35, 0.55), "LCx": (0.15, 0.25)}
    for artery, (low, high) in bands.items():
        ill_P = patients.where(lambda heart, artery=artery: heart.infarct == artery)  # type: ignore[misc]
        q_P = patients.found(lambda read, artery=artery: read.has_q(artery))  # type: ignore[misc]
        here_P = ill_P & unblocked_P
        large_P = here_P & (size_P > np.median(size_P[here_P]))
        yield Criterion(f"{artery}: Q waves, sensitivity", sensitivity(q_P, here_P), low, high)
        rise = float(q_P[large_P].mean() - q_P[here_P & ~large_P].mean())
        yield Criterion(f"{artery}: Q waves, larger half of scars less smaller half", rise, 0.0, 1.0)
        yield Criterion(
            f"{artery}: Q waves, specificity", specificity(q_P[unblocked_P], ill_P[unblocked_P]), 0.84, 0.92
        )
        inverted_P = patients.found(lambda read, artery=artery: read.inverted_t(artery))  # type: ignore[misc]
        yield Criterion(f"{artery}: T inverted, with a scar", float(inverted_P[here_P].mean()))
        yield Criterion(f"{artery}: T inverted, without", float(inverted_P[unblocked_P & ~ill_P].mean()))


def conduction(patients: Patients) -> Iterator[Criterion]:
    """Shares among all patients, PR among those in sinus rhythm; and the axis of the right heart."""
    sinus_P = patients.where(lambda heart: heart.rhythm == "sinus")
    slow_P = patients.found(lambda read: read.pr_ms > 200.0)
    yield Criterion("first-degree block, of sinus rhythm", float(slow_P[sinus_P].mean()), 0.045, 0.075)
    shares = (("left_anterior_block", 0.03, 0.05), ("paced", 0.02, 0.04))
    for kind, low, high in shares:
        share = float(patients.where(lambda heart, kind=kind: heart.conduction == kind).mean())  # type: ignore[misc]
        yield Criterion(f"{kind.replace('_', ' ')}, share", share, low, high)
    flutters_P = patients.where(lambda heart: heart.rhythm == "atrial_flutter")
    yield Criterion("flutter, share", float(flutters_P.mean()), 0.01, 0.02)
    low_P = patients.where(lambda heart: heart.lvef_percent <= 40.0)
    blocked_P = patients.where(lambda heart: heart.conduction == "left_bundle_block")
    yield Criterion("left bundle block where LVEF <= 40", float(blocked_P[low_P].mean()), 0.15, 0.25)
    yield Criterion("no sinus rhythm where LVEF <= 40", float((~sinus_P)[low_P].mean()), 0.18, 0.34)
    pressed_P = patients.where(lambda heart: heart.pasp_mmhg >= 60.0)
    upright_P = patients.found(lambda read: read.axis_deg > 90.0)
    tall_P = patients.found(lambda read: read.of("r", "V1") > read.of("s", "V1"))
    yield Criterion("axis beyond 90 degrees where PASP >= 60", sensitivity(upright_P, pressed_P))
    yield Criterion("R beyond S in V1 where PASP >= 60", sensitivity(tall_P, pressed_P))


def broad_complexes(patients: Patients) -> Iterator[Criterion]:
    """Left bundle block and pacing, in textbook ranges (Surawicz and Knilans); QRS area: Mafi Rad et al., 2016."""
    asked: dict[str, Callable[[Read], float]] = {
        "QRS, median ms": lambda read: read.qrs_ms,
        "QRS area, median uVs": lambda read: read.qrs_area_uvs,
        "R in I, median mV": lambda read: read.of("r", "I"),
        "R in V6, median mV": lambda read: read.of("r", "V6"),
        "S in V2, median mV": lambda read: read.of("s", "V2"),
        "T in V2, median mV": lambda read: read.of("t", "V2"),
    }
    for kind, bands in _BROAD.items():
        own_P = patients.where(lambda heart, kind=kind: heart.conduction == kind)  # type: ignore[misc]
        for name, ask in asked.items():
            middle = float(np.median(patients.measured(ask)[own_P]))
            yield Criterion(f"{kind.replace('_', ' ')}: {name}", middle, *bands.get(name, (None, None)))


def is_healthy(heart: Physiology) -> bool:
    """No named cause, and nothing beyond its normal range that this simulator shows in an ECG."""
    flags = shd_flags(heart)
    thin = max(heart.septum_cm, heart.posterior_wall_cm) < 1.15
    usual = heart.cause == "none" and heart.rhythm == "sinus" and heart.conduction == "normal"
    return usual and thin and heart.lvef_percent >= 55.0 and heart.pasp_mmhg < 38.0 and not any(flags.values())


def healthy_ranges(patients: Patients) -> Iterator[Criterion]:
    """Of the healthy, against textbook ranges: Surawicz and Knilans, Chou's Electrocardiography; Rijnbeek, 2014."""
    healthy_P = patients.where(is_healthy)

    def median(ask: Callable[[Read], float]) -> float:
        return float(np.median(patients.measured(ask)[healthy_P]))

    yield Criterion("healthy: QRS, median ms", median(lambda read: read.qrs_ms), 84.0, 92.0)
    yield Criterion("healthy: PR, median ms", median(lambda read: read.pr_ms), 145.0, 168.0)
    axis_P = patients.measured(lambda read: read.axis_deg)[healthy_P]
    yield Criterion("healthy: axis -30 to 90 degrees", float(((axis_P > -30.0) & (axis_P < 90.0)).mean()), 0.90, 1.0)
    bands = (
        ("s", "V1", 0.5, 1.5), ("r", "V1", 0.08, 0.35), ("r", "V4", 1.0, 2.5), ("r", "V5", 1.0, 2.5),
        ("t", "II", 0.15, 0.5), ("t", "V2", 0.2, 1.0), ("t", "V5", 0.2, 0.7),
    )  # fmt: skip
    for wave, lead, low, high in bands:
        height = median(lambda read, wave=wave, lead=lead: read.of(wave, lead))  # type: ignore[misc]
        yield Criterion(f"healthy: {wave.upper()} in {lead}, median mV", height, low, high)
    yield Criterion("healthy: P in II, median mV", median(lambda read: read.p_ii_mv), 0.05, 0.2)
    sokolow_P = patients.found(lambda read: read.sokolow_lyon_mv >= 3.5)
    yield Criterion("healthy: Sokolow-Lyon met", float(sokolow_P[healthy_P].mean()), 0.0, 0.10)
    over_s_P = patients.found(lambda read: read.of("r", "V4") > read.of("s", "V4"))
    yield Criterion("healthy: R beyond S by V4", float(over_s_P[healthy_P].mean()), 0.85, 1.0)


def record_patients(count: int, seed: int) -> Recordings:
    """Recordings of `count` patients as their sites make them, arms never swapped; those without beats are left out."""
    hearts, beats, rhythms, measures = [], [], [], []
    for number in range(count):
        rng = np.random.default_rng([seed, number, RECORDING_STREAM])
        patient, electrics = sample_patient(rng), sample_electrics(rng)
        recorder = replace(choose_recorder(patient.site, rng), arms_reversed=False)
        heart = patient.at(DAY)
        signal_LN = simulate_ecg(heart, electrics=electrics, recorder=recorder, rng=rng)
        recording = EcgRecording(signal_LN, float(recorder.rate_hz), STANDARD_LEADS, "simulated")
        seen_LN = prepare_ecg(recording, SPEC, despite_lost_leads=True).signal_LN.astype(np.float64)
        found = median_beat(seen_LN, SPEC.rate_hz, 0.275, 0.45)
        measured = measures_of(signal_LN.astype(np.float64), float(recorder.rate_hz))
        if found is None or measured is None:
            continue
        beat_LW, rr_s = found
        hearts.append(heart)
        beats.append(beat_LW[INDEPENDENT].ravel().astype(np.float32))
        jitter_s = float(np.abs(np.diff(rr_s)).mean()) if len(rr_s) > 1 else 0.0
        rhythms.append((float(np.median(rr_s)), float(rr_s.std() / rr_s.mean()), jitter_s, float(seen_LN.std())))
        measures.append(measured)
    return Recordings(hearts, np.array(beats), np.array(rhythms), measures)


def features(recordings: Recordings, train: int) -> _Floats:
    """(P, F) components of the median beat and rhythm; centre, components and scale from the first `train` patients."""
    centred_PF = recordings.beats_PF - recordings.beats_PF[:train].mean(axis=0)
    components_FC = np.linalg.svd(centred_PF[:train], full_matrices=False)[2][:COMPONENTS].T
    all_PF = np.concatenate([centred_PF @ components_FC, recordings.rhythm_PF], axis=1)
    return np.asarray((all_PF - all_PF[:train].mean(axis=0)) / all_PF[:train].std(axis=0), dtype=np.float64)


def carried(recordings: Recordings) -> Iterator[Criterion]:
    """What an ECG tells. LVEF: PMC8950054 and Attia et al., Nat Med 2019. Walls, any disease: EchoNext."""
    hearts = recordings.hearts
    train = 2 * len(hearts) // 3
    features_PF = features(recordings, train)
    lvef_P = np.array([heart.lvef_percent for heart in hearts])
    ridge = RidgeCV(alphas=np.logspace(0, 4, 9)).fit(features_PF[:train], lvef_P[:train])
    guessed_P = ridge.predict(features_PF[train:])
    r = float(np.corrcoef(guessed_P, lvef_P[train:])[0, 1])
    yield Criterion("LVEF: r of ridge regression", r, 0.62, 0.70)
    kept_P = lvef_P[train:] >= 55.0
    yield Criterion("LVEF >= 55: r of the same", float(np.corrcoef(guessed_P[kept_P], lvef_P[train:][kept_P])[0, 1]))

    def auroc(ask: Callable[[Physiology], bool]) -> float:
        truth_P = np.array([ask(heart) for heart in hearts])
        fitted = LogisticRegression(C=0.01, max_iter=500).fit(features_PF[:train], truth_P[:train])
        return float(roc_auc_score(truth_P[train:], fitted.decision_function(features_PF[train:])))

    yield Criterion("AUROC LVEF <= 40", auroc(lambda heart: heart.lvef_percent <= 40.0), 0.88, 0.93)
    walls = auroc(lambda heart: max(heart.septum_cm, heart.posterior_wall_cm) >= 1.3)
    yield Criterion("AUROC walls >= 1.3 cm", walls, 0.72, 0.78)
    yield Criterion("AUROC any structural heart disease", auroc(lambda h: any(shd_flags(h).values())), 0.80, 0.86)
    yield Criterion("AUROC PASP >= 45 mmHg", auroc(lambda heart: heart.pasp_mmhg >= 45.0))
    yield Criterion("AUROC effusion >= 2", auroc(lambda heart: heart.effusion >= 2))
    for artery in ("LAD", "RCA", "LCx"):
        yield Criterion(f"AUROC infarct {artery}", auroc(lambda h, artery=artery: h.infarct == artery))  # type: ignore[misc]


def recorded_ranges(recordings: Recordings) -> Iterator[Criterion]:
    """Of healthy recordings with their noise. QRS by the slope rule was 56 to 78 ms in four real normal ECGs."""
    healthy = [m for heart, m in zip(recordings.hearts, recordings.measures, strict=True) if is_healthy(heart)]

    def percentile(name: str, share: float) -> float:
        return float(np.percentile([measured[name] for measured in healthy], share))

    yield Criterion("healthy: QRS by slope, median ms", percentile("qrs_by_slope_ms", 50), 56.0, 78.0)
    for name in ("sharpness_mv", "turns", "power_15_to_40_hz", "t_II", "t_V2", "t_V5"):
        for share in (5.0, 50.0, 95.0):
            yield Criterion(f"healthy: {name}, percentile {share:g}", percentile(name, share))


def show(rows: list[Criterion], title: str) -> None:
    table = Table("criterion", "simulated", "band", "within", title=title)
    for row in rows:
        band = "" if row.low is None or row.high is None else f"{row.low:g} to {row.high:g}"
        table.add_row(row.name, f"{row.value:.3f}" if abs(row.value) < 10 else f"{row.value:.1f}", band, row.verdict)
    out.print(table)
    judged = [row for row in rows if row.verdict != "-"]
    out.print(f"{sum(row.verdict == 'yes' for row in judged)} of {len(judged)} within their bands.")


def real_measures(folder: Path) -> dict[str, dict[str, float]]:
    """Measures of every file under the folder that holds a readable 12-lead ECG; the same recording counts once."""
    found: dict[str, dict[str, float]] = {}
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        try:
            recording = read_ecg_path(path)
            if judge_ecg(recording, SPEC).withheld:
                continue
            rows_mv = check_ecg(recording, SPEC).rows_mv
        except (InputError, OSError, ValueError):
            continue
        signal_LN = np.nan_to_num(np.stack(rows_mv).astype(np.float64))[:, : round(SECONDS * recording.rate_hz)]
        measured = measures_of(signal_LN, recording.rate_hz)
        if measured is not None and not any(_same(measured, other) for other in found.values()):
            found[path.stem] = measured
    return found


def _same(one: dict[str, float], other: dict[str, float]) -> bool:
    """Two files of one recording: nearly everything nearly equal."""
    alike = sum(bool(np.isclose(one[name], other[name], rtol=0.05, atol=0.01)) for name in one)
    return alike >= 0.7 * len(one)


def show_beside(recordings: Recordings, real: dict[str, dict[str, float]]) -> None:
    names = list(recordings.measures[0])
    values = {name: np.array([measured[name] for measured in recordings.measures]) for name in names}
    table = Table("measure", "simulated, 5 / 50 / 95 %", *real, title="real recordings, percentile among simulated")
    inside = dict.fromkeys(real, 0)
    for name in names:
        low, middle, high = np.percentile(values[name], [5, 50, 95])
        cells = []
        for file, measured in real.items():
            percentile = 100.0 * float((values[name] < measured[name]).mean())
            inside[file] += OUTSIDE_PERCENTILES[0] <= percentile <= OUTSIDE_PERCENTILES[1]
            cells.append(f"{measured[name]:.3g} ({percentile:.0f})")
        table.add_row(name, f"{low:.3g} / {middle:.3g} / {high:.3g}", *cells)
    table.add_row("within 1 to 99 %", "", *(f"{count} of {len(names)}" for count in inside.values()))
    Console(width=60 + 16 * max(1, len(real))).print(table)


if __name__ == "__main__":
    main()
