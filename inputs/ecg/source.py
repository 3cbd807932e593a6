"""One ECG of a cohort: where it lies, what somebody says beside its file, and what its numbers are.

Letters: L leads, N samples.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace

import numpy as np

from inputs.errors import UnusableRecording
from inputs.opened import PlacedFile
from inputs.records import NO_HINTS, STANDARD_LEADS, EcgRecording, ReadHints
from inputs.specs import Amplitude

LeadScale = Mapping[str, tuple[float, float]]
"""By lead the mean and the standard deviation in millivolt that z-scores were made with."""


@dataclass(frozen=True)
class EcgSource(PlacedFile):
    """hints: what is said beside the file. row, dataset: which ECG of an array of many, and its name in an HDF5 file.

    amplitude: `relative` for ECGs without a unit. lead_scale: makes millivolts of z-scores; empty where there is none.
    """

    hints: ReadHints = NO_HINTS
    row: int | None = None
    dataset: str = ""
    amplitude: Amplitude = "millivolt"
    lead_scale: LeadScale = field(default_factory=dict)

    @property
    def reading_hints(self) -> ReadHints:
        """What has no unit is read as if it were in millivolt."""
        without_unit = self.amplitude == "relative" or bool(self.lead_scale)
        return replace(self.hints, unit="mV") if without_unit else self.hints

    def said(self) -> bytes:
        """All that decides a recording beside the file's bytes; nothing where nothing is said."""
        said = {name: value for name, value in asdict(self.hints).items() if value is not None}
        if self.amplitude != "millivolt":
            said["amplitude"] = self.amplitude
        if self.lead_scale:
            said["lead_scale"] = {lead: list(self.lead_scale[lead]) for lead in sorted(self.lead_scale)}
        return json.dumps(said, sort_keys=True).encode() if said else b""

    def as_meant(self, recording: EcgRecording) -> EcgRecording:
        """What was read with `reading_hints`, in millivolt where a scale says how. Raises UnusableRecording."""
        if self.amplitude == "relative":
            _refuse_missing(recording)
        if not self.lead_scale:
            return recording
        lacking = tuple(lead for lead in recording.lead_names if lead not in self.lead_scale)
        if lacking:
            raise UnusableRecording(
                "lead_scale_missing", f"lead_scale of cohort.json has no {', '.join(lacking)}.", leads=lacking
            )
        mean_L, sd_L = np.array([self.lead_scale[lead] for lead in recording.lead_names], np.float64).T
        signal_mv = recording.signal_mv * sd_L[:, None] + mean_L[:, None]
        return replace(recording, signal_mv=signal_mv.astype(np.float32))


def _refuse_missing(recording: EcgRecording) -> None:
    """III from I and II holds for millivolts, and for no numbers of which each lead has its own unit."""
    missing = tuple(lead for lead in STANDARD_LEADS if lead not in recording.lead_names)
    if missing:
        raise UnusableRecording(
            "leads_missing",
            f"The ECG lacks {', '.join(missing)}, and from leads without a unit none is computed.",
            leads=missing,
        )
