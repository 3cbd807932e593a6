"""Philips ECG XML ("Sierra ECG", root `restingecgdata`, versions 1.03 and 1.04), of PageWriter and TraceMasterVue.

Source: Philips' schemas as described by sixlettervariables/sierra-ecg-tools (its wiki and examples). The rhythm is
`parsedwaveforms`, leads one after the other, counts of `resolution` microvolt (`signalresolution` in 1.03). Compressed
files (XLI) hold III, aVR, aVL and aVF as differences from what I and II make of them, with halves cut towards zero.
Others cut them downwards; that it is towards zero is seen in files, where only so all four follow to half a count.
"""

from __future__ import annotations

import base64
import binascii
import re
from xml.etree.ElementTree import Element

import numpy as np
from numpy.typing import NDArray

from inputs.ecg.formats.base import (
    Channel,
    EcgFormat,
    agreed_rate,
    build_recording,
    check_no_lead_twice,
    check_size,
    of_one_file,
)
from inputs.ecg.formats.digits import count_written, written_number, written_samples
from inputs.ecg.formats.xli import unpack_xli
from inputs.ecg.formats.xml import parse_xml, root_of, text_at
from inputs.ecg.leads import leads_from_names
from inputs.ecg.said import device_said
from inputs.errors import UnreadableFile
from inputs.records import STANDARD_LEADS, DeviceSaid, EcgRecording, InputWarning, ReadHints

_ROOT = "restingecgdata"
_TYPES = ("SierraECG", "PhilipsECG")
_VERSION = re.compile(r"1\.0[34](?:\.[0-9]{1,2})?")
_EXPORT = "Export it as Philips ECG XML 1.03 or 1.04, or as DICOM."
_IN_STANDARD_ORDER = ("STD-12", "10-WIRE")
"""Acquisitions whose first twelve channels are the standard leads in their order, where no labels stand."""
_LIMB = STANDARD_LEADS[:6]
_DERIVED = frozenset(_LIMB[2:])
_PULSE_MV, _PULSE_TOLERANCE_MV = 1.0, 0.02
_PULSE_S = (0.05, 0.5)
_MOST = 10.0**12
"""Leads or samples: a number of any length would be a sentence of any length."""


def looks_like_philips(data: bytes) -> bool:
    root = root_of(data)
    return root is not None and root[0] == _ROOT


def read_philips(data: bytes, hints: ReadHints) -> EcgRecording:
    """Read `parsedwaveforms`, never `repbeats`; `hints.rate_hz` may only confirm the rate. Raises UnreadableFile.

    The calibration pulse that devices write after the recording is left out, with a warning.
    """
    root = parse_xml(data)
    _check_kind(root)
    waves = root.find(".//parsedwaveforms")
    if waves is None:
        raise UnreadableFile("not_an_ecg", "This Philips ECG file holds no rhythm.", hint=_EXPORT)
    signal = root.find("dataacquisition/signalcharacteristics")
    signal = Element("signalcharacteristics") if signal is None else signal
    leads = _leads(waves, signal)
    rate_hz = _stated(waves, signal, ("samplespersecond", "samplingrate"), "rate_missing", "sampling rate")
    microvolt = _stated(
        waves, signal, ("resolution", "resolution", "signalresolution"), "unit_missing", "resolution in microvolt"
    )
    if microvolt <= 0:
        raise UnreadableFile("unit_missing", "The resolution of the Philips ECG file is not positive.")
    rate_hz = agreed_rate(hints.rate_hz, rate_hz)
    counts_LN = _counts(waves, signal, leads, _samples(waves, rate_hz, len(leads)))
    zero = written_number(_either(waves, signal, "signaloffset")) or 0.0
    signal_uv = np.where(counts_LN == np.iinfo(np.int16).min, np.nan, (counts_LN - zero) * microvolt)
    end = _end_before_pulse(signal_uv / 1000, rate_hz)
    warnings = []
    if end < signal_uv.shape[1]:
        left_out_s = (signal_uv.shape[1] - end) / rate_hz
        message = f"The last {left_out_s:.2g} s are a calibration pulse in all leads and were left out."
        warnings.append(InputWarning("calibration_removed", message))
    channels = [Channel(lead, "uV", row) for lead, row in zip(leads, signal_uv[:, :end], strict=True)]
    return build_recording(channels, rate_hz, "philips", warnings, said=_said(root, waves, signal))


def _check_kind(root: Element) -> None:
    """Others write the same root: it is the document's type and version that say what is inside."""
    kind, version = text_at(root, "documentinfo/documenttype"), text_at(root, "documentinfo/documentversion")
    if kind not in _TYPES:
        raise UnreadableFile(
            "unsupported_format",
            "This XML file has the root of a Philips ECG file and is of another type.",
            hint=_EXPORT,
        )
    if version is None or not _VERSION.fullmatch(version):
        raise UnreadableFile("unsupported_format", "This Philips ECG file is of a version not read.", hint=_EXPORT)


def _either(waves: Element, signal: Element, *names: str) -> str | None:
    """What the waveforms say of themselves, else what the acquisition says."""
    own = (waves.get(name) for name in names)
    return next((text for text in (*own, *(text_at(signal, name) for name in names)) if text and text.strip()), None)


