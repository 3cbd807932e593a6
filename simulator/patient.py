"""Invented patients: hidden traits, and how disease moves over the years to the physiology of each moment.

Ranges are textbook cardiology; prevalences follow the published all-settings figures of the EchoNext data set. Diseases
cluster as they do in people: a failing ventricle brings mitral regurgitation, a large left atrium, fibrillation and
right-heart strain; aortic stenosis brings thick walls; pulmonary pressure brings tricuspid regurgitation and
right-ventricular dysfunction.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from simulator.causes import Proneness, sample_ailment
from simulator.physiology import (
    Cause,
    Conduction,
    Grade,
    Infarct,
    Physiology,
    Rhythm,
    Sex,
    body_surface_m2,
    lv_mass_g,
)
from simulator.segments import sample_motion

SITES = 3
"""Invented hospitals: 0 a referral centre, 1 a general hospital, 2 an outpatient clinic."""

_DAYS_PER_YEAR = 365.25
_SITE_SHARE = (0.45, 0.35, 0.20)


@dataclass(frozen=True)
class Course:
    """One severity over time: a start, a trend and a slow swing around it; never below zero."""

    start: float
    growth_per_year: float
    swing: float
    period_days: float
    phase: float

    @classmethod
    def sample(cls, start: float, growth: float, swing: float, rng: Generator) -> Course:
        """growth: a year, typical; swing: typical size of the swing, as a share of the start."""
        return cls(
            start=float(start),
            growth_per_year=float(rng.normal(growth, abs(growth) + 0.03)),
            swing=float(abs(rng.normal(0.0, swing))),
            period_days=float(rng.uniform(250.0, 1200.0)),
            phase=float(rng.random()),
        )

    def at(self, day: float) -> float:
        trend = 1.0 + self.growth_per_year * day / _DAYS_PER_YEAR
        return max(0.0, self.start * (trend + self.swing * _cycle(day, self.period_days, self.phase)))


@dataclass(frozen=True)
class Patient:
    """Hidden traits of an invented person. Day 0 is the first day on which anything of theirs may be recorded."""

    age_years: float
    sex: Sex
    height_cm: float
    weight_kg: float
    site: int
    resting_rate_bpm: float
    rate_phase: float
    healthy_lvef_percent: float
    healthy_lvedv_per_m2: float
    healthy_wall_cm: float
    septal_excess_cm: float
    healthy_la_volume_index: float
    healthy_rv_basal_cm: float
    healthy_tapse_cm: float
    healthy_pasp_mmhg: float
    right_atrial_pressure_mmhg: float
    cause: Cause
    infarct: Infarct
    segment_motion: tuple[float, ...]
    """As in `Physiology`: of the muscle itself; a bundle block adds its own."""
    remodelling: float
    """How readily the ventricle dilates when it fails, around 1."""
    lost_lvef_points: Course
    hypertrophy_cm: Course
    aortic_stenosis: Course
    aortic_regurgitation: Course
    mitral_regurgitation: Course
    tricuspid_regurgitation: Course
    pulmonary_regurgitation: Course
    lung_pressure_mmhg: Course
    right_heart: Course
    effusion: Course
    fibrillation_share: float
    """Share of time in atrial fibrillation: 0 never, 1 permanent."""
    fibrillation_phase: float
    flutters: bool
    """What fibrillates in others is atrial flutter in this one."""
    left_block_rank: float
    right_block_rank: float
    fascicle_rank: float
    pacing_rank: float
    """Ranks 0 to 1 among people: the lower, the sooner this conduction is lost."""

    def at(self, day: float) -> Physiology:
        """The physiology on a day (days, fractions allowed). The same day always gives the same answer."""
        stenosis = self.aortic_stenosis.at(day)
        aortic_leak = self.aortic_regurgitation.at(day)
        share = self.fibrillation_share
        in_fibrillation = share >= 1.0 or _cycle(day, 53.0, self.fibrillation_phase) > np.cos(np.pi * share)

        pressure_overload = max(0.0, stenosis - 2.0)
        lost = self.lost_lvef_points.at(day) + 4.0 * pressure_overload + 3.0 * in_fibrillation
        lvef = 12.0 + 4.0 * float(np.logaddexp(0.0, (min(78.0, self.healthy_lvef_percent - lost) - 12.0) / 4.0))
        failing = max(0.0, lost - 5.0)

        mitral = self.mitral_regurgitation.at(day) + 0.031 * failing * self.remodelling + 0.30 * (share > 0)
        dilated = 0.0155 * failing * self.remodelling + 0.15 * max(0.0, aortic_leak - 0.8)
        dilated += 0.08 * max(0.0, self.mitral_regurgitation.at(day) - 0.8)
        body_m2 = body_surface_m2(self.height_cm, self.weight_kg)
        lvedv = float(np.clip(self.healthy_lvedv_per_m2 * body_m2 * np.exp(dilated), 45.0, 420.0))

        thickening = self.hypertrophy_cm.at(day) + 0.14 * max(0.0, stenosis - 0.6)
        wall = self.healthy_wall_cm + thickening - 0.12 * dilated
        septum = float(np.clip(wall + self.septal_excess_cm * (1.0 + thickening), 0.55, 2.4))
        posterior = float(np.clip(wall - 0.5 * self.septal_excess_cm, 0.55, 2.1))

        atrium = self.healthy_la_volume_index + 0.38 * failing + 5.0 * max(0.0, mitral - 0.8)
        atrium += 13.0 * (share > 0) + 11.0 * thickening
        lung = self.lung_pressure_mmhg.at(day)
        pasp = self.healthy_pasp_mmhg + lung + 0.46 * failing + 4.2 * max(0.0, mitral - 0.9) + 2.0 * (share > 0)
        pasp = float(np.clip(pasp, 15.0, 105.0))
        strain = max(0.0, pasp - 38.0)
        right = self.right_heart.at(day) + 0.030 * strain + 0.030 * failing
        tricuspid = self.tricuspid_regurgitation.at(day) + 0.032 * strain + 0.30 * right + 0.35 * (share > 0)
        pulmonary = self.pulmonary_regurgitation.at(day) + 0.012 * strain
        gradient = max(4.0, pasp - self.right_atrial_pressure_mmhg)

        effusion = _grade(self.effusion.at(day))
        rate = self.resting_rate_bpm + 5.0 * _cycle(day, 0.37, self.rate_phase) + 0.30 * failing
        rate += 16.0 * in_fibrillation + (0.0, 1.0, 9.0, 17.0)[effusion]
        age_years = self.age_years + day / _DAYS_PER_YEAR
        rhythm: Rhythm = "sinus"
        if in_fibrillation:
            rhythm = "atrial_flutter" if self.flutters else "atrial_fibrillation"
        return Physiology(
            age_years=age_years,
            sex=self.sex,
            height_cm=self.height_cm,
            weight_kg=self.weight_kg,
            rhythm=rhythm,
            conduction=self._conduction(age_years, lvef, right, stenosis),
            cause=self.cause,
            segment_motion=self.segment_motion,
            heart_rate_bpm=float(np.clip(rate, 42.0, 150.0)),
            lvef_percent=lvef,
            lvedv_ml=lvedv,
            lvesv_ml=lvedv * (1.0 - lvef / 100.0),
            septum_cm=septum,
            posterior_wall_cm=posterior,
            lv_mass_g=lv_mass_g(lvedv, septum, posterior),
            la_volume_index=float(np.clip(atrium, 12.0, 110.0)),
            rv_basal_cm=float(
                np.clip(self.healthy_rv_basal_cm + 0.42 * right + 0.12 * max(0.0, tricuspid - 1), 2.2, 6.5)
            ),
            tapse_cm=float(np.clip(self.healthy_tapse_cm - 0.40 * right, 0.5, 3.4)),
            rv_dysfunction=_grade(right),
            pasp_mmhg=pasp,
            tr_velocity_m_s=float(np.sqrt(gradient / 4.0)),
            aortic_stenosis=_grade(stenosis),
            aortic_regurgitation=_grade(aortic_leak),
            mitral_regurgitation=_grade(mitral),
            tricuspid_regurgitation=_grade(tricuspid),
            pulmonary_regurgitation=_grade(pulmonary),
            effusion=effusion,
            infarct=self.infarct,
            site=self.site,
        )

    def _conduction(self, age_years: float, lvef_percent: float, right: float, stenosis: float) -> Conduction:
        failing = 1.0 / (1.0 + np.exp((lvef_percent - 41.0) / 4.5))
        elderly = max(0.0, (age_years - 60.0) / 20.0)
        if self.pacing_rank < 0.018 + 0.025 * elderly + 0.02 * failing:
            return "paced"
        if self.cause == "left_bundle_block" or self.left_block_rank < 0.008 + 0.13 * failing + 0.02 * stenosis:
            return "left_bundle_block"
        if self.right_block_rank < 0.03 + 0.02 * elderly + 0.03 * right:
            return "right_bundle_block"
        if self.fascicle_rank < 0.034 + 0.02 * elderly + 0.02 * failing:
            return "left_anterior_block"
        return "normal"


def sample_patient(rng: Generator) -> Patient:
    """Draw one invented adult."""
    site = int(rng.choice(SITES, p=_SITE_SHARE))
    sex: Sex = "female" if rng.random() < 0.49 else "male"
    male = sex == "male"
    age = float(np.clip(rng.normal(63.0, 15.0), 19.0, 94.0))
    elderly = (age - 63.0) / 15.0
    height = rng.normal(176.0 if male else 163.0, 7.0)
    body_mass_index = float(np.clip(26.5 * np.exp(rng.normal(0.02, 0.19)), 16.5, 52.0))
    weight = body_mass_index * (height / 100.0) ** 2
    obesity = (body_mass_index - 27.0) / 6.0

    person = Proneness.sample(site, elderly, rng)
    ailment = sample_ailment(person, rng)
    cause, lost = ailment.cause, ailment.lost_lvef_points
    stenosis = rng.uniform(0.7, 3.4) if person.has(0.042, rng, 0.6) else 0.0
    thickening = rng.gamma(2.3, 0.145) if person.has(0.46, rng, 0.10) else 0.0
    thickening += 0.05 * max(0.0, obesity)
    septal_excess = float(abs(rng.normal(0.04, 0.05)))
    if cause == "hypertrophic":
        septal_excess += float(rng.uniform(0.45, 1.05))
    if cause == "amyloid":
        thickening += float(rng.uniform(0.35, 0.80))
    mitral = rng.uniform(0.8, 3.2) if person.has(0.045, rng) else abs(rng.normal(0.0, 0.45))
    fibrillation = person.has(0.095 + 0.0024 * lost + 0.05 * (mitral > 1.5), rng, 0.35)
    share = 0.0 if not fibrillation else (1.0 if rng.random() < 0.5 else float(rng.uniform(0.1, 0.8)))

    def course(start: float, growth: float, swing: float) -> Course:
        return Course.sample(start, growth, swing, rng)

    return Patient(
        age_years=age,
        sex=sex,
        height_cm=float(height),
        weight_kg=float(weight),
        site=site,
        resting_rate_bpm=float(np.clip(rng.normal(71.0, 9.5), 48.0, 98.0)),
        rate_phase=float(rng.random()),
        healthy_lvef_percent=float(rng.normal(62.0 + (0.0 if male else 1.5), 5.2) + 5.0 * (cause == "hypertrophic")),
        healthy_lvedv_per_m2=float(rng.normal(57.0 if male else 51.0, 8.0))
        * (0.88 if cause in ("hypertrophic", "amyloid") else 1.0),
        healthy_wall_cm=float(rng.normal(0.95 if male else 0.87, 0.09) + 0.03 * elderly),
        septal_excess_cm=septal_excess,
        healthy_la_volume_index=float(np.clip(rng.normal(25.0 + elderly, 4.5), 14.0, 40.0))
        + 8.0 * (cause in ("hypertrophic", "amyloid")),
        healthy_rv_basal_cm=float(rng.normal(3.5 if male else 3.2, 0.32)),
        healthy_tapse_cm=float(rng.normal(2.25, 0.25)),
        healthy_pasp_mmhg=float(rng.normal(26.0 + 1.5 * elderly, 4.5)),
        right_atrial_pressure_mmhg=float(np.clip(rng.gamma(3.0, 2.7), 3.0, 18.0)),
        cause=cause,
        infarct=ailment.infarct,
        segment_motion=sample_motion(cause, ailment.infarct, ailment.scar_size, rng),
        remodelling=float(np.clip(rng.normal(1.0, 0.28), 0.3, 1.8)),
        lost_lvef_points=course(lost, 0.02, 0.08),
        hypertrophy_cm=course(thickening, 0.02, 0.03),
        aortic_stenosis=course(stenosis, 0.06, 0.01),
        aortic_regurgitation=course(
            rng.uniform(0.8, 3.2) if person.has(0.036, rng) else abs(rng.normal(0.0, 0.40)), 0.03, 0.05
        ),
        mitral_regurgitation=course(mitral, 0.03, 0.08),
        tricuspid_regurgitation=course(
            rng.uniform(0.8, 3.0) if person.has(0.02, rng) else abs(rng.normal(0.0, 0.4)), 0.03, 0.08
        ),
        pulmonary_regurgitation=course(
            rng.uniform(0.8, 2.8) if person.has(0.012, rng) else abs(rng.normal(0.0, 0.35)), 0.02, 0.05
        ),
        lung_pressure_mmhg=course(ailment.lung_pressure_mmhg, 0.03, 0.08),
        right_heart=course(rng.uniform(0.5, 3.0) if person.has(0.03, rng) else abs(rng.normal(0.0, 0.25)), 0.03, 0.08),
        effusion=course(rng.uniform(0.8, 3.6) if person.has(0.06, rng) else abs(rng.normal(0.0, 0.25)), -0.25, 0.15),
        fibrillation_share=share,
        fibrillation_phase=float(rng.random()),
        flutters=bool(rng.random() < 0.15),
        left_block_rank=float(rng.random()),
        right_block_rank=float(rng.random()),
        fascicle_rank=float(rng.random()),
        pacing_rank=float(rng.random()),
    )


def _grade(score: float) -> Grade:
    return int(np.clip(np.floor(score + 0.5), 0, 3))


def _cycle(day: float, period_days: float, phase: float) -> float:
    return float(np.sin(2.0 * np.pi * (day / period_days + phase)))
