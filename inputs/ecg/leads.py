"""Lead names as files write them, to the spelling of STANDARD_LEADS: by name or code, never by position.

Numbers: SCP-ECG's table of leads (EN 1064), which the MDC nomenclature (ISO/IEEE 11073-10101) took over as its codes of
partition 2. DICOM's CID 3001 writes both, with meanings such as `Lead aVR, augmented voltage, right`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from inputs.records import STANDARD_LEADS

OTHER_LEADS: tuple[str, ...] = ("V3R", "V4R", "V7", "V8", "V9", "VX", "VY", "VZ")
"""Leads we know and keep although no encoder asks for them: right-sided, posterior and Frank."""

_KNOWN = {lead.casefold(): lead for lead in STANDARD_LEADS + OTHER_LEADS}
_KNOWN |= {"d1": "I", "d2": "II", "d3": "III", "di": "I", "dii": "II", "diii": "III"}
_LIMB = {"1": "I", "2": "II", "3": "III"}

_MOST_LETTERS = 200

# A dash joins a word and a name only where it touches both: `ECG -aVR` is the inverted lead. R writes dots for blanks.
_JOIN = r"(?:[ _:.]+|-)"
_WORD = "(?:leads?|ableitung|abl|d[eé]rivation|derivaci[oó]n|derivazione)"
_ALIKE = str.maketrans({"а": "a", "в": "v", "і": "i", "ⅰ": "i", "ⅱ": "ii", "ⅲ": "iii"})
"""Cyrillic letters and Roman numerals, in small letters, that are meant for ours: `В1` is how Cyrillic spells V1."""
_NOMENCLATURE = re.compile(r"mdc_ecg_(?:lead|elec_potl)_(?P<name>[a-z0-9]+)")
_SPELT = re.compile(
    rf"(?:(?:ecg|ekg){_JOIN})?"
    rf"(?:(?:(?P<place>limb|chest|precordial|augmented|standard)[ _]+)?{_WORD}{_JOIN})?"
    r"(?P<name>[a-z0-9]+|av[ _][rlf]|v[ _][1-9])"
    r"(?P<rest>[ ]?,[ ]?augmented\b[a-z, ]*)?[ .:]*"
)
_BRACKETS = re.compile(r"(?P<name>[^()]*?)\s*\((?P<remark>[^()]*)\)")
_REMARK = re.compile(r"einthoven|goldberger|wilson|(?:uni|bi)polar|limb|chest|precordial|augmented\b[a-z, ]*")
"""What brackets behind a name may say without making another lead of it, as (inverted) or (right) would."""

_CHEST_LEADS = 6
_CHEST = {f"c{number}": f"V{number}" for number in range(1, _CHEST_LEADS + 1)}
"""The chest electrodes of the IEC colour code, each of which makes a V lead; but C1 to C6 are EEG electrodes too."""
_SCALP = re.compile(r"(?:eeg[ _-].*|(?:fp|af|fc|ft|tp|cp|po|f|t|c|p|o|a|m)(?:10|[0-9]|z)(?:[ _-].*)?)")
"""Electrodes of the 10-10 system, alone or as in C3-A2."""

_NUMBERS = dict(zip(range(1, 9), ("I", "II", "V1", "V2", "V3", "V4", "V5", "V6"), strict=True))
_NUMBERS |= {61: "III", 62: "aVR", 63: "aVL", 64: "aVF"}
_NUMBERS |= {9: "V7", 11: "V3R", 12: "V4R", 16: "VX", 17: "VY", 18: "VZ", 66: "V8", 67: "V9"}
_MDC_PARTITION = 2 << 16
_MDC_POTENTIALS = 256
"""MDC_ECG_ELEC_POTL_I is MDC_ECG_LEAD_I and so many."""
_SCHEMES = {
    "SCPECG": re.compile(r"5\.6\.3-9-(?P<number>[0-9]{1,5})"),
    "MDC": re.compile(r"(?:2:(?P<number>[0-9]{1,5})|(?P<long>13[0-9]{4}))"),
}
_SCHEMES |= dict.fromkeys(("2.16.840.1.113883.6.24", "URN:ISO:STD:ISO:11073:10101"), _SCHEMES["MDC"])


def lead_from_name(name: str) -> str | None:
    """The lead that a text such as `avl`, `Lead I (Einthoven)`, `DII`, `EKG-V2` or `MDC_ECG_LEAD_V1` names, or None.

    A leading minus (Cabrera's -aVR) is another lead, `ECG 1` a position, and what has a unit behind it no name:
    none of them is recognised. C1 to C6 are decided by `leads_from_names`, which sees all names of a file.
    """
    if len(name) > _MOST_LETTERS:  # no name, and the patterns below take their time over long ones
        return None
    text = " ".join(name.casefold().translate(_ALIKE).split())
    if (brackets := _BRACKETS.fullmatch(text)) is not None:
        lead = lead_from_name(brackets["name"])
        remark = brackets["remark"].strip()
        same = lead in (_CHEST.get(remark), _plain(remark))
        return lead if same or _REMARK.fullmatch(remark) else None
    return _plain(text)


def leads_from_names(names: Sequence[str]) -> tuple[str | None, ...]:
    """The lead of each name of a file, in its order: as `lead_from_name`, and C1 to C6 as V1 to V6 where they must be.

    That is where all six are there once, beside leads I and II, with none of V1 to V6 and no other electrode of an EEG.
    """
    leads = [lead_from_name(name) for name in names]
    chest = [_chest_electrode(name) for name in names]
    found = sorted(lead for lead in chest if lead is not None)
    scalp = any(_is_scalp_electrode(name) for name, lead in zip(names, chest, strict=True) if lead is None)
    if found == sorted(_CHEST.values()) and {"I", "II"} <= set(leads) and not set(found) & set(leads) and not scalp:
        leads = [lead or electrode for lead, electrode in zip(leads, chest, strict=True)]
    return tuple(leads)


def names_given(names: Sequence[str] | None) -> tuple[str, ...] | None:
    """Names as a request gives them; one of nothing but leads with blanks between, as in `I II III`, is so many."""
    if names is None or len(names) != 1:
        return None if names is None else tuple(names)
    words = names[0][:_MOST_LETTERS].replace(";", " ").split()
    return tuple(words) if len(words) > 1 and None not in leads_from_names(words) else tuple(names)


def are_numbers(names: Sequence[str]) -> bool:
    """Whether names are V1, V2 and so on beyond the chest leads, as R calls columns that have no names."""
    return len(names) > _CHEST_LEADS and [name.upper() for name in names] == [f"V{n + 1}" for n in range(len(names))]


def lead_from_code(code: str, scheme: str) -> str | None:
    """The lead of a code under SCPECG (`5.6.3-9-1`) or MDC (`2:1`, `131073`, `131329`), or None."""
    number = number_of_code(code, scheme)
    return None if number is None else _NUMBERS.get(number)


def number_of_code(code: str, scheme: str) -> int | None:
    """The number that a code under SCPECG or MDC gives a lead, known to us or not; None: not said, or no such code.

    Whoever finds a number here and no lead for it has another lead, whatever a text beside it says.
    """
    pattern = _SCHEMES.get(scheme.strip().upper())
    match = pattern.fullmatch(code.strip()) if pattern is not None else None
    if match is None:
        return None
    if scheme.strip().upper() == "SCPECG":
        return int(match["number"]) or None
    number = int(match["number"] or int(match["long"]) - _MDC_PARTITION)
    return number % _MDC_POTENTIALS or None if number < 2 * _MDC_POTENTIALS else None


def _plain(text: str) -> str | None:
    """The lead of a text in small letters without brackets."""
    if (coded := _NOMENCLATURE.fullmatch(text)) is not None:
        return _KNOWN.get(coded["name"]) or _KNOWN.get("v" + coded["name"] if coded["name"] in "xyz" else "")
    if text.isdecimal():
        return lead_from_code(text, "MDC")
    spelt = _SPELT.fullmatch(text)
    if spelt is None:
        return None
    name = spelt["name"].replace(" ", "").replace("_", "")
    if spelt["rest"] is not None and not name.startswith("av"):
        return None
    if spelt["place"] == "limb":
        name = _LIMB.get(name, name).casefold()
    elif spelt["place"] in ("chest", "precordial") and (name.isdecimal() or name in _CHEST):
        name = "v" + name.removeprefix("c")
    return _KNOWN.get(name)


def _chest_electrode(name: str) -> str | None:
    """The V lead of the chest electrode that a text names, C1 to C6 with or without words before it."""
    spelt = _SPELT.fullmatch(" ".join(name.casefold().split())) if len(name) <= _MOST_LETTERS else None
    return None if spelt is None or spelt["rest"] is not None else _CHEST.get(spelt["name"])


def _is_scalp_electrode(name: str) -> bool:
    return len(name) <= _MOST_LETTERS and _SCALP.fullmatch(name.strip().casefold()) is not None
