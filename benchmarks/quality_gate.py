"""How well the gate tells good ECGs from bad ones: simulated ECGs damaged in known ways, and files of any folder.

    python -m benchmarks.quality_gate [--ecgs 600] [--seed 12] [--records FOLDER] [--ludb FOLDER]

Prints for every finding how often it is raised where it was put in (by the recorder's site) and where nothing was;
what is withheld of things that are no ECG; every file that is withheld, with its reasons. `--ludb` also prints the
covariance of the independent leads that the gate goes by.
Letters in array names: L leads, N samples, K independent leads, E electrodes, W samples of a beat.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import wfdb
from numpy.random import Generator
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from inputs.ecg.gate.wiring import AFTER_R_S, BEFORE_R_S, INDEPENDENT_LEADS, ROTATED, undone
from inputs.ecg.judged import judge_ecg
from inputs.ecg.measured.measure import beats_of_heart
from inputs.ecg.measured.traced import trace_ecg
from inputs.ecg.measured.tracing import RATE_HZ
from inputs.ecg.read import read_ecg_path
from inputs.errors import InputError
from inputs.records import STANDARD_LEADS, EcgRecording, ReadHints
from inputs.specs import EcgSpec
from simulator.ecg.electrics import sample_electrics
from simulator.ecg.heart import shape_beat
from simulator.ecg.recorder import EcgRecorder, choose_recorder, record
from simulator.ecg.signal import heart_leads, twelve_leads
from simulator.patient import SITES, sample_patient

SPEC = EcgSpec(centre="median", windows="mean")
ROWS = [STANDARD_LEADS.index(lead) for lead in INDEPENDENT_LEADS]
WIDE_MS = 120.0
NOT_ECGS = 200

out = Console(width=118)


@dataclass(frozen=True, eq=False)
class Simulated:
    """A simulated ECG. kind: `sinus`, `fibrillation`, or `wide` where a QRS of a sinus rhythm takes 120 ms or more."""

    recording: EcgRecording
    recorder: EcgRecorder
    kind: str


Damage = Callable[[Simulated, Generator], EcgRecording]


def simulated(seed: int, number: int) -> Simulated:
    """One patient's ECG as one of the simulated electrocardiographs writes it."""
    rng = np.random.default_rng([seed, number])
    patient, electrics = sample_patient(rng), replace(sample_electrics(rng), spike_mv=0.0)  # spikes are a damage below
    recorder, heart = replace(choose_recorder(patient.site, rng), arms_reversed=False), patient.at(200.0)
    beat = shape_beat(heart, electrics, np.random.default_rng([seed, number, 1]))
    rng = np.random.default_rng([seed, number, 1])
    leads_KN = heart_leads(heart, electrics=electrics, rate_hz=recorder.rate_hz, duration_s=10.0, rng=rng)
    leads_KN = record(leads_KN, recorder=recorder, skin_noise=electrics.skin_noise, rng=rng)
    kind = "fibrillation" if heart.rhythm != "sinus" else "wide" if beat.qrs_ms >= WIDE_MS else "sinus"
    return Simulated(_recorded(leads_KN, recorder), recorder, kind)


def _recorded(leads_KN: NDArray[np.float64], recorder: EcgRecorder) -> EcgRecording:
    signal_mv_LN = twelve_leads(leads_KN).astype(np.float32)
    return EcgRecording(signal_mv_LN, float(recorder.rate_hz), STANDARD_LEADS, "simulated")


def _rewired(what: str) -> Damage:
    def damage(ecg: Simulated, rng: Generator) -> EcgRecording:
        del rng
        return _recorded(undone(what) @ ecg.recording.signal_mv[ROWS], ecg.recorder)

    return damage


def _changed(change: Callable[[NDArray[np.float32], float, Generator], None]) -> Damage:
    """change: works on a copy of (L, N) millivolt, at a rate in hertz."""

    def damage(ecg: Simulated, rng: Generator) -> EcgRecording:
        signal_mv_LN = ecg.recording.signal_mv.copy()
        change(signal_mv_LN, ecg.recording.rate_hz, rng)
        return replace(ecg.recording, signal_mv=signal_mv_LN)

    return damage


def _scaled(factor: float) -> Damage:
    return lambda ecg, rng: replace(ecg.recording, signal_mv=ecg.recording.signal_mv * np.float32(factor))


