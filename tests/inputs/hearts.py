"""Simulated hearts whose intervals are known, recorded as the simulator's electrocardiographs do or without noise."""

from dataclasses import dataclass, replace

import numpy as np

from inputs.records import STANDARD_LEADS, EcgRecording
from simulator.ecg.electrics import sample_electrics
from simulator.ecg.heart import shape_beat
from simulator.ecg.recorder import choose_recorder, record
from simulator.ecg.signal import heart_leads, moments_of, twelve_leads
from simulator.patient import sample_patient


@dataclass(frozen=True)
class Truth:
    """What the simulated heart was made with.

    heart_rate_bpm: of the beats that begin in the recording. qt_ms: to two widths after the centre of its T wave.
    """

    heart_rate_bpm: float
    pr_ms: float
    qrs_ms: float
    qt_ms: float
    fibrillates: bool


def simulated(seed, *, physiology=None, rate_hz=None, noise=True, duration_s=10.0, ectopy=None):
    """One recording of a heart, sampled unless given, and its truth; the same seed is the same heart at any rate_hz."""
    rng = np.random.default_rng([77, seed])
    patient = sample_patient(rng)
    electrics = sample_electrics(rng)
    if ectopy is not None:
        electrics = replace(electrics, ectopy=ectopy, atrial_ectopy=ectopy)
    physiology = physiology or _with_plain_intervals(patient.at(200.0))
    recorder = choose_recorder(physiology.site, rng)
    recorder = replace(recorder, rate_hz=rate_hz or recorder.rate_hz, arms_reversed=False)
    rng = np.random.default_rng([78, seed])
    beat = shape_beat(physiology, electrics, rng)
    moments = moments_of(physiology, electrics, beat, duration_s, rng)  # the very draws of `heart_leads` below
    onsets_s = [moment.onset_s for moment in moments if 0.0 < moment.onset_s < duration_s - 0.1]
    rng = np.random.default_rng([78, seed])
    leads_KN = heart_leads(physiology, electrics=electrics, rate_hz=recorder.rate_hz, duration_s=duration_s, rng=rng)
    if noise:
        leads_KN = record(leads_KN, recorder=recorder, skin_noise=electrics.skin_noise, rng=rng)
    recording = EcgRecording(twelve_leads(leads_KN), float(recorder.rate_hz), STANDARD_LEADS, "simulated")
    fibrillates = physiology.rhythm == "atrial_fibrillation"
    heart_rate_bpm = 60.0 / float(np.mean(np.diff(onsets_s)))
    return recording, Truth(heart_rate_bpm, beat.pr_ms, beat.qrs_ms, beat.qt_ms, fibrillates)


def _with_plain_intervals(physiology):
    """Flutter looks as if it had a PR interval, and a spike as if QRS began with it: neither is measured here."""
    rhythm = "atrial_fibrillation" if physiology.rhythm == "atrial_flutter" else physiology.rhythm
    conduction = "normal" if physiology.conduction == "paced" else physiology.conduction
    return replace(physiology, rhythm=rhythm, conduction=conduction)
