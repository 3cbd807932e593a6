"""The samples of a DICOM multiplex group to channels in a unit: counts of 8, 16 or 32 bit, padding, scale and skew.

Source: PS3.3 C.10.9 (Waveform Module), PS3.16 CID 3082 for the units.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from inputs.ecg.formats.base import Channel, check_size, millivolts_per
from inputs.ecg.formats.dicom_elements import short_text
from inputs.ecg.formats.dicom_groups import Group, number_of
from inputs.errors import UnreadableFile
from inputs.records import InputWarning

# (bits allocated, sample interpretation) to a dtype; the companded MB and AB are for sound.
_SAMPLE_TYPES = {
    (8, "SB"): "i1", (8, "UB"): "u1", (16, "SS"): "i2", (16, "US"): "u2", (32, "SL"): "i4", (32, "UL"): "u4",
}  # fmt: skip
_UNIT_CODES = {
    "mdc_dim_nano_volt": "nV", "mdc_dim_micro_volt": "uV", "mdc_dim_milli_volt": "mV", "mdc_dim_volt": "V",
    "266419": "uV", "266418": "mV", "4:4275": "uV", "4:4274": "mV",
}  # fmt: skip
_MOST_SKEW_S = 0.1
"""Beyond it, channels are no simultaneous recording any more."""


@dataclass(frozen=True)
class Decoded:
    """Channels of one or several groups, all of one length, and what a person should know of them."""

    channels: list[Channel]
    warnings: list[InputWarning]


def check_lengths(group: Group) -> None:
    """Refuse a group whose data are not as long as it says, before anything is allocated."""
    check_size(group.channels, 0)
    if len(group.leads) != group.channels:
        raise UnreadableFile("unreadable_file", "The DICOM waveform does not describe as many channels as it has.")
    held, expected = len(_data(group)), group.channels * group.samples * _dtype(group).itemsize
    if held not in (expected, expected + expected % 2):
        raise UnreadableFile("truncated", "The DICOM waveform has not the length that its header states.")


def decode(groups: Sequence[Group], part: slice, *, big_endian: bool) -> Decoded:
    """The samples `part` of groups of one length, whose lengths were checked. Raises UnreadableFile."""
    channels: list[Channel] = []
    skews: list[float | None] = []
    warnings: list[InputWarning] = []
    for group in groups:
        counts_LN, some = _counts(group, part, big_endian)
        warnings += [warning for warning in some if warning not in warnings]
        definitions = group.dataset.ChannelDefinitionSequence
        for definition, lead, row in zip(definitions, group.leads, counts_LN, strict=True):
            channels.append(_channel(definition, lead, row))
            skews.append(None if lead is None else _skew(definition, group.rate_hz))
    return _aligned(channels, skews, warnings, groups[0].rate_hz)


def _dtype(group: Group) -> np.dtype[Any]:
    bits = group.dataset.get("WaveformBitsAllocated")
    kind = (bits, short_text(group.dataset, "WaveformSampleInterpretation"))
    if not isinstance(bits, int) or kind not in _SAMPLE_TYPES:
        raise UnreadableFile("unsupported_format", "The DICOM waveform has a sample type that no ECG uses.")
    return np.dtype(_SAMPLE_TYPES[kind])


def _data(group: Group) -> bytes:
    data = group.dataset.get("WaveformData")
    if not isinstance(data, bytes):
        raise UnreadableFile("truncated", "The DICOM waveform has no samples.")
    return data


def _counts(group: Group, part: slice, big_endian: bool) -> tuple[NDArray[np.float64], list[InputWarning]]:
    """Counts (channels, N) as float64, NaN where missing."""
    dtype = _dtype(group).newbyteorder(">" if big_endian else "<")
    check_size(group.channels, part.stop - part.start)
    whole = np.frombuffer(_data(group), dtype, group.channels * group.samples)
    counts = whole.reshape(group.samples, group.channels)[part].T
    warnings = []
    missing = np.zeros(counts.shape, bool)
    if dtype.kind == "i" and dtype.itemsize > 1:
        # The most negative count is how devices mark a missing sample, declared or not; as a voltage it is absurd.
        missing |= counts == np.iinfo(dtype).min
    padding = _padding(group.dataset, dtype)
    if padding:
        missing |= counts == padding
    if padding == 0:
        # Meant seriously by no device that also records a zero line.
        message = "The file declares 0 as padding, which is also a genuine value: such samples were kept."
        warnings.append(InputWarning("padding_ignored", message))
    counts_LN = np.where(missing, np.nan, counts.astype(np.float64))
    if _extend_signs(counts_LN, _bits_stored(group, dtype), signed=dtype.kind == "i"):
        message = "The samples lack the sign bits above their stored bits, which were filled in."
        warnings.append(InputWarning("sign_extended", message))
    return counts_LN, warnings


def _padding(group: Dataset, dtype: np.dtype[Any]) -> int | None:
    """The declared padding value, None where there is none."""
    value = group.get("WaveformPaddingValue")
    if isinstance(value, bytes):
        return int(np.frombuffer(value, dtype, 1)[0]) if len(value) >= dtype.itemsize else None
    return value if isinstance(value, int) else None


def _bits_stored(group: Group, dtype: np.dtype[Any]) -> NDArray[np.int64]:
    """Of each channel. What it can only say by mistake counts as all bits, and so does what is no lead."""
    most = 8 * dtype.itemsize
    said = [definition.get("WaveformBitsStored") for definition in group.dataset.ChannelDefinitionSequence]
    named = zip(said, group.leads, strict=True)
    return np.array([bits if lead and isinstance(bits, int) and 2 <= bits <= most else most for bits, lead in named])


def _extend_signs(counts_LN: NDArray[np.float64], bits_L: NDArray[np.int64], *, signed: bool) -> bool:
    """Give counts whose upper bits are zero their sign, in place, and say whether any needed it.

    Raises UnreadableFile for counts that fit the stored bits neither with their sign nor without it.
    """
    held = np.isfinite(counts_LN)
    low_L = np.min(counts_LN, axis=1, initial=0, where=held)
    high_L = np.max(counts_LN, axis=1, initial=0, where=held)
    span_L = np.ldexp(1.0, bits_L)
    needed = signed and bool((high_L >= span_L / 2).any())
    lowest_L = np.zeros(len(span_L)) if needed or not signed else -span_L / 2
    if not ((low_L >= lowest_L).all() and (high_L < span_L).all()):
        raise UnreadableFile(
            "bits_contradictory",
            "The samples of the DICOM waveform do not fit into the bits that it says are stored.",
            hint="Export the ECG again: WaveformBitsStored must be the bits that the samples use.",
        )
    if needed:
        counts_LN -= np.where(counts_LN >= span_L[:, None] / 2, span_L[:, None], 0.0)
    return needed


def _channel(definition: Dataset, lead: str | None, counts: NDArray[np.float64]) -> Channel:
    """Counts to the unit that the channel states, which is missing only for channels that are no leads."""
    scale = number_of(definition, "ChannelSensitivity", "sensitivity")
    factor = number_of(definition, "ChannelSensitivityCorrectionFactor", "correction factor")
    units = definition.get("ChannelSensitivityUnitsSequence")
    if lead is None:
        return Channel(None, "", counts)
    if not scale or factor == 0 or not units:
        raise UnreadableFile(
            "unit_missing",
            f"Lead {lead} of the DICOM file has no channel sensitivity or unit of it (tags 003A,0210 and 003A,0211), "
            "so that its samples cannot be turned into millivolt.",
            hint="Export the waveform again with these tags, or ask whoever runs the archive for the original object.",
            leads=(lead,),
        )
    offset = number_of(definition, "ChannelBaseline", "baseline") or 0.0
    with np.errstate(over="ignore", invalid="ignore"):
        return Channel(lead, _unit(units[0], lead), counts * scale * (factor or 1.0) + offset)


def _unit(coded: Dataset, lead: str) -> str:
    """The unit by its code and its meaning, which must not contradict each other."""
    texts = [short_text(coded, keyword) for keyword in ("CodeValue", "CodeMeaning")]
    texts = [_UNIT_CODES.get(text.casefold(), text) for text in texts]
    voltages = [text for text in texts if millivolts_per(text) is not None]
    if len({millivolts_per(text) for text in voltages}) > 1:
        raise UnreadableFile(
            "unit_conflict", f"Lead {lead} of the DICOM file has two units that contradict each other.", leads=(lead,)
        )
    return voltages[0] if voltages else texts[0]


def _skew(definition: Dataset, rate_hz: float) -> float:
    """How many samples later than its group a channel begins, which it says in samples or in seconds."""
    skew = number_of(definition, "ChannelSampleSkew", "skew")
    return skew if skew is not None else (number_of(definition, "ChannelTimeSkew", "skew") or 0.0) * rate_hz


def _aligned(
    channels: Sequence[Channel], skews: Sequence[float | None], warnings: list[InputWarning], rate_hz: float
) -> Decoded:
    """The channels over the time that all leads have, where they begin a sample or more apart."""
    said = [skew for skew in skews if skew is not None]
    first, last = min(said, default=0.0), max(said, default=0.0)
    if not last - first <= _MOST_SKEW_S * rate_hz:
        raise UnreadableFile(
            "leads_not_simultaneous",
            "Channels of the DICOM waveform begin at different times.",
            hint="Export all leads over the same 10 s.",
        )
    if last - first < 1:
        return Decoded(list(channels), warnings)
    samples = len(channels[0].samples) - round(last - first)
    aligned = [
        channel if skew is None else replace(channel, samples=channel.samples[round(last - skew) :][: max(samples, 0)])
        for channel, skew in zip(channels, skews, strict=True)
    ]
    lost_ms = 1000 * round(last - first) / rate_hz
    message = f"The leads begin at different samples; they were aligned, which costs {lost_ms:.0f} ms of them."
    return Decoded(aligned, [*warnings, InputWarning("skew_corrected", message)])
