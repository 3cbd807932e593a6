"""How a heart's structure shapes its beat: the table of structure -> ECG effects.

`Physiology` says what the heart is, `Electrics` how this person's body shows it. Sources of each effect stand where the
wave is made (`depolarisation`, `repolarisation`, `atria`); here is what acts on the whole beat: voltage, axis, timing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from simulator.ecg.atria import early_p_wave, p_wave
from simulator.ecg.burden import Burden, burden_of
from simulator.ecg.depolarisation import depolarise, ectopic_beat, qrs_duration_ms, spike
from simulator.ecg.electrics import Electrics
from simulator.ecg.placement import place_electrodes
from simulator.ecg.repolarisation import repolarise
from simulator.ecg.waves import Bump, area_of, turned
from simulator.physiology import Conduction, Physiology

_SOAKED = (0.0, 0.04, 0.33, 0.60)
"""Log of the voltage that an effusion of each grade takes. Eisenberg et al., Chest 1996;110:318: a minority is low."""
_MOST_OF_MASS = 0.7
"""Log of the voltage that muscle adds at most, a doubling: beyond it QRS would be taller than a chest lets through."""
_TURNS_OF_BLOCKED = {"left_bundle_block": 0.5, "left_anterior_block": 0.25, "paced": 0.4}
"""How much of a body's rotation shows where the excitation has an axis of its own."""


@dataclass(frozen=True, eq=False)
class Beat:
    """One patient's beat on one recording, and what its neighbours in time need to know."""

    bumps: tuple[Bump, ...]
    early_atrial: tuple[Bump, ...]
    early_ventricular: tuple[Bump, ...]
    field_KD: NDArray[np.float64]
    """(8, 3) what I, II, V1..V6 see of the dipole on this recording."""
    conduction: Conduction
    qrs_ms: float
    pr_ms: float
    qt_ms: float
    alternans: float
    """Relative swing of every second beat."""
    ectopic_beats_per_s: float


def shape_beat(physiology: Physiology, electrics: Electrics, rng: Generator) -> Beat:
    """The beat of this heart on this recording. `rng` draws what differs from one recording to the next.

    The same number of draws whatever the physiology.
    """
    p, e, burden = physiology, electrics, burden_of(physiology)
    shows = e.expression
    anew = rng.normal(size=6)
    field_KD = place_electrodes(e, rng)
    limb, chest = _gains(p, e, burden)
    field_KD[:2] *= limb
    field_KD[2:] *= chest

    qrs_ms = qrs_duration_ms(p, e, burden) + 2.0 * anew[0]
    axis_deg, turn_deg = _rotation(p, e, burden)
    axis_deg, turn_deg = axis_deg + 2.0 * anew[1], turn_deg + 2.0 * anew[2]
    voltage = _voltage(p, e, burden)
    share = _TURNS_OF_BLOCKED.get(p.conduction, 1.0)

    qrs = [turned(b, share * axis_deg, max(0.5, share) * turn_deg, voltage) for b in depolarise(p, e, burden, qrs_ms)]
    added_D = np.zeros(3)
    if p.conduction != "normal":
        usual_ms = qrs_ms * 88.0 / max(88.0, qrs_ms)
        usual = depolarise(replace(p, conduction="normal"), e, burden, usual_ms)
        added_D = area_of(qrs) - area_of([turned(b, axis_deg, turn_deg, voltage) for b in usual])
        added_D = _turned_back(added_D, 0.5 * axis_deg + e.t_rotation_deg, 0.3 * turn_deg)

    rr_s = 60.0 / p.heart_rate_bpm
    qt_ms = e.qtc_ms * np.sqrt(rr_s) + (8.0 if p.sex == "female" else 0.0) + 0.5 * (qrs_ms - 90.0)
    qt_ms += 8.0 * shows.pump_t * burden.pump
    qt_ms = float(np.clip(qt_ms, qrs_ms + 130.0, 780.0 * rr_s + 60.0))
    tall = e.t_voltage * (0.88 if p.sex == "female" else 1.05) * np.exp(-0.10 * burden.elderly + 0.07 * anew[3])
    after = repolarise(p, e, burden, tall=tall, added_qrs_area_D=added_D, qrs_ms=qrs_ms, qt_ms=qt_ms)
    after = [turned(b, 0.5 * axis_deg + e.t_rotation_deg, 0.3 * turn_deg, 1.0) for b in after]

    pr_ms = e.pr_ms + 5.0 * burden.elderly + 4.0 * p.aortic_stenosis + 4.0 * shows.pump_width * burden.pump
    pr_ms = float(np.clip(pr_ms + 3.0 * anew[4], 108.0, 320.0))
    ventricles = qrs + after
    if p.conduction == "paced":
        ventricles.append(spike(e, 0.0))
    has_p = p.rhythm == "sinus"
    return Beat(
        bumps=tuple((p_wave(p, e, burden, pr_ms) if has_p else []) + ventricles),
        early_atrial=tuple(early_p_wave(e, 0.9 * pr_ms) + ventricles),
        early_ventricular=ectopic_beat(e, 1.15 * voltage),
        field_KD=field_KD,
        conduction=p.conduction,
        qrs_ms=qrs_ms,
        pr_ms=pr_ms,
        qt_ms=qt_ms,
        alternans=0.20 * min(1.3, shows.effusion) if p.effusion == 3 else 0.0,
        ectopic_beats_per_s=0.1 * e.ectopy * (0.10 + 0.50 * shows.pump_ectopy * burden.pump),
    )


