"""The published normalisation of an array of z-scores, from which they become millivolts again.

EchoNext's: `waveform_normalization_params.json` of its authors' code, `mean` and `std` as lists of twelve in the order
I, II, III, aVR, aVL, aVF, V1 to V6 (`lowerbound`, `upperbound`: where values were cut before; not needed). Objects by
name of the lead are read too. The authors' file states no unit, so whoever has it says what one of its numbers is.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cohorts.about import finite_number
from cohorts.tables import CohortError
from inputs.errors import UnreadableFile
from inputs.limits import MAX_COHORT_ABOUT_BYTES
from inputs.opened import open_regular_file
from inputs.records import STANDARD_LEADS

_UNIT = re.compile(r"\s*(?P<count>[0-9]{1,6}(?:\.[0-9]{1,9})?)?\s*(?P<unit>[uµμ]v|mv)\s*", re.IGNORECASE)
_ASK = "Say with --lead-scale-unit what one of its numbers is: uV, mV or, of counts, such as 4.88uV."


def read_lead_scale(path: Path, said_unit: str | None) -> dict[str, list[float]]:
    """By lead the mean and the standard deviation in millivolt.

    The unit is the file's own where a field `unit` or `units` states it, else `said_unit`; never assumed. Raises
    CohortError for a file of another shape, a unit that nobody says and one that contradicts the file's.
    """
    content = _json_object(path)
    stated = next((content[name] for name in ("unit", "units") if isinstance(content.get(name), str)), None)
    per_number = [_millivolts(unit, path) for unit in (stated, said_unit) if unit is not None]
    if not per_number:
        raise CohortError("unit_missing", f"{path.name} does not say the unit of its numbers.", hint=_ASK)
    if len({*per_number}) > 1:
        raise CohortError("units_differ", f"{path.name} states another unit than --lead-scale-unit.")
    mean, spread = (_by_lead(content, names, path) for names in (("mean", "means"), ("std", "sd", "scale")))
    if not all(value > 0 for value in spread.values()):
        raise _not_a_scale(path)
    return {lead: [mean[lead] * per_number[0], spread[lead] * per_number[0]] for lead in STANDARD_LEADS}


def _json_object(path: Path) -> Mapping[str, Any]:
    try:
        with open_regular_file(path.resolve()) as file:
            content = json.loads(file.read(MAX_COHORT_ABOUT_BYTES))
    except UnreadableFile as error:
        raise CohortError("lead_scale_unreadable", f"{path.name}: {error.sentence}") from error
    except (OSError, ValueError, RecursionError) as error:
        raise _not_a_scale(path) from error
    if not isinstance(content, dict):
        raise _not_a_scale(path)
    return content


_ORDERS = ("leads", "lead_names", "lead_order")
"""Where a file says of which lead each number of a list is; else they are in the usual order."""


def _by_lead(content: Mapping[str, Any], names: tuple[str, ...], path: Path) -> dict[str, float]:
    values = next((content[name] for name in names if name in content), None)
    if isinstance(values, list) and len(values) == len(STANDARD_LEADS):
        order = next((content[name] for name in _ORDERS if name in content), STANDARD_LEADS)
        if not isinstance(order, list | tuple) or len(order) != len(values):
            raise _not_a_scale(path)
        values = dict(zip(map(str, order), values, strict=True))
    if not isinstance(values, dict):
        raise _not_a_scale(path)
    by_name = {str(lead).lower(): value for lead, value in values.items()}
    numbers = {lead: finite_number(by_name.get(lead.lower())) for lead in STANDARD_LEADS}
    found = {lead: number for lead, number in numbers.items() if number is not None}
    if len(found) < len(STANDARD_LEADS):
        raise _not_a_scale(path)
    return found


def _millivolts(unit: str, path: Path) -> float:
    """How many millivolts one number is. `4.88uV`: a count of so many microvolts."""
    match = _UNIT.fullmatch(unit)
    if match is None or float(match["count"] or 1) == 0:
        raise CohortError("unit_unknown", f"The unit of {path.name} must be uV or mV.", hint=_ASK)
    return float(match["count"] or 1) * (1.0 if match["unit"].lower() == "mv" else 1e-3)


def _not_a_scale(path: Path) -> CohortError:
    return CohortError(
        "lead_scale_unreadable",
        f"{path.name} is not a normalisation: it lacks a finite mean or a positive std for one of the twelve leads.",
        hint='A JSON object with "mean" and "std" is wanted, each a list of twelve or an object by lead.',
    )