def _stated(waves: Element, signal: Element, names: tuple[str, ...], code: str, what: str) -> float:
    """A number by the first name in the waveforms and by the others in the acquisition, which must agree."""
    texts = [waves.get(names[0]), *(text_at(signal, name) for name in names[1:])]
    found = {written_number(text) for text in texts if text and text.strip()}
    if len(found) > 1:
        raise UnreadableFile("unreadable_file", f"The Philips ECG file states more than one {what}.", hint=_EXPORT)
    if not found or (value := found.pop()) is None:
        raise UnreadableFile(code, f"The Philips ECG file does not state its {what}.", hint=_EXPORT)
    return value


def _leads(waves: Element, signal: Element) -> list[str | None]:
    """The lead of each channel, None where it is none we know."""
    labels = re.split(r"[\s,]+", (waves.get("leadlabels") or "").strip())
    labels = [label for label in labels if label]
    text = waves.get("numberofleads") or text_at(signal, "numberchannelsallocated")
    count = written_number(text) if text else float(len(labels))
    if count is None or count != int(count) or not 1 <= count <= _MOST:
        raise UnreadableFile("unreadable_file", "The Philips ECG file does not state how many leads it holds.")
    check_size(int(count), 0)
    if labels:
        if len(labels) != int(count):
            raise UnreadableFile("unreadable_file", "The Philips ECG file has not as many lead names as leads.")
        leads = list(leads_from_names(labels))
    elif text_at(signal, "acquisitiontype") in _IN_STANDARD_ORDER:
        leads = [*STANDARD_LEADS, *[None] * int(count)][: int(count)]
    else:
        raise UnreadableFile("leads_missing", "The Philips ECG file does not name its leads.", hint=_EXPORT)
    check_no_lead_twice([lead for lead in leads if lead is not None])
    return leads


def _samples(waves: Element, rate_hz: float, leads: int) -> int:
    """How many samples a lead has, by the stated time."""
    length_ms = written_number(waves.get("durationperchannel"))
    if length_ms is None or length_ms <= 0:
        raise UnreadableFile("unreadable_file", "The Philips ECG file does not state how long it is.", hint=_EXPORT)
    samples = round(min(length_ms * rate_hz / 1000, _MOST))
    check_size(leads, samples)
    if samples < 2:
        raise UnreadableFile("signal_empty", "The Philips ECG file holds no signal.")
    return samples


def _counts(waves: Element, signal: Element, leads: list[str | None], samples: int) -> NDArray[np.int64]:
    """(L, N) counts, the limb leads made whole. Raises UnreadableFile for what does not have the stated length."""
    signed = (_either(waves, signal, "signalsigned") or "True").casefold() != "false"
    bits = _either(waves, signal, "nbitspersample", "bitspersample") or "16"
    encoding = (waves.get("dataencoding") or "").casefold()
    method = _compression(waves)
    text = waves.text or ""
    if bits != "16" or encoding not in ("base64", "plain") or method not in ("", "xli"):
        raise UnreadableFile("unsupported_format", "The signal of this Philips ECG file is stored in a way not read.",
                             hint=_EXPORT)  # fmt: skip
    if method == "xli":
        if encoding != "base64" or not signed:
            raise UnreadableFile("unsupported_format", "The compressed Philips ECG file is not signed Base64.")
        return _limb_leads_whole(unpack_xli(_from_base64(text), len(leads), samples), leads)
    if encoding == "plain":
        if count_written(text, "Philips ECG") != len(leads) * samples:
            raise _wrong_length()
        counts = written_samples(text, len(leads) * samples, "Philips ECG")
    else:
        stored = _from_base64(text)
        if len(stored) != 2 * len(leads) * samples:
            raise _wrong_length()
        counts = np.frombuffer(stored, "<i2" if signed else "<u2")
    counts_LN = counts.reshape(len(leads), samples).astype(np.int64)
    _check_no_differences(counts_LN, leads)
    return counts_LN


def _compression(waves: Element) -> str:
    """The method's name in small letters, empty where there is none."""
    method = (waves.get("compressmethod") or waves.get("compression") or "").strip().casefold()
    flag = (waves.get("compressflag") or "").strip().casefold()
    if flag == "false" or method in ("uncompressed", "none"):
        return ""
    return method or ("unnamed" if flag == "true" else "")


def _from_base64(text: str) -> bytes:
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise UnreadableFile("unreadable_file", "The signal of the Philips ECG file is no Base64: damaged.") from error


def _wrong_length() -> UnreadableFile:
    return UnreadableFile("truncated", "The signal of the Philips ECG file has not the length that the file states.")


def _limb_leads_whole(counts_LN: NDArray[np.int64], leads: list[str | None]) -> NDArray[np.int64]:
    if not _DERIVED & set(leads):
        return counts_LN
    if tuple(leads[:6]) != _LIMB:
        raise UnreadableFile(
            "unsupported_format", "The compressed Philips ECG file has its limb leads in no known order.", hint=_EXPORT
        )
    one, two = counts_LN[:2]
    three = two - one - counts_LN[2]
    whole = counts_LN.copy()
    whole[2] = three
    whole[3] = -_half(one + two) - counts_LN[3]
    whole[4] = _half(one - three) - counts_LN[4]
    whole[5] = _half(two + three) - counts_LN[5]
    return whole


