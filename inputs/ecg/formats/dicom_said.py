"""What a DICOM waveform object says beside the signal: device, time, filters, and its annotations.

Source: PS3.3 C.7.5.1 (equipment), C.10.9 (filters), C.10.10 (annotations); concepts of CID 3227 to 3229 by their codes
under SCPECG and LOINC, or by their meaning.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

from pydicom.dataset import Dataset

from inputs.ecg.formats.dicom_elements import Tree, short_text, unfold
from inputs.ecg.formats.text import number
from inputs.ecg.said import device_said
from inputs.records import DeviceSaid

_T = TypeVar("_T")

_CONCEPTS = {
    "heart_rate_bpm": ("8867-4", "heart rate", "ventricular heart rate", "ventricular rate"),
    "pr_ms": ("5.13.5-7", "8625-6", "pr interval", "pq interval", "pr interval global"),
    "qrs_ms": ("5.13.5-9", "8633-0", "qrs duration", "qrs duration global"),
    "qt_ms": ("5.13.5-11", "8634-8", "qt interval", "qt interval global"),
    "qtc_ms": ("5.10.2.5-5", "8636-3", "qtc interval", "qtc interval global"),
    "p_axis_deg": ("5.10.3-11", "8626-4", "p axis"),
    "qrs_axis_deg": ("5.10.3-13", "8632-2", "qrs axis"),
    "t_axis_deg": ("5.10.3-15", "8638-9", "t axis"),
}
_MEASURES = {word: measure for measure, words in _CONCEPTS.items() for word in words}
_ANNOTATIONS: Tree = {
    "WaveformAnnotationSequence": {"ConceptNameCodeSequence": {}, "MeasurementUnitsCodeSequence": {}},
}
_MOST_ANNOTATIONS = 2000
_DATE_TIME = re.compile(
    r"(?P<year>[0-9]{4})(?P<month>[0-9]{2})?(?P<day>[0-9]{2})?"
    r"(?P<hour>[0-9]{2})?(?P<minute>[0-9]{2})?(?P<second>[0-9]{2}(?:\.[0-9]{1,6})?)?(?P<zone>[+-][0-9]{4})?"
)
_NAMES = ("PatientName", "PatientID", "OtherPatientIDs", "OperatorsName", "ReferringPhysicianName",
          "PerformingPhysicianName", "PhysiciansOfRecord", "NameOfPhysiciansReadingStudy",
          "RequestingPhysician")  # fmt: skip
_OF_A_PERSON = re.compile(
    r"\b(?:dr|prof|md|m\.d)\b|\b(?:confirmed|reviewed|referred|signed|read|edited|interpreted|ordered) by\b|"
    r"\b(?:physician|technician|operator|patient|name|born)\b",
    re.IGNORECASE,
)


def said_in(dataset: Dataset, definitions: Sequence[Dataset]) -> DeviceSaid:
    """Device and time of a data set, filters of its channels, measurements and statements of its annotations.

    What is damaged is left out: nothing here may cost the signal.
    """

    def filters() -> list[str]:
        return list(dict.fromkeys(text for definition in definitions for text in _filters(definition)))

    def annotations() -> tuple[dict[str, float | str | None], list[str]]:
        unfold(dataset, _ANNOTATIONS)
        held = list(dataset.get("WaveformAnnotationSequence") or [])[:_MOST_ANNOTATIONS]
        return _measures(held), list(_statements(held, _words_of_people(dataset)))

    nothing: tuple[dict[str, float | str | None], list[str]] = ({}, [])
    measures, statements = _unless_damaged(annotations, nothing)
    return device_said(
        vendor=_unless_damaged(lambda: short_text(dataset, "Manufacturer"), None),
        model=_unless_damaged(lambda: short_text(dataset, "ManufacturerModelName"), None),
        recorded_at=_unless_damaged(lambda: _recorded_at(dataset), None),
        filters=_unless_damaged(filters, []),
        measures=measures,
        statements=statements,
    )


def _unless_damaged(look: Callable[[], _T], otherwise: _T) -> _T:
    try:
        return look()
    except MemoryError:
        raise
    except Exception:  # pydicom has a dozen errors for an odd element or a damaged sequence
        return otherwise


def _recorded_at(dataset: Dataset) -> str | None:
    """ISO 8601, as precise as the file has it, with a zone where it has one."""
    joined = [
        short_text(dataset, f"{what}Date") + short_text(dataset, f"{what}Time") for what in ("Acquisition", "Content")
    ]
    for text in (short_text(dataset, "AcquisitionDateTime"), *joined):
        found = _DATE_TIME.fullmatch(text)
        if found is None:
            continue
        date = "-".join(part for part in found.group("year", "month", "day") if part)
        time = ":".join(part for part in found.group("hour", "minute", "second") if part)
        zone = found["zone"] or short_text(dataset, "TimezoneOffsetFromUTC")
        if time and re.fullmatch(r"[+-][0-9]{4}", zone):
            time += f"{zone[:3]}:{zone[3:]}"
        return f"{date}T{time}" if time else date
    return None


def _filters(definition: Dataset) -> Iterator[str]:
    kinds = (
        ("FilterLowFrequency", "high-pass"),
        ("FilterHighFrequency", "low-pass"),
        ("NotchFilterFrequency", "notch"),
    )
    for keyword, name in kinds:
        value = _positive(short_text(definition, keyword))
        if value is not None:
            yield f"{name} {value:g} Hz"


def _positive(text: str) -> float | None:
    try:
        value = number(text)
    except ValueError:
        return None
    return value if 0 < value < 1e6 else None


def _measures(annotations: Iterable[Dataset]) -> dict[str, float | str | None]:
    """The first value of each; those of single beats follow those of the whole."""
    found: dict[str, float | str | None] = {}
    for annotation in annotations:
        concept = _first(annotation, "ConceptNameCodeSequence")
        words = [short_text(concept, keyword).casefold() for keyword in ("CodeValue", "CodeMeaning")]
        measure = next((_MEASURES[word] for word in words if word in _MEASURES), None)
        value = short_text(annotation, "NumericValue")
        if measure is None or measure in found or not value:
            continue
        if measure.endswith("_deg"):
            found[measure] = value
        elif (positive := _positive(value)) is not None:  # 0 where there was nothing to measure
            seconds = short_text(_first(annotation, "MeasurementUnitsCodeSequence"), "CodeValue").casefold() == "s"
            found[measure] = positive * (1000 if seconds and measure.endswith("_ms") else 1)
    return found


def _first(dataset: Dataset, keyword: str) -> Dataset:
    found: Dataset = next(iter(dataset.get(keyword) or [Dataset()]))
    return found


def _statements(annotations: Iterable[Dataset], people: frozenset[str]) -> Iterator[str]:
    """Texts without a concept, but for those that may be about a person and not about the ECG."""
    for annotation in annotations:
        text = short_text(annotation, "UnformattedTextValue")
        if text and _OF_A_PERSON.search(text) is None and not people & _words(text):
            yield text


def _words_of_people(dataset: Dataset) -> frozenset[str]:
    return frozenset[str]().union(*(_words(short_text(dataset, keyword)) for keyword in _NAMES))


def _words(text: str) -> frozenset[str]:
    return frozenset(word for word in re.split(r"[\W_]+", text.casefold()) if len(word) > 2)