def _lose(signal_mv_LN: NDArray[np.float32], rate_hz: float, rng: Generator) -> None:
    signal_mv_LN[6 + rng.choice(6, 4, replace=False)] = rng.choice([0.0, np.nan])


def _flatten(signal_mv_LN: NDArray[np.float32], rate_hz: float, rng: Generator) -> None:
    signal_mv_LN[rng.integers(0, 12)] = 0.0


def _and_flat(damage: Damage) -> Damage:
    """The same with a lead flat besides."""
    flat = _changed(_flatten)
    return lambda ecg, rng: flat(replace(ecg, recording=damage(ecg, rng)), rng)


def _only_noise(*leads: str) -> Damage:
    """These of the independent leads hold 10 to 60 microvolt of noise, and what follows from them does too."""

    def damage(ecg: Simulated, rng: Generator) -> EcgRecording:
        leads_KN = ecg.recording.signal_mv[ROWS].astype(np.float64)
        for lead in leads:
            noise_mv_N = rng.uniform(0.01, 0.06) * rng.standard_normal(leads_KN.shape[1])
            leads_KN[INDEPENDENT_LEADS.index(lead)] = noise_mv_N
        return _recorded(leads_KN, ecg.recorder)

    return damage


def _stop(signal_mv_LN: NDArray[np.float32], rate_hz: float, rng: Generator) -> None:
    """Noise of an amplifier after three quarters."""
    rest_LN = signal_mv_LN[:, 3 * signal_mv_LN.shape[1] // 4 :]
    rest_LN[:] = rng.uniform(0.003, 0.3) * rng.standard_normal(rest_LN.shape)


def _saturate(signal_mv_LN: NDArray[np.float32], rate_hz: float, rng: Generator) -> None:
    for row in rng.choice(np.arange(6, 12), 4, replace=False):
        off_mv = 5.0 - np.quantile(signal_mv_LN[row], 0.35)  # two thirds lie beyond the end of the range
        signal_mv_LN[row] = np.minimum(signal_mv_LN[row] + np.float32(off_mv), np.float32(5.0))


def _clip(signal_mv_LN: NDArray[np.float32], rate_hz: float, rng: Generator) -> None:
    row = rng.integers(6, 12)
    limit_mv = np.float32(np.quantile(np.abs(signal_mv_LN[row]), 0.94))
    np.clip(signal_mv_LN[row], -limit_mv, limit_mv, out=signal_mv_LN[row])


def _disconnect(signal_mv_LN: NDArray[np.float32], rate_hz: float, rng: Generator) -> None:
    signal_mv_LN[rng.integers(6, 12)] = rng.uniform(0.1, 1.0) * rng.standard_normal(signal_mv_LN.shape[1])


def _add_noise(signal_mv_LN: NDArray[np.float32], rate_hz: float, rng: Generator) -> None:
    noise_mv_N = 0.2 * rng.standard_normal(signal_mv_LN.shape[1:])
    signal_mv_LN[rng.integers(6, 12)] += noise_mv_N.astype(np.float32)


def _wander(signal_mv_LN: NDArray[np.float32], rate_hz: float, rng: Generator) -> None:
    t_s = np.arange(signal_mv_LN.shape[1]) / rate_hz
    signal_mv_LN[6:] += (1.2 * np.sin(2 * np.pi * rng.uniform(0.15, 0.4) * t_s + rng.uniform(0, 6))).astype(np.float32)


def _hum(signal_mv_LN: NDArray[np.float32], rate_hz: float, rng: Generator) -> None:
    t_s = np.arange(signal_mv_LN.shape[1]) / rate_hz
    signal_mv_LN[6:] += (0.1 * np.sin(2 * np.pi * rng.choice([50, 60]) * t_s)).astype(np.float32)


def _calibrate(signal_mv_LN: NDArray[np.float32], rate_hz: float, rng: Generator) -> None:
    width = round(0.2 * rate_hz)
    start = round(rng.choice([0.1, 9.6]) * rate_hz)
    around = slice(max(0, start - width // 2), start + 3 * width // 2)  # with the noise of an amplifier
    signal_mv_LN[:, around] = 0.003 * rng.standard_normal(signal_mv_LN[:, around].shape)
    signal_mv_LN[:, start : start + width] += 1.0


def _pace(ecg: Simulated, rng: Generator) -> EcgRecording:
    """As a recorder shows them that does not filter them away: 2 ms, 60 ms before the middle of QRS."""
    traced, rate_hz = trace_ecg(ecg.recording), ecg.recording.rate_hz
    leads_KN = ecg.recording.signal_mv[ROWS].astype(np.float64)
    height_mv_K1 = rng.choice([-1.0, 1.0], (len(ROWS), 1))
    for at in () if traced is None else traced.rhythm.r_B / RATE_HZ - 0.06:
        first = round(at * rate_hz)
        leads_KN[:, max(0, first) : first + max(1, round(0.002 * rate_hz))] += height_mv_K1
    return _recorded(leads_KN, ecg.recorder)


def _in_turn(signal_mv_LN: NDArray[np.float32], rate_hz: float, rng: Generator) -> None:
    quarter = signal_mv_LN.shape[1] // 4
    for column, rows in enumerate(((0, 1, 2), (3, 4, 5), (6, 7, 8), (9, 10, 11))):
        seen_N = np.zeros(signal_mv_LN.shape[1], bool)
        seen_N[column * quarter : (column + 1) * quarter] = True
        for row in rows:
            signal_mv_LN[row, ~seen_N] = 0.0


def _lose_last(signal_mv_LN: NDArray[np.float32], rate_hz: float, rng: Generator) -> None:
    last = np.s_[6:, 3 * signal_mv_LN.shape[1] // 4 :]
    signal_mv_LN[last] = rng.uniform(0.004, 0.3) * rng.standard_normal(signal_mv_LN[last].shape)


def _other_scale(rows: slice, factor: float) -> Damage:
    def change(signal_mv_LN: NDArray[np.float32], rate_hz: float, rng: Generator) -> None:
        signal_mv_LN[rows] *= np.float32(factor)

    return _changed(change)


def _silence(ecg: Simulated, rng: Generator) -> EcgRecording:
    """What the recorder writes of a heart that stands still."""
    leads_KN = np.zeros((8, ecg.recording.signal_mv.shape[1]))
    return _recorded(record(leads_KN, recorder=ecg.recorder, skin_noise=1.0, rng=rng), ecg.recorder)


DAMAGES: dict[str, tuple[str, Damage]] = {
    "RA-LA exchanged": ("arms_exchanged", _rewired("RA-LA")),
    "RA-LL exchanged": ("limb_leads_exchanged", _rewired("RA-LL")),
    "LA-LL exchanged": ("limb_leads_exchanged", _rewired("LA-LL")),
    **{f"{pair} exchanged": ("chest_leads_exchanged", _rewired(pair)) for pair in ("V1-V2", "V3-V4", "V5-V6", "V1-V3")},
    "V1 to V6 reversed": ("chest_leads_exchanged", _rewired("V1 to V6")),
    **{f"{what} exchanged": ("arms_exchanged", _rewired(what)) for what in ("RA-LA and V1-V2", "RA-LA and V3-V4")},
    "RA-LA exchanged and V1 to V6 reversed": ("heart_mirrored", _rewired("RA-LA and V1 to V6")),
    **{f"{what} exchanged": ("arms_exchanged", _rewired(what)) for what in ROTATED},
    "RA-LA exchanged, one lead flat": ("arms_exchanged", _and_flat(_rewired("RA-LA"))),
    "scale x 10": ("scale", _scaled(10.0)),
    "scale / 10": ("scale", _scaled(0.1)),
    "scale x 10, one lead flat": ("scale", _and_flat(_scaled(10.0))),
    "scale / 10, one lead flat": ("scale", _and_flat(_scaled(0.1))),
    "scale x 1000": ("scale", _scaled(1000.0)),
    "scale / 1000": ("scale", _scaled(0.001)),
    "four chest leads flat or missing": ("leads_lost", _changed(_lose)),
    "four leads saturated": ("leads_lost", _changed(_saturate)),
    "V3 to V6 noise of 0.01 to 0.06 mV": ("leads_lost", _only_noise("V3", "V4", "V5", "V6")),
    "I and II noise of 0.01 to 0.06 mV": ("leads_lost", _only_noise("I", "II")),
    "one lead flat": ("one lead flat", _changed(_flatten)),
    "one lead clipped": ("signal_clipped", _changed(_clip)),
    "one lead disconnected, noise": ("disconnected", _changed(_disconnect)),
    "noise of 0.2 mV in a lead": ("noise in a lead", _changed(_add_noise)),
    "wander of 2.4 mV": ("wander", _changed(_wander)),
    "hum of 0.1 mV": ("mains_hum", _changed(_hum)),
    "calibration pulse": ("calibration_pulse", _changed(_calibrate)),
    "pacing spikes": ("pacing_spikes", _pace),
    "3x4 layout": ("leads_in_turn", _changed(_in_turn)),
    "no heartbeat": ("no heartbeat", _silence),
    "no heartbeat in the last quarter": ("no heartbeat", _changed(_stop)),
    "V1 to V6 noise in the last quarter": ("leads_lost", _changed(_lose_last)),
    "limb leads / 10": ("scales_differ", _other_scale(slice(0, 6), 0.1)),
    "V1 to V3 x 10": ("scales_differ", _other_scale(slice(6, 9), 10.0)),
}
_ANY_OF = {
    "scale": {"scale_implausible", "amplitude_implausible", "leads_lost"},
    "no heartbeat": {"no_qrs", "noise_only", "not_an_ecg", "too_few_beats"},
    "noise in a lead": {"noisy", "disconnected"},
    "one lead flat": {"leads_flat", "leads_derived"},
}
"""One thing may be told in several ways: what is a thousand times too small is flat, and a
flat limb lead follows from two others."""


def codes_of(recording: EcgRecording) -> tuple[set[str], bool]:
    """All codes, and whether an answer is withheld."""
    judged = judge_ecg(recording, SPEC)
    return {warning.code for warning in judged.warnings}, bool(judged.withheld)


def measure_damages(ecgs: list[Simulated], seed: int) -> None:
    clean = [codes_of(ecg.recording)[0] for ecg in ecgs]
    table = Table(title=f"Raised where it was put in, and where nothing was, of {len(ecgs)} simulated ECGs")
    counts = Counter(ecg.kind for ecg in ecgs)
    sites = [f"site {site}" for site in range(SITES)]
    table.add_column("put in, %")
    for name in (
        f"sinus {counts['sinus']}",
        *sites,
        f"AF {counts['fibrillation']}",
        f"wide {counts['wide']}",
        "nothing in",
        "withheld",
    ):
        table.add_column(name, justify="right")
    for what, (code, damage) in DAMAGES.items():
        wanted = _ANY_OF.get(code, {code})
        rng = np.random.default_rng([seed, 7])
        found = [codes_of(damage(ecg, rng)) for ecg in ecgs]
        hit, held = [bool(codes & wanted) for codes, _ in found], [withheld for _, withheld in found]
        false = [bool(codes & wanted) for codes in clean]
        groups = [
            [ecg.kind == "sinus" for ecg in ecgs],
            *([ecg.kind == "sinus" and ecg.recorder.site == site for ecg in ecgs] for site in range(SITES)),
            [ecg.kind == "fibrillation" for ecg in ecgs],
            [ecg.kind == "wide" for ecg in ecgs],
        ]
        table.add_row(
            what,
            *(_share(hit, group) for group in groups),
            *(_share(said, [True] * len(ecgs)) for said in (false, held)),
        )
    out.print(table)
    reasons = Counter(code for ecg in ecgs for code in judge_ecg(ecg.recording, SPEC).withheld)
    out.print(f"Withheld though nothing was put in: {dict(reasons) or 'none'}")


def _share(said: list[bool], of: list[bool]) -> str:
    chosen = [one for one, counts in zip(said, of, strict=True) if counts]
    return f"{100 * np.mean(chosen):.1f}" if chosen else "-"


def measure_not_ecgs(ecgs: list[Simulated], seed: int) -> None:
    rng = np.random.default_rng([seed, 8])
    t_s = np.arange(5000) / 500.0

    def noise() -> EcgRecording:
        signal_LN = rng.uniform(0.05, 2.0) * rng.standard_normal((12, 5000))
        return EcgRecording(signal_LN.astype(np.float32), 500.0, STANDARD_LEADS, "made")

    def sines() -> EcgRecording:
        rows = [
            rng.uniform(0.2, 2) * np.sin(2 * np.pi * rng.uniform(0.5, 40) * t_s + rng.uniform(0, 6)) for _ in range(12)
        ]
        return EcgRecording(np.stack(rows).astype(np.float32), 500.0, STANDARD_LEADS, "made")

    def permuted(number: int) -> EcgRecording:
        one = ecgs[number % len(ecgs)].recording
        return replace(one, lead_names=tuple(rng.permutation(STANDARD_LEADS).tolist()))

    def backwards(number: int) -> EcgRecording:
        one = ecgs[number % len(ecgs)].recording
        return replace(one, signal_mv=one.signal_mv[:, ::-1].copy())

    table = Table(title=f"Withheld, of {NOT_ECGS} each")
    for name in ("what", "withheld", "for"):
        table.add_column(name)
    made: dict[str, Callable[[int], EcgRecording]] = {
        "white noise": lambda _: noise(),
        "sines": lambda _: sines(),
        "names permuted": permuted,
        "time reversed": backwards,
    }
    for what, make in made.items():
        found = [judge_ecg(make(number), SPEC).withheld for number in range(NOT_ECGS)]
        reasons = Counter(code for codes in found for code in codes)
        table.add_row(what, f"{100 * np.mean([bool(codes) for codes in found]):.1f} %", str(dict(reasons)))
    out.print(table)


def tell_files(folder: Path) -> None:
    """Every file that can be prepared: whether it is withheld, and why."""
    usable, held = 0, []
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        try:
            judged = judge_ecg(read_ecg_path(path, ReadHints()), SPEC)
        except InputError:
            continue
        usable += 1
        if judged.withheld:
            held.append(
                (path.relative_to(folder), [one.message for one in judged.warnings if one.severity == "withheld"])
            )
    out.print(f"{folder.name}: {usable} files that can be prepared as they are, {len(held)} withheld")
    for path, messages in held:
        out.print(f"  {path}: {' '.join(messages)}")


def ludb_recordings(folder: Path) -> list[EcgRecording]:
    """The 200 records, counts taken as microvolt: the headers scale each lead by itself."""
    found = []
    for number in range(1, 201):
        one = wfdb.rdrecord(str(folder / "data" / str(number)), physical=False)
        names = tuple({"avr": "aVR", "avl": "aVL", "avf": "aVF"}.get(name, name.upper()) for name in one.sig_name)
        found.append(EcgRecording((one.d_signal.T / 1000.0).astype(np.float32), float(one.fs), names, "wfdb"))
    return found


def measure_ludb(recordings: list[EcgRecording], seed: int) -> None:
    clean = Counter(code for one in recordings for code in codes_of(one)[0])
    out.print(f"LUDB, {len(recordings)} ECGs as they are: {dict(clean)}")
    rng = np.random.default_rng([seed, 9])
    for what in ("RA-LA exchanged", "RA-LL exchanged", "LA-LL exchanged", "V1-V2 exchanged", "V5-V6 exchanged"):
        code, damage = DAMAGES[what]
        hit = [code in codes_of(damage(_as_simulated(one), rng))[0] for one in recordings]
        out.print(f"  {what}: {code} in {sum(hit)} of {len(hit)}")
    covariance_KK = _covariance(recordings)
    out.print("Covariance of I, II and V1 to V6 over the typical beats:")
    for row in covariance_KK:
        out.print("  " + " ".join(f"{value:+.4f}" for value in row))


def _as_simulated(recording: EcgRecording) -> Simulated:
    recorder = replace(choose_recorder(0, np.random.default_rng(0)), rate_hz=int(recording.rate_hz))
    return Simulated(recording, recorder, "sinus")


def _covariance(recordings: list[EcgRecording]) -> NDArray[np.float64]:
    products = []
    for recording in recordings:
        for beats, part in beats_of_heart(trace_ecg(recording))[:1]:
            beat_KW = beats.typical()[[part.leads.index(lead) for lead in INDEPENDENT_LEADS]]
            first = max(0, beats.r - round(BEFORE_R_S * RATE_HZ))
            beat_KW = np.nan_to_num(beat_KW[:, first : beats.r + round(AFTER_R_S * RATE_HZ)])
            product_KK = beat_KW @ beat_KW.T
            products.append(product_KK / np.trace(product_KK) * len(product_KK))
    return np.asarray(np.mean(products, axis=0))


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ecgs", type=int, default=600)
    parser.add_argument("--seed", type=int, default=12)
    parser.add_argument("--records", type=Path)
    parser.add_argument("--ludb", type=Path)
    asked = parser.parse_args()
    ecgs = [simulated(asked.seed, number) for number in range(asked.ecgs)]
    measure_damages(ecgs, asked.seed)
    measure_not_ecgs(ecgs, asked.seed)
    if asked.records is not None:
        tell_files(asked.records)
    if asked.ludb is not None:
        measure_ludb(ludb_recordings(asked.ludb), asked.seed)


if __name__ == "__main__":
    main()