def _half(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    half: NDArray[np.int64] = np.sign(counts) * (np.abs(counts) // 2)
    return half


def _check_no_differences(counts_LN: NDArray[np.int64], leads: list[str | None]) -> None:
    """Refuse limb leads that are differences although nothing says that the file is compressed.

    Leads of a heart that are all within two counts of 0 while I and II are not follow from no I and II.
    """
    rows = {lead: row for lead, row in zip(leads, counts_LN, strict=True) if lead is not None}
    if not set(_LIMB) <= set(rows):
        return
    recorded, derived = (np.stack([rows[lead] for lead in some]) for some in (_LIMB[:2], _LIMB[2:]))
    if np.percentile(np.abs(derived), 99) <= 2 and np.percentile(np.abs(recorded), 99) > 10:
        raise UnreadableFile(
            "unsupported_format", "The limb leads of this Philips ECG file are stored as differences.", hint=_EXPORT
        )


def _end_before_pulse(signal_mv: NDArray[np.float64], rate_hz: float) -> int:
    """Where the recording ends and a calibration follows: rest, a square pulse of 1 mV and rest, equal in all leads.

    No heart makes it: where I and II are equal, III is 0. Rest before the pulse counts as long as that after it.
    """
    samples = int(signal_mv.shape[1])
    differs = np.flatnonzero((signal_mv != signal_mv[0]).any(axis=0))
    start = int(differs[-1]) + 1 if len(differs) else samples
    tail = signal_mv[0, start:]
    high = np.flatnonzero(np.abs(tail - _PULSE_MV) <= _PULSE_TOLERANCE_MV)
    if len(signal_mv) < 3 or not len(high):
        return samples
    first, last = int(high[0]), int(high[-1])
    rest = len(tail) - 1 - last
    begin = max(0, first - rest)
    low = np.concatenate([tail[begin:first], tail[last + 1 :]])
    square = len(high) == last - first + 1 and bool((np.abs(low) <= _PULSE_TOLERANCE_MV).all())
    if not square or first < 1 or rest < 1 or not _PULSE_S[0] <= len(high) / rate_hz <= _PULSE_S[1]:
        return samples
    return start + begin


def _said(root: Element, waves: Element, signal: Element) -> DeviceSaid:
    acquisition = root.find("dataacquisition")
    machine = root.find("dataacquisition/machine")
    maker = "" if machine is None else (machine.get("detaildescription") or "").partition(":")[0]
    day, time = ("", "") if acquisition is None else (acquisition.get("date") or "", acquisition.get("time") or "")
    stamp = re.fullmatch(r"\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d)?)?", f"{day}T{time}" if time else day, re.ASCII)
    interpretation = root.find("interpretations/interpretation")
    lines = () if interpretation is None else interpretation.iterfind("statement")
    statements = (
        " ".join(filter(None, (text_at(line, "leftstatement"), text_at(line, "rightstatement")))) for line in lines
    )
    pace = (text_at(root, "patient/generalpatientdata/pacestatus") or "").casefold()
    return device_said(
        vendor=maker.strip() or "Philips",
        model=text_at(root, "dataacquisition/machine"),
        recorded_at=stamp.group() if stamp else None,
        filters=_filters(waves, signal),
        measures=_measures(interpretation),
        statements=statements,
        paced={"paced": True, "yes": True, "true": True, "not paced": False, "no": False, "false": False}.get(pace),
    )


def _filters(waves: Element, signal: Element) -> list[str]:
    named = {"hipass": "high pass {} Hz", "lowpass": "low pass {} Hz", "signalbandwidth": "{} Hz"}
    return [words.format(text) for name, words in named.items() if (text := _either(waves, signal, name))]


def _measures(interpretation: Element | None) -> dict[str, str | None]:
    """Of 1.04 (`globalmeasurements`) or 1.03; "Failed" and "Invalid" are no numbers and fall away."""
    if interpretation is None:
        return {}
    names = {
        "heart_rate_bpm": ("heartrate",), "pr_ms": ("print", "meanprint"), "qrs_ms": ("qrsdur", "meanqrsdur"),
        "qt_ms": ("qtint", "meanqtint"), "qtc_ms": ("qtcb", "meanqtc"), "p_axis_deg": ("pfrontaxis",),
        "qrs_axis_deg": ("qrsfrontaxis",), "t_axis_deg": ("tfrontaxis",),
    }  # fmt: skip
    places = ("globalmeasurements", "interpretationmeasurements")
    return {
        measure: next(
            (text for place in places for tag in tags if (text := text_at(interpretation, f"{place}/{tag}"))), None
        )
        for measure, tags in names.items()
    }


PHILIPS = EcgFormat("philips", looks_like_philips, of_one_file(read_philips), states_itself=True)
