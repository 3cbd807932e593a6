"""How far planes of simulated hearts mislead about the ventricle: `python -m benchmarks.simulator_planes`.

Each patient is cut as `simulator.echo.planes` has hands cut, once in each plane, and each plane's own ejection fraction
and volume, read without error, are compared with the truth. Bands are what published methods differ by.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass

import numpy as np

from simulator.echo.anatomy import Anatomy, sample_anatomy
from simulator.echo.planes import disc_volume_ml_T, see_along
from simulator.echo.scene import Hand
from simulator.echo.truth import ClipTruth, still_solid, truth_of
from simulator.echo.views import VIEWS
from simulator.patient import sample_patient
from simulator.physiology import Physiology

PLANES = ("A4C", "A2C", "A3C", "PLAX", "PSAX")
BANDS = {
    "A4C": ((3.0, 5.0), (5.0, 10.0)),
    "A2C": ((3.0, 5.0), (5.0, 10.0)),
    "A3C": ((3.0, 5.0), (5.0, 10.0)),
    "PLAX": ((3.0, 5.0), (5.0, 10.0)),
    "PSAX": ((1.5, 4.0), (3.0, 6.0)),
}
"""SD over all patients and over those with an infarct. A ring meets all six walls, so that it errs less than a plane
along the axis, which meets two."""


@dataclass(frozen=True)
class Cut:
    """One patient's planes. Differences are plane minus truth: EF in points, EDV in per cent."""

    infarct: str
    ef_error: dict[str, float]
    edv_error: dict[str, float]
    still_share: dict[str, float]
    """Of the segments each plane shows."""
    missed_length: float


def cut_patients(patients: int, seed: int = 0) -> list[Cut]:
    """Patients, hearts and hands follow from the seed."""
    return [_cut_one(np.random.default_rng([seed, number])) for number in range(patients)]


def _cut_one(rng: np.random.Generator) -> Cut:
    physiology, anatomy = sample_patient(rng).at(100.0), sample_anatomy(rng)
    truths: dict[str, ClipTruth] = {}
    hands = {plane: Hand.draw(rng) for plane in PLANES}
    for plane, hand in hands.items():
        view = VIEWS[plane]
        truths[plane] = truth_of(plane, view.plane, view.fields, physiology, anatomy, hand, 1.0)
    ef_error = {plane: (truth.plane_ef_percent or 0.0) - physiology.lvef_percent for plane, truth in truths.items()}
    edv_error = {
        plane: 100.0 * ((truth.plane_edv_ml or 0.0) / physiology.lvedv_ml - 1.0) for plane, truth in truths.items()
    }
    ef_error["biplane"], edv_error["biplane"] = _biplane_error(physiology, anatomy, hands)
    return Cut(
        infarct=physiology.infarct,
        ef_error=ef_error,
        edv_error=edv_error,
        still_share={plane: _still(truth) for plane, truth in truths.items()},
        missed_length=truths["A4C"].foreshortening or 0.0,
    )


def _biplane_error(physiology: Physiology, anatomy: Anatomy, hands: dict[str, Hand]) -> tuple[float, float]:
    solid = still_solid(physiology, anatomy)
    four, two = (see_along(VIEWS[p].plane, hands[p], anatomy, solid) for p in ("A4C", "A2C"))  # type: ignore[arg-type]
    end_diastole, end_systole = disc_volume_ml_T(four, two)
    ef_percent = 100.0 * (1.0 - end_systole / end_diastole)
    return float(ef_percent - physiology.lvef_percent), float(100.0 * (end_diastole / physiology.lvedv_ml - 1.0))


def _still(truth: ClipTruth) -> float:
    seen = [motion for motion in truth.segment_motion if motion is not None]
    return float(np.mean(np.array(seen) < 0.6)) if seen else 0.0


def spread(cuts: list[Cut], plane: str) -> float:
    """SD of EF, plane minus truth, in points."""
    return float(np.std([cut.ef_error[plane] for cut in cuts]))


def without_scar_in_plane(cuts: list[Cut], plane: str) -> list[Cut]:
    """Infarcts that this plane does not cut though another does."""
    return [cut for cut in cuts if cut.still_share[plane] == 0.0 and max(cut.still_share.values()) >= 0.3]


def _line(name: str, value: str, band: str, ok: bool | None) -> None:
    print(f"{name:<58} {value:>16}   {band:<16} {'' if ok is None else 'ok' if ok else 'OUTSIDE'}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--patients", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    cuts = cut_patients(arguments.patients, arguments.seed)
    scarred, whole = [c for c in cuts if c.infarct != "none"], [c for c in cuts if c.infarct == "none"]
    print(f"{len(cuts)} patients, {len(scarred)} with an infarct. EF: plane minus truth, points.\n")
    _line("biplane, SD without infarct", f"{spread(whole, 'biplane'):.1f}", "<= 3", spread(whole, "biplane") <= 3.0)
    _line("biplane, SD with infarct", f"{spread(scarred, 'biplane'):.1f}", "", None)
    for plane in PLANES:
        every, ill = spread(cuts, plane), spread(scarred, plane)
        for name, value, (low, high) in zip(("over all", "with infarct"), (every, ill), BANDS[plane], strict=True):
            _line(f"{plane}, SD {name}", f"{value:.1f}", f"{low:g} to {high:g}", low <= value <= high)
        _line(f"{plane}, SD without infarct", f"{spread(whole, plane):.1f}", "", None)
    largest = max(PLANES, key=lambda plane: spread(cuts, plane))
    _line("plane with the largest SD", largest, "PLAX", largest == "PLAX")
    for plane in PLANES:
        unseen = without_scar_in_plane(cuts, plane)
        bias = float(np.mean([c.ef_error[plane] for c in unseen])) if unseen else float("nan")
        _line(f"{plane}, bias where it misses the scar (n {len(unseen)})", f"{bias:+.1f}", "> 0", bias > 0.0)
    for plane in (*PLANES, "biplane"):
        ef = np.mean([c.ef_error[plane] for c in whole])
        edv = np.array([c.edv_error[plane] for c in whole])
        _line(
            f"{plane}, without infarct: EF bias; EDV bias, SD in %",
            f"{ef:+.1f}; {edv.mean():+.0f}, {edv.std():.0f}",
            "",
            None,
        )
    share = float(np.mean([c.missed_length > 0.12 for c in cuts]))
    _line(
        "A4C clips that lose more than 12 % of the length", f"{100 * share:.0f} %", "about 20 %", 0.15 <= share <= 0.25
    )


if __name__ == "__main__":
    main()
