"""What an ECG format is, and what every reader does last: named channels in some unit to an EcgRecording in millivolt.

A new format is one file beside this one that ends with its `EcgFormat`, a place in `inputs.ecg.formats.FORMATS`, and a
sample in the test that every format runs through.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from inputs.errors import UnreadableFile
from inputs.limits import MAX_CHANNELS, MAX_SAMPLES, MAX_VALUES
from inputs.records import STANDARD_LEADS, DeviceSaid, EcgRecording, InputWarning, ReadHints, UploadedFile

ABSURD_MV = 1e6
"""No electrode sees a kilovolt: infinite and absurd values count as missing, before they overflow anything."""

Choice = Literal["exam", "stretch"]
"""What of a file may be chosen: one of many exams, or so many seconds of a long recording."""

_MILLIVOLT = {"v": 1e3, "mv": 1.0, "uv": 1e-3, "nv": 1e-6}


@dataclass(frozen=True)
class EcgFormat:
    """One format: how its files are told from others, and who reads them. It knows nothing of names and folders.

    name: what `EcgRecording.source_format` says of a file read with it.
    recognises: whether the bytes of a file are of this format, at a glance and without an error.
    read: the recording. Is given the files of a record, the recognised one first, or that one file alone where the
        format has no companions. Raises UnreadableFile; what else a parser raises on a damaged file may escape.
    states_itself: files name their leads and units, so that given ones are not used, which is a warning.
    companions: where a record lies in several files, the names of those that a recognised one needs beside itself,
        checked to be plain names. Raises UnreadableFile.
    confirms: where `recognises` is wide and claims notes, images and tables of anything too, whether a file that it
        claims is an ECG beyond doubt; it may be one all the same where this says no.
    chooses: which of `ReadHints.exam` and of `start_s` with `length_s` the reader heeds; the others are not used, which
        is a warning.
    checks_unit: of formats that state units themselves, whether the reader holds a given unit to that of the file and
        warns of another one only.
    """

    name: str
    recognises: Callable[[bytes], bool]
    read: Callable[[Sequence[UploadedFile], ReadHints], EcgRecording]
    states_itself: bool
    companions: Callable[[bytes], tuple[str, ...]] | None = None
    confirms: Callable[[bytes], bool] | None = None
    chooses: frozenset[Choice] = frozenset()
    checks_unit: bool = False

    def is_sure_of(self, data: bytes) -> bool:
        """Whether a file is an ECG of this format beyond doubt."""
        return self.recognises(data) and (self.confirms is None or self.confirms(data))


def of_one_file(
    read: Callable[[bytes, ReadHints], EcgRecording],
) -> Callable[[Sequence[UploadedFile], ReadHints], EcgRecording]:
    """`EcgFormat.read` of a format without companions, from what reads the bytes of a file."""

    def read_upload(files: Sequence[UploadedFile], hints: ReadHints) -> EcgRecording:
        (file,) = files
        return read(file.data, hints)

    return read_upload


@dataclass(frozen=True)
class Channel:
    """One signal of a file. lead: our name, None where it is no ECG lead we know. samples: in `unit`, NaN missing."""

    lead: str | None
    unit: str
    samples: NDArray[np.floating]


def millivolts_per(unit: str) -> float | None:
    """How many millivolt one `unit` is (nV, uV, µV, mV, V in any case, or in words); None when it is no voltage."""
    text = unit.strip().casefold().replace("µ", "u").replace("μ", "u")
    for word, symbol in (("micro", "u"), ("milli", "m"), ("nano", "n"), ("", "")):
        text = text if text not in (word + "volt", word + "volts") else symbol + "v"
    return _MILLIVOLT.get(text)


def check_size(channels: int, samples: int) -> None:
    """Refuse, before anything is allocated, what no resting ECG needs."""
    if channels > MAX_CHANNELS:
        raise UnreadableFile("too_many_channels", f"The file has {channels} channels; at most {MAX_CHANNELS} are read.")
    most = min(MAX_SAMPLES, MAX_VALUES // max(channels, 1))
    if samples > most:
        of_so_many = "" if most == MAX_SAMPLES else f" of {channels} channels"
        raise UnreadableFile(
            "too_long",
            f"The recording has {samples} samples per lead; at most {most} are read{of_so_many}.",
            hint="Cut a stretch of 10 s out of it.",
        )


def check_no_lead_twice(leads: Sequence[str]) -> None:
    """Refuse a file that has one lead in two places: which of them is meant, nobody can say."""
    twice = tuple(lead for lead, count in Counter(leads).items() if count > 1)
    if twice:
        raise UnreadableFile("leads_ambiguous", f"The file has more than one lead {', '.join(twice)}.", leads=twice)


def checked_rate(rate_hz: float) -> float:
    """A rate from a file or a request, refused when it is no positive number."""
    if not (math.isfinite(rate_hz) and rate_hz > 0):
        raise UnreadableFile("rate_out_of_range", "The sampling rate is not a positive number.")
    return float(rate_hz)


def agreed_rate(given_hz: float | None, stated_hz: float) -> float:
    """The file's own rate; a given one that contradicts it is refused, because one of them must be wrong."""
    if given_hz is not None and not math.isclose(given_hz, stated_hz, rel_tol=0.01):
        raise UnreadableFile(
            "rate_conflict",
            f"The file states {stated_hz:g} Hz, and the parameter rate_hz {given_hz:g} Hz.",
            hint="Leave rate_hz out: the file states its own rate.",
        )
    return checked_rate(stated_hz)