def _turned_back(area_D: NDArray[np.float64], frontal_deg: float, horizontal_deg: float) -> NDArray[np.float64]:
    """What `turned` undoes."""
    x, y, z = area_D
    a, b = np.deg2rad(frontal_deg), np.deg2rad(horizontal_deg)
    x, z = x * np.cos(b) + z * np.sin(b), -x * np.sin(b) + z * np.cos(b)
    return np.array([x * np.cos(a) + y * np.sin(a), -x * np.sin(a) + y * np.cos(a), z])


def _voltage(p: Physiology, e: Electrics, burden: Burden) -> float:
    """Factor on the QRS: sex, age, build, and the mass of a heart that is muscle.

    Amyloid thickens walls without adding voltage. Carroll et al., Am J Cardiol 1982;49:9; the rest is textbook.
    """
    voltage = e.voltage * (0.93 if p.sex == "female" else 1.05)
    voltage *= np.exp(-0.05 * burden.elderly - 0.07 * burden.obesity)
    if p.cause == "amyloid":
        return float(voltage * np.exp(-0.28 * e.expression.amyloid_voltage))
    return float(voltage * np.exp(min(_MOST_OF_MASS, 0.24 * e.expression.mass_voltage * burden.mass)))


def _gains(p: Physiology, e: Electrics, burden: Burden) -> tuple[float, float]:
    """Factors on limb and on chest leads: failing hearts are low in the limb leads, effusions and lungs in all."""
    shows = e.expression
    limb = -0.13 * shows.pump_limb * burden.pump - shows.effusion * _SOAKED[p.effusion]
    chest = -0.5 * shows.effusion * _SOAKED[p.effusion]
    if p.cause == "amyloid":
        limb -= 0.32 * shows.amyloid_voltage
    if p.cause == "lung" and e.low_voltage_rank < 0.35:
        limb -= 0.60
        chest -= 0.15
    return float(e.limb_voltage * np.exp(limb)), float(np.exp(chest))


def _rotation(p: Physiology, e: Electrics, burden: Burden) -> tuple[float, float]:
    """Frontal and horizontal rotation in degrees: age, weight and thick walls turn to the left, the right heart right.

    Lung disease hangs the heart upright and turns it away from the chest wall. Selvester and Rubin, 1965.
    """
    shows = e.expression
    axis_deg = e.frontal_rotation_deg - 7.0 * burden.elderly - 7.0 * burden.obesity
    axis_deg += -7.0 * shows.thick_axis * burden.thick + 20.0 * shows.right_axis * burden.right
    turn_deg = e.horizontal_rotation_deg + 9.0 * shows.pump_turn * burden.pump + 3.5 * shows.mass_voltage * burden.mass
    turn_deg += 4.0 * shows.dilatation * burden.dilated - 12.0 * shows.right_forces * burden.right
    if p.cause == "lung":
        axis_deg += 20.0 * shows.lung_axis
        turn_deg += 16.0 * shows.lung_turn
    return axis_deg, turn_deg
