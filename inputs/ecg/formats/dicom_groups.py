"""Which multiplex groups of a DICOM waveform are the one rhythm, and which channel of them is which lead.

A group is a recording of its own: PS3.3 C.10.9 gives each its rate, length and time offset. Averaged beats are none.
Groups are joined only where they say that they are of one time, rate and length; a printout's 3x4 layout is not.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from pydicom.dataset import Dataset

from inputs.ecg.formats.base import checked_rate
from inputs.ecg.formats.dicom_elements import short_text
from inputs.ecg.formats.text import number
from inputs.ecg.leads import lead_from_code, leads_from_names, number_of_code
from inputs.errors import UnreadableFile
from inputs.records import STANDARD_LEADS, InputWarning

_AVERAGED = re.compile(r"median|\bmean\b|averag|avg|representative|template|beat|\bsaecg\b", re.IGNORECASE)
"""In a label whose words may be joined by underscores: MEDIAN_BEAT, AvgBeats, Representative cycle."""
_LONGEST_BEAT_S = 3.0
"""What lasts longer is no beat, whatever words are in its label: Heartbeat 10s, AVG off, Rhythm (mean removed)."""
_SAME_LEAD = re.compile(
    r"(?:(?:not|non|un)[ -]?(?:inverted|reversed|filtered)|(?:high|low|band)[ -]?pass|filtered|augmented"
    r"|(?:uni|bi)polar|limb|chest|precordial|standard|normal|original|resting|surface|left|none|leads?|ecg|einthoven|goldberger|wilson"
    r"|[ ,;.()])*",
    re.IGNORECASE,
)
"""Modifiers that make no other lead of one. All others may: Right, Posterior, Inverted, mirrored, Minus."""
_BEAT_S = 2.0
"""What lasts less beside a recording of twice its length is a beat, whether or not it says so."""
_LIMB, _CHEST = frozenset(STANDARD_LEADS[:6]), frozenset(STANDARD_LEADS[6:])


@dataclass(frozen=True)
class Group:
    """One multiplex group. offset_ms: from the common time base, None: not said. leads: one for each channel.

    place: in the file, from 0.
    """

    place: int
    dataset: Dataset
    channels: int
    samples: int
    rate_hz: float
    offset_ms: float | None
    label: str
    leads: tuple[str | None, ...] = ()

    @property
    def seconds(self) -> float:
        return self.samples / self.rate_hz

    @property
    def known(self) -> frozenset[str]:
        return frozenset(lead for lead in self.leads if lead is not None)


def the_rhythm(groups: Sequence[Dataset]) -> tuple[list[Group], list[InputWarning]]:
    """The groups that are one recording: that with the most leads, then samples; with a warning for those left out.

    A beat beside a rhythm is never chosen, however many leads it has; of equal recordings it is the first.
    Raises UnreadableFile where there are only averaged beats, or where leads would be enough and are not simultaneous.
    """
    original = [_group(place, group) for place, group in enumerate(groups) if not _is_averaged(group)]
    if not original:
        derived = any(_is_derived(group) and _seconds(group) >= _LONGEST_BEAT_S for group in groups)
        what = "recordings that are marked as derived from others" if derived else "averaged beats"
        raise UnreadableFile(
            "no_rhythm",
            f"This DICOM file holds only {what}, no original recording.",
            hint="Export the rhythm, usually 10 s of all leads, and not the median beat.",
        )
    together: dict[tuple[object, ...], list[Group]] = {}
    for group in original:
        said = (group.offset_ms, group.rate_hz, group.samples)
        together.setdefault(said if group.offset_ms is not None else (group.place,), []).append(group)
    joined = [_joined(_with_leads(cluster)) for cluster in together.values()]
    longest_s = max((each.seconds for cluster in joined for each in cluster if each.known), default=0.0)
    rhythms = [each for each in joined if not _is_beat(each[0], longest_s)]
    best = max(rhythms or joined, key=lambda cluster: (len(_leads_of(cluster)), cluster[0].samples))
    # What names no lead is no recording of the heart's: pressures of a catheter, a respiration.
    with_leads = [group for cluster in together.values() for group in _with_leads(cluster) if group.known]
    _check_simultaneous(best, with_leads)
    left_out = sum(group.place not in {each.place for each in best} for group in with_leads)
    if not left_out:
        return best, []
    what = "1 further recording" if left_out == 1 else f"{left_out} further recordings"
    at = "" if best[0].offset_ms is None else f" that begins at {best[0].offset_ms / 1000:g} s"
    message = (
        f"The recording of {len(_leads_of(best))} leads over {best[0].seconds:g} s{at} was read; {what} of the DICOM "
        f"file, of another time, rate or length, {'was' if left_out == 1 else 'were'} left out."
    )
    return best, [InputWarning("groups_ignored", message)]


def number_of(dataset: Dataset, keyword: str, what: str) -> float | None:
    """A number that DICOM writes as text, None where there is none. Raises UnreadableFile, with `what` it is."""
    text = short_text(dataset, keyword)
    if not text:
        return None
    try:
        return number(text)
    except ValueError:
        raise UnreadableFile("unreadable_file", f"The DICOM waveform has a malformed {what}.") from None


def _is_averaged(group: Dataset) -> bool:
    words = short_text(group, "MultiplexGroupLabel").replace("_", " ")
    return _is_derived(group) or (_AVERAGED.search(words) is not None and _seconds(group) < _LONGEST_BEAT_S)


def _is_derived(group: Dataset) -> bool:
    return short_text(group, "WaveformOriginality").upper() == "DERIVED"


def _seconds(group: Dataset) -> float:
    """How long a group lasts; 0 where it does not say it."""
    samples = group.get("NumberOfWaveformSamples")
    rate_hz = number_of(group, "SamplingFrequency", "sampling rate")
    return samples / rate_hz if isinstance(samples, int) and rate_hz else 0.0


def _is_beat(group: Group, longest_s: float) -> bool:
    return group.seconds < min(_BEAT_S, longest_s / 2)


def _group(place: int, dataset: Dataset) -> Group:
    channels, samples = (dataset.get(f"NumberOfWaveform{what}") for what in ("Channels", "Samples"))
    if not isinstance(channels, int) or not isinstance(samples, int):
        raise UnreadableFile("unreadable_file", "The DICOM waveform does not say how many channels and samples it has.")
    rate_hz = number_of(dataset, "SamplingFrequency", "sampling rate")
    if rate_hz is None:
        raise UnreadableFile("rate_missing", "The DICOM waveform does not state its sampling rate.")
    offset_ms = number_of(dataset, "MultiplexGroupTimeOffset", "time offset")
    label = short_text(dataset, "MultiplexGroupLabel")
    return Group(place, dataset, channels, samples, checked_rate(rate_hz), offset_ms, label)


def _with_leads(cluster: Sequence[Group]) -> list[Group]:
    """The same with their leads, for which all names of the cluster are seen together."""
    definitions = [list(group.dataset.get("ChannelDefinitionSequence") or []) for group in cluster]
    leads = iter(_leads([definition for some in definitions for definition in some]))
    return [
        replace(group, leads=tuple(next(leads) for _ in some)) for group, some in zip(cluster, definitions, strict=True)
    ]


def _leads(definitions: Sequence[Dataset]) -> list[str | None]:
    """By code first, then by the code's own text, its meaning and, last, the label.

    A code of a table that we know and a lead that we do not, as that of -aVR, is not overruled by a text. A lead that a
    modifier turns upside down, or to another place, is another one too.
    """
    leads: list[str | None] = []
    texts: list[tuple[str, ...]] = []
    for definition in definitions:
        source = (definition.get("ChannelSourceSequence") or [Dataset()])[0]
        code = short_text(source, "CodeValue") or short_text(source, "LongCodeValue")
        scheme = short_text(source, "CodingSchemeDesignator")
        modified = _is_modified(definition)
        leads.append(None if modified else lead_from_code(code, scheme))
        other = modified or (leads[-1] is None and number_of_code(code, scheme) is not None)
        meaning, label = short_text(source, "CodeMeaning"), short_text(definition, "ChannelLabel")
        texts.append(("", "", "") if other else (code, meaning, label))
    for column in range(3):
        names = [lead or some[column] for lead, some in zip(leads, texts, strict=True)]
        leads = [lead or named for lead, named in zip(leads, leads_from_names(names), strict=True)]
    return leads


def _is_modified(definition: Dataset) -> bool:
    for modifier in definition.get("ChannelSourceModifiersSequence") or []:
        meaning = short_text(modifier, "CodeMeaning").replace("_", " ")
        if not _SAME_LEAD.fullmatch(meaning) or (not meaning and short_text(modifier, "CodeValue")):
            return True
    return False


def _joined(cluster: Sequence[Group]) -> list[Group]:
    """Those of a cluster that have other leads than the ones before, the largest and the one called rhythm first."""
    chosen: list[Group] = []
    for group in sorted(cluster, key=lambda each: (-len(each.known), "RHYTHM" not in each.label.upper(), each.place)):
        if not chosen or (group.known and not group.known & _leads_of(chosen)):
            chosen.append(group)
    return sorted(chosen, key=lambda each: each.place)


def _leads_of(groups: Iterable[Group]) -> frozenset[str]:
    return frozenset[str]().union(*(group.known for group in groups))


def _check_simultaneous(best: Sequence[Group], groups: Sequence[Group]) -> None:
    """Refuse a file whose leads are enough for an ECG only where they are taken from several recordings."""
    everything = _leads_of(groups)
    if _is_enough(_leads_of(best)) or not _is_enough(everything):
        return
    if len({group.rate_hz for group in groups}) > 1:
        raise UnreadableFile(
            "rates_differ",
            "The leads of this DICOM file lie in groups of different sampling rates.",
            hint="Export all leads at one rate.",
        )
    raise UnreadableFile(
        "leads_not_simultaneous",
        f"The leads of this DICOM file lie in {len(groups)} groups that are not stated to be of one time and length.",
        hint="A 3x4 layout shows each lead for a part of the time: export all leads over the same 10 s.",
    )


def _is_enough(leads: frozenset[str]) -> bool:
    """Whether the twelve leads are there or follow: the chest leads, and two of the limb leads."""
    return leads >= _CHEST and len(leads & _LIMB) >= 2