def stretch(hints: ReadHints, samples: int, rate_hz: float) -> slice:
    """Which samples of a recording are read: all, or from `start_s` on `length_s` (10 s unless given) of them.

    Refuses a stretch that is not there, and a whole that is too long, with the way out.
    """
    if hints.start_s is None and hints.length_s is None:
        if samples > MAX_SAMPLES:
            raise UnreadableFile(
                "too_long",
                f"The recording has {samples} samples per lead; at most {MAX_SAMPLES} are read.",
                hint="Choose a stretch of it with start_s and length_s, such as start_s=60 and length_s=10.",
            )
        return slice(0, samples)
    start_s, length_s = hints.start_s or 0.0, 10.0 if hints.length_s is None else hints.length_s
    if not (0 <= start_s < math.inf and 0 < length_s < math.inf):
        raise UnreadableFile("stretch_out_of_range", "start_s must not be negative, and length_s must be positive.")
    first, count = round(start_s * rate_hz), round(length_s * rate_hz)
    if count < 1 or first + count > samples:
        lasts = f"{samples / rate_hz:.1f} s"
        raise UnreadableFile(
            "stretch_out_of_range",
            f"The recording lasts {lasts}: the stretch is not within it.",
            hint=f"Together start_s and length_s, which is 10 s unless given, must not be more than {lasts}.",
        )
    if count > MAX_SAMPLES:
        raise UnreadableFile(
            "too_long",
            f"The stretch has {count} samples per lead; at most {MAX_SAMPLES} are read.",
            hint="Choose a smaller length_s.",
        )
    return slice(first, first + count)


def build_recording(
    channels: Sequence[Channel],
    rate_hz: float,
    source_format: str,
    warnings: Sequence[InputWarning] = (),
    said: DeviceSaid | None = None,
) -> EcgRecording:
    """Keep the leads we know, in the file's order, as millivolt. Names of other channels never leave this function.

    Raises UnreadableFile when a lead comes twice, is no voltage, differs in length, or none is known.
    """
    warnings = list(warnings)
    kept = [channel for channel in channels if channel.lead is not None]
    if not kept:
        raise UnreadableFile(
            "leads_missing",
            f"None of the {len(channels)} channels is named as an ECG lead.",
            hint="Channels are found by name: I, II, III, aVR, aVL, aVF, V1 to V6.",
            leads=STANDARD_LEADS,
        )
    names = tuple(channel.lead for channel in kept if channel.lead is not None)
    check_no_lead_twice(names)
    if len({len(channel.samples) for channel in kept}) > 1:
        raise UnreadableFile("length_mismatch", "The leads of this file differ in length.")
    if len(kept[0].samples) == 0:
        raise UnreadableFile("signal_empty", "The file holds no sample.")
    check_size(len(kept), len(kept[0].samples))
    signal_mv = np.empty((len(kept), len(kept[0].samples)), np.float32)
    for row, channel, name in zip(signal_mv, kept, names, strict=True):
        factor = millivolts_per(channel.unit)
        if factor is None:
            raise UnreadableFile(
                "unit_not_voltage",
                f"Lead {name} is not in a unit of voltage.",
                hint="Leads must be in nV, uV, mV or V.",
                leads=(name,),
            )
        with np.errstate(over="ignore", invalid="ignore"):
            row[:] = channel.samples * factor
    signal_mv[~(np.abs(signal_mv) < ABSURD_MV)] = np.nan
    if len(kept) < len(channels):
        left_out = len(channels) - len(kept)
        warnings.append(InputWarning("channels_ignored", f"{left_out} channels that are not ECG leads were left out."))
    return EcgRecording(signal_mv, checked_rate(rate_hz), names, source_format, tuple(warnings), said)
