"""Lead names as files write them, to the spelling of STANDARD_LEADS: by name or code, never by position."""

from __future__ import annotations

import re

from inputs.records import STANDARD_LEADS

OTHER_LEADS: tuple[str, ...] = ("V3R", "V4R", "V7", "V8", "V9", "VX", "VY", "VZ")
"""Leads we know and keep although no encoder asks for them: right-sided, posterior and Frank."""

_KNOWN = {lead.casefold(): lead for lead in STANDARD_LEADS + OTHER_LEADS}
_KNOWN |= {"d1": "I", "d2": "II", "d3": "III", "di": "I", "dii": "II", "diii": "III"}

_MOST_LETTERS = 200

# SCP-ECG's lead numbers, which the MDC nomenclature took over. DICOM writes them as 5.6.3-9-61 or 2:61.
_NUMBERS = dict(zip(range(1, 9), ("I", "II", "V1", "V2", "V3", "V4", "V5", "V6"), strict=True))
_NUMBERS |= {61: "III", 62: "aVR", 63: "aVL", 64: "aVF"}


def lead_from_name(name: str) -> str | None:
    """The lead that a text such as `avl`, `Lead I (Einthoven)`, `DII` or `MDC_ECG_LEAD_V1` names, or None.

    A leading minus (Cabrera's -aVR) is another lead and `ECG 1` a position: neither is recognised.
    """
    if len(name) > _MOST_LETTERS:  # no name, and the patterns below take their time over long ones
        return None
    text = name.strip().casefold().removeprefix("mdc_ecg_lead_")
    text = re.sub(r"\s*\(.*\)$", "", text)
    text = re.sub(r"^(ecg[ _]+)?(lead[ _]+)?", "", text)
    return _KNOWN.get(text)


def lead_from_code(code: str, scheme: str) -> str | None:
    """The lead of a DICOM channel source code under SCPECG (`5.6.3-9-1`) or MDC (`2:1`), or None."""
    pattern = {"SCPECG": r"5\.6\.3-9-([0-9]{1,5})", "MDC": r"2:([0-9]{1,5})"}.get(scheme.strip().upper(), r"(?!)")
    match = re.fullmatch(pattern, code.strip())
    return _NUMBERS.get(int(match.group(1))) if match else None
