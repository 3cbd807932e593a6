"""What a cohort says of itself in `cohort.json`: where it is from, where its files lie, what its numbers are."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from cohorts.own_files import read_own_file
from cohorts.tables import CohortError
from inputs.ecg.leads import lead_from_name
from inputs.ecg.source import LeadScale
from inputs.errors import UnreadableFile
from inputs.limits import MAX_COHORT_ABOUT_BYTES, MAX_COHORT_ROOTS
from inputs.specs import Amplitude
from inputs.view_source import MEMBER, ViewSource

ABOUT = "cohort.json"
_ROOT_NAME = re.compile("[a-z][a-z0-9_-]{0,39}")


@dataclass(frozen=True)
class CohortAbout:
    """A simulator's stamp, a data set's name and terms, or nothing. Other fields than these mean nothing to us.

    `roots`: names and folders, absolute or relative to the cohort folder, that paths of the tables start at.
    `amplitude`: `relative` where ECGs have no unit. `lead_scale`: by lead [mean, standard deviation] in millivolt,
    which makes millivolts of z-scores.
    """

    written: Mapping[str, Any]
    """As it stands there, in its order."""

    @property
    def simulator_version(self) -> str | None:
        """Of the simulator that invented the cohort; None for one that does not say so."""
        version = self.written.get("simulator_version")
        return None if version is None else str(version)

    @property
    def is_simulated(self) -> bool:
        return self.simulator_version is not None

    def roots(self, folder: Path) -> dict[str, Path]:
        """Real folders by name. Raises CohortError for one that is none."""
        named = self.written.get("roots", {})
        if not isinstance(named, dict) or len(named) > MAX_COHORT_ROOTS:
            raise _wrong("roots_invalid", f"roots is not an object of at most {MAX_COHORT_ROOTS} names and folders")
        found = {}
        for name, place in named.items():
            if not _ROOT_NAME.fullmatch(name):
                raise _wrong("roots_invalid", "the name of a root is not of small letters, digits, _ and -")
            if not isinstance(place, str) or not place:
                raise _wrong("roots_invalid", f"the root {name} names no folder")
            try:
                real = (folder / place).resolve(strict=True)
                is_folder = real.is_dir()
            except (OSError, ValueError, RuntimeError):
                is_folder = False
            if not is_folder:
                raise CohortError(
                    "root_missing",
                    f"The root {name} of {ABOUT} is not there, or is no folder.",
                    hint=f"Connect the drive or share that it is on, or correct its place in {ABOUT}.",
                )
            found[name] = real
        return found

    @property
    def lead_scale(self) -> LeadScale:
        """By lead mean and standard deviation in millivolt; empty where there is none. Raises CohortError."""
        written = self.written.get("lead_scale", {})
        if not isinstance(written, dict):
            raise _wrong_scale()
        scale = {lead_from_name(str(name)[:20]): _mean_and_sd(pair) for name, pair in written.items()}
        if len(scale) < len(written) or None in scale:
            raise _wrong_scale()
        return {lead: pair for lead, pair in scale.items() if lead is not None}

    @property
    def view_source(self) -> ViewSource | None:
        """Whose vectors the table `views` holds; None where nothing is said. Raises CohortError."""
        written = self.written.get(MEMBER)
        if written is None:
            return None
        try:
            return ViewSource.model_validate(written)
        except ValidationError:
            raise _wrong(
                "view_source_invalid",
                f"{MEMBER} is not an object of a name, a width from 1 and, where it is known, a sha256",
            ) from None

    @property
    def amplitude(self) -> Amplitude:
        """What the ECGs are once they are read. Raises CohortError."""
        written = self.written.get("amplitude", "millivolt")
        if written not in ("millivolt", "relative"):
            raise _wrong("amplitude_unknown", "amplitude is neither millivolt nor relative")
        return "relative" if written == "relative" and not self.lead_scale else "millivolt"


def _mean_and_sd(pair: Any) -> tuple[float, float]:
    if not isinstance(pair, list) or len(pair) != 2:
        raise _wrong_scale()
    mean_mv, sd_mv = map(finite_number, pair)
    if mean_mv is None or sd_mv is None or sd_mv <= 0:
        raise _wrong_scale()
    return mean_mv, sd_mv


def finite_number(written: object) -> float | None:
    """A number of JSON, which may be a whole one of any length; None for anything else and what no float holds."""
    try:
        number = float(written) if type(written) in (int, float) else math.nan  # type: ignore[arg-type]
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def _wrong_scale() -> CohortError:
    return _wrong("lead_scale_invalid", "lead_scale is not [mean, standard deviation above 0] in millivolt, by lead")


def _wrong(code: str, clause: str) -> CohortError:
    return CohortError(code, f"In {ABOUT} {clause}.")


def read_about(root: Path) -> CohortAbout:
    """Of a cohort folder; nothing where there is no `cohort.json`. CohortError for one that is no JSON object."""
    written = json_of(root / ABOUT) if (root / ABOUT).exists() else {}
    if not isinstance(written, dict):
        raise about_unreadable()
    return CohortAbout(written)


def about_unreadable() -> CohortError:
    most_mib = MAX_COHORT_ABOUT_BYTES >> 20
    sentence = f"{ABOUT} is not a JSON object of at most {most_mib} MiB; mend it or remove it."
    return CohortError("about_unreadable", sentence)


def json_of(file: Path) -> object:
    """None for a file that is not there, cannot be read or holds none."""
    try:
        return json.loads(read_own_file(file, MAX_COHORT_ABOUT_BYTES))
    except (UnreadableFile, OSError, ValueError, RecursionError):
        return None
