"""ST segment, T and U wave.

A T wave is the ventricular gradient less the area of the QRS (Wilson et al., Am Heart J 1934;10:46): what changes the
order of excitation changes repolarisation against it. So a left bundle block, an early beat or a pacemaker turns T as
it does in people, without a rule of its own. Strain, scars, right-ventricular pressure and a failing pump change the
gradient itself.

Sources: strain, Okin et al., Circulation 2006;113:67. Giant T waves, Yamaguchi et al., Am J Cardiol 1979;44:401. Early
repolarisation, Macfarlane et al., J Am Coll Cardiol 2015;66:470. U wave, Surawicz, J Cardiovasc Electrophysiol 1998.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from simulator.ecg.burden import Burden
from simulator.ecg.depolarisation import scar_direction, scar_shown
from simulator.ecg.electrics import Electrics
from simulator.ecg.waves import Bump, vector
from simulator.physiology import Physiology

_Vector = NDArray[np.float64]
_GIANT_SHARE = 0.30
"""Of hypertrophic hearts, with the hypertrophy in the apex."""
_SPREAD_OF_QRS = 0.25
"""Standard deviation of when fibres are excited, in QRS durations: most of them lie within four of these."""
_U_WAY_D = np.array([0.5, 0.5, -1.0])
"""U waves are largest in V2 and V3."""


def repolarise(
    physiology: Physiology,
    electrics: Electrics,
    burden: Burden,
    *,
    tall: float,
    added_qrs_area_D: _Vector,
    qrs_ms: float,
    qt_ms: float,
) -> list[Bump]:
    """tall: factor on a healthy T wave. added_qrs_area_D: what the QRS has more than with normal conduction, mV ms."""
    p, e = physiology, electrics
    after_ms = 0.088 * qt_ms * (0.4 + 0.6 * e.time_scale)
    before_ms = e.t_asymmetry * after_ms
    centre_ms = qt_ms - 2.0 * after_ms
    strain = _strain(p, e, burden)

    t_D = tall * np.array([0.33, 0.22, -0.14 if p.sex == "female" else -0.21])
    t_D *= 1.0 - min(1.1, 0.36 * e.expression.pump_t * burden.pump)
    t_D += strain * np.array([-0.26, -0.04, 0.10])
    t_D += e.expression.right_t * burden.right * np.array([0.0, -0.02, 0.13])
    t_D += _scar_t(p, e)
    if p.cause == "hypertrophic" and e.giant_t_rank < _GIANT_SHARE:
        t_D += e.expression.septal_q * np.array([-0.85, -0.28, 0.60])
    bump = Bump(centre_ms, before_ms, after_ms, vector(t_D))
    # Fibres recover in the order in which they were excited, so that this part of T is as much broader as QRS lasts.
    spread_ms = _SPREAD_OF_QRS * qrs_ms
    late_ms, early_ms = float(np.hypot(after_ms, spread_ms)), float(np.hypot(before_ms, spread_ms))
    broad = Bump(qt_ms - 2.0 * late_ms, early_ms, late_ms, (0.0, 0.0, 0.0))
    secondary_D = -e.gradient * added_qrs_area_D / broad.area_ms

    depressed_D = strain * np.array([-0.09, -0.02, 0.03]) + e.expression.right_t * burden.right * np.array([0, 0, 0.02])
    depressed_D += 0.22 * secondary_D + e.st_rise * np.clip(t_D, -0.3, 0.3)
    st_width_ms = 0.10 * qt_ms
    waves = [
        Bump(qrs_ms + 0.10 * qt_ms, 0.07 * qt_ms, st_width_ms, vector(depressed_D)),
        bump,
        replace(broad, dipole_mv=vector(secondary_D)),
        Bump(centre_ms + 3.6 * after_ms, 0.9 * after_ms, 1.1 * after_ms, vector(e.u_voltage * np.abs(t_D) * _U_WAY_D)),
    ]
    return waves + _j_point(p, e, qrs_ms)


def _strain(physiology: Physiology, electrics: Electrics, burden: Burden) -> float:
    """0 in most; with thick walls the likelier, the less the ventricle is dilated."""
    likely = 0.36 * min(1.0, burden.thick) / (1.0 + 0.6 * max(0.0, burden.dilated))
    if physiology.cause == "amyloid":
        likely *= 0.3
    return 0.4 + burden.thick if electrics.strain_rank < likely else 0.0


def _scar_t(physiology: Physiology, electrics: Electrics) -> _Vector:
    """T waves stay inverted over an old infarct in three people of five, more or less."""
    if physiology.infarct == "none" or electrics.scar_t_sign > 0.60:
        return np.zeros(3)
    away_D = -scar_shown(physiology) * scar_direction(physiology)
    return 0.9 * min(1.6, electrics.expression.scar_t) * away_D / (2.5 + float(np.linalg.norm(away_D)))


def _j_point(physiology: Physiology, electrics: Electrics, qrs_ms: float) -> list[Bump]:
    """The end of the QRS: a little off the line in everybody; early repolarisation, with a notch, in some young men."""
    likely = (0.12 if physiology.sex == "male" else 0.04) * np.clip(1.6 - physiology.age_years / 60.0, 0.15, 1.3)
    bumps = [Bump(qrs_ms + 2.0, 7.0, 28.0, vector(electrics.j_voltage * np.array([0.5, 0.4, -0.7])))]
    if electrics.early_repolarisation < likely:
        bumps.append(Bump(qrs_ms - 1.0, 5.0, 6.0, (0.14, 0.12, 0.0)))
        bumps.append(Bump(qrs_ms + 25.0, 22.0, 60.0, (0.09, 0.08, -0.05)))
    return bumps
