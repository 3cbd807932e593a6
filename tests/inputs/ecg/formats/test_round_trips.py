"""For every format: any leads in any order, however long, at any rate and step, come back as the same millivolts.

The compliance suite reads one ECG in each format. Here hypothesis draws the ECGs. And in every format a gain of
zero, one that is wrong by a thousand, and bits that lost their sign are noticed.
"""

from __future__ import annotations

import binascii
import io
import struct
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pytest
from ecg_xml import aecg_lead, aecg_series, aecg_time, aecg_xml, cardiosoft_xml, differences, philips_xml, xli
from hypothesis import given, settings
from hypothesis import strategies as st
from mortara_files import mortara_channel, mortara_cycle, mortara_file
from muse_files import muse_file, muse_lead, muse_median, muse_waveform
from signal_files import edf_of, ishne_of, scp_about, scp_file, scp_leads, scp_signal

from inputs.ecg.formats import FORMATS
from inputs.ecg.quality import check_ecg
from inputs.ecg.read import read_ecg
from inputs.errors import UnreadableFile, UnusableRecording
from inputs.records import NO_HINTS, STANDARD_LEADS, ReadHints, UploadedFile
from inputs.specs import EcgSpec

Upload = tuple[list[UploadedFile], ReadHints]


@dataclass(frozen=True)
class Drawn:
    """An ECG as whole numbers `counts_LN` of `step_uv` microvolt."""

    leads: tuple[str, ...]
    counts_LN: np.ndarray
    rate_hz: int
    step_uv: float

    @property
    def signal_mv(self) -> np.ndarray:
        return self.counts_LN * self.step_uv / 1000

    @property
    def as_if_1_uv(self) -> np.ndarray:
        """Millivolt of which a builder that knows steps of a microvolt alone makes the counts."""
        return self.counts_LN / 1000


def alone(data: bytes | str, hints: ReadHints = NO_HINTS) -> Upload:
    return [UploadedFile("ecg", data.encode() if isinstance(data, str) else data)], hints


def told(drawn: Drawn, unit: str) -> ReadHints:
    """What a person must say beside a file of numbers."""
    return ReadHints(rate_hz=drawn.rate_hz, unit=unit, leads=drawn.leads)


def wfdb(ecg, drawn: Drawn) -> Upload:
    per_mv = 1000 / drawn.step_uv
    gain = f"{per_mv:g}(0)/mV"
    return ecg.wfdb(drawn.signal_mv, names=drawn.leads, rate=str(drawn.rate_hz), gain=gain, per_mv=per_mv), NO_HINTS


def npy(ecg, drawn: Drawn) -> Upload:
    return alone(ecg.npy(drawn.signal_mv.T.astype("<f8")).data, told(drawn, "mV"))


def dicom(ecg, drawn: Drawn) -> Upload:
    group = ecg.dicom_group(drawn.signal_mv, drawn.leads, rate_hz=drawn.rate_hz, sensitivity=drawn.step_uv)
    return [ecg.dicom(group)], NO_HINTS


def muse(_ecg, drawn: Drawn) -> Upload:
    step = f"{drawn.step_uv:g}"
    leads = [
        muse_lead(name, row, LeadAmplitudeUnitsPerBit=step)
        for name, row in zip(drawn.leads, drawn.as_if_1_uv, strict=True)
    ]
    median = muse_median(drawn.as_if_1_uv, drawn.leads)
    return alone(muse_file(median, muse_waveform("Rhythm", leads, SampleBase=drawn.rate_hz)))


def philips(_ecg, drawn: Drawn) -> Upload:
    samples = drawn.counts_LN.shape[1]
    text = philips_xml(xli(differences(drawn.counts_LN)), samples)
    for before, after in (
        (f'durationperchannel="{2 * samples}"', f'durationperchannel="{1000 // drawn.rate_hz * samples}"'),
        ("<samplingrate>500<", f"<samplingrate>{drawn.rate_hz}<"),
        ('samplespersecond="500"', f'samplespersecond="{drawn.rate_hz}"'),
        ("<resolution>1<", f"<resolution>{drawn.step_uv:g}<"),
        ('resolution="1"', f'resolution="{drawn.step_uv:g}"'),
    ):
        assert before in text
        text = text.replace(before, after)
    return alone(text)


def cardiosoft(_ecg, drawn: Drawn) -> Upload:
    text = cardiosoft_xml(drawn.signal_mv, resolution=drawn.step_uv)
    return alone(text.replace('units="Hz">500<', f'units="Hz">{drawn.rate_hz}<').encode("iso-8859-1"))


def mortara(_ecg, drawn: Drawn) -> Upload:
    stated = {"SAMPLE_FREQ": drawn.rate_hz, "UNITS_PER_MV": f"{1000 / drawn.step_uv:.12g}"}
    channels = [mortara_channel(name, row, **stated) for name, row in zip(drawn.leads, drawn.as_if_1_uv, strict=True)]
    return alone(mortara_file(mortara_cycle(np.ones((12, 600))), *channels))


def aecg(_ecg, drawn: Drawn) -> Upload:
    leads = "".join(
        aecg_lead(lead, row, scale=(f"{drawn.step_uv:g}", "uV"))
        for lead, row in zip(drawn.leads, drawn.counts_LN, strict=True)
    )
    time = aecg_time(step=f"{1 / drawn.rate_hz:g}")
    return alone(aecg_xml(aecg_series(f"<component><sequenceSet>{time}{leads}</sequenceSet></component>")))


def scp(_ecg, drawn: Drawn) -> Upload:
    rows = [row.astype("<i2").tobytes() for row in drawn.counts_LN]
    signal = scp_signal(rows, step_nv=round(1000 * drawn.step_uv), interval_us=1_000_000 // drawn.rate_hz)
    return alone(scp_file({1: scp_about(), 3: scp_leads(drawn.counts_LN.shape[1], drawn.leads), 6: signal}))


def ishne(_ecg, drawn: Drawn) -> Upload:
    step_nv = round(1000 * drawn.step_uv)
    return alone(ishne_of(drawn.signal_mv, drawn.leads, rate_hz=drawn.rate_hz, step_nv=step_nv))


def edf(_ecg, drawn: Drawn) -> Upload:
    """Records of 500 samples, as long as the rate makes them."""
    end = drawn.step_uv / 1000 * 32768
    physical = (-end, round(drawn.step_uv / 1000 * 32767, 6))
    return alone(edf_of(drawn.signal_mv, drawn.leads, physical=physical, record_s=f"{500 / drawn.rate_hz:g}"))


def csv(ecg, drawn: Drawn) -> Upload:
    return alone(ecg.csv(drawn.signal_mv, drawn.leads).data, ReadHints(rate_hz=drawn.rate_hz, unit="mV"))


def hdf5(_ecg, drawn: Drawn) -> Upload:
    h5py = pytest.importorskip("h5py")
    stream = io.BytesIO()
    with h5py.File(stream, "w") as file:
        file["ecg"] = drawn.signal_mv
    return alone(stream.getvalue(), told(drawn, "mV"))


def mat(_ecg, drawn: Drawn) -> Upload:
    """Level 4: kept column by column."""
    values_mv = drawn.signal_mv
    head = struct.pack("<5i", 0, *values_mv.shape, 0, 4) + b"ecg\0"
    return alone(head + values_mv.astype("<f8").tobytes(order="F"), told(drawn, "mV"))


@dataclass(frozen=True)
class Writer:
    """Who writes a format here, and what of a drawn ECG the format or its builder can say."""

    write: Callable[..., Upload]
    rates: tuple[int, ...] = (125, 180, 250, 360, 500, 977, 1000, 1024)
    steps_uv: tuple[float, ...] = (0.5, 1.0, 2.5, 4.0, 5.0)
    any_leads: bool = True
    samples_of: int = 1
    """The number of samples is a multiple of it."""
    highest: tuple[int, ...] = (30, 1000, 5000)


ROUND = (125, 250, 500, 1000)
"""Rates whose interval is written out whole."""
WRITERS = {
    "wfdb": Writer(wfdb),
    "npy": Writer(npy),
    "dicom": Writer(dicom),
    "muse": Writer(muse),
    "philips": Writer(philips, rates=ROUND, any_leads=False, highest=(30, 1000)),
    "cardiosoft": Writer(cardiosoft, any_leads=False),
    "mortara": Writer(mortara),
    "aecg": Writer(aecg, rates=ROUND),
    "scp": Writer(scp, rates=ROUND),
    "ishne": Writer(ishne),
    "edf": Writer(edf, rates=ROUND, samples_of=500),
    "csv": Writer(csv),
    "hdf5": Writer(hdf5),
    "mat": Writer(mat),
}
"""By the name of the format. Add yours here."""


@st.composite
def ecgs(draw: st.DrawFn, writer: Writer) -> Drawn:
    leads = STANDARD_LEADS
    if writer.any_leads:
        leads = tuple(draw(st.permutations(STANDARD_LEADS))[: draw(st.integers(2, 12))])
    samples = writer.samples_of * draw(st.integers(1, 2) if writer.samples_of > 1 else st.integers(70, 260))
    highest = draw(st.sampled_from(writer.highest))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    counts_LN = random.integers(-highest, highest + 1, (len(leads), samples))
    return Drawn(leads, counts_LN, draw(st.sampled_from(writer.rates)), draw(st.sampled_from(writer.steps_uv)))


def test_every_format_is_written_here():
    assert sorted(WRITERS) == sorted(ecg_format.name for ecg_format in FORMATS)


@pytest.mark.parametrize("name", WRITERS)
@settings(max_examples=20, deadline=None, derandomize=True)
@given(data=st.data())
def test_the_same_millivolts_come_back(ecg, name, data):
    drawn = data.draw(ecgs(WRITERS[name]))
    recording = read_ecg(*WRITERS[name].write(ecg, drawn))
    assert (recording.source_format, recording.lead_names) == (name, drawn.leads)
    assert recording.rate_hz == pytest.approx(drawn.rate_hz, rel=1e-6)
    assert recording.signal_mv.shape == drawn.signal_mv.shape
    np.testing.assert_allclose(recording.signal_mv, drawn.signal_mv, rtol=1e-6, atol=1e-5)


def heart(ecg, step_uv: float) -> Drawn:
    return Drawn(STANDARD_LEADS, np.round(1000 * ecg.signal_mv() / step_uv).astype(int), 500, step_uv)


def found(upload: Upload) -> set[str]:
    """The codes of all warnings, of reading and after."""
    recording = read_ecg(*upload)
    return {warning.code for warning in recording.warnings + check_ecg(recording, EcgSpec()).warnings}


@pytest.mark.parametrize("name", WRITERS)
def test_twelve_bits_that_lost_their_sign_are_noticed_in_every_format(ecg, name):
    drawn = heart(ecg, 5.0)
    unsigned = replace(drawn, counts_LN=drawn.counts_LN & 0xFFF)
    assert "samples_wrapped" in found(WRITERS[name].write(ecg, unsigned))
    assert "samples_wrapped" not in found(WRITERS[name].write(ecg, drawn))


STEPS_WRONG_UV = {"scp": (0.001, 65.0), "ishne": (0.001, 32.0), "edf": (0.01, 1000.0), "mortara": (0.01, 1000.0)}
"""The smallest and the largest that fields so narrow can say."""


@pytest.mark.parametrize("name", WRITERS)
def test_a_step_that_is_wrong_by_a_thousand_is_noticed_in_every_format(ecg, name):
    too_small_uv, too_large_uv = STEPS_WRONG_UV.get(name, (0.001, 1000.0))
    drawn = heart(ecg, 1.0)
    assert "amplitude_implausible" not in found(WRITERS[name].write(ecg, drawn))
    assert "amplitude_implausible" in found(WRITERS[name].write(ecg, replace(drawn, step_uv=too_large_uv)))
    small = WRITERS[name].write(ecg, replace(drawn, step_uv=too_small_uv))
    with pytest.raises(UnusableRecording, match="flat"):
        found(small)


def without_gain(ecg, name: str) -> Upload:
    """A file that says that a step is nothing, and is whole otherwise."""
    drawn = heart(ecg, 1.0)
    if name == "dicom":
        group = ecg.dicom_group(drawn.signal_mv)
        for channel in group.ChannelDefinitionSequence:
            channel.ChannelSensitivity = "0"
        return [ecg.dicom(group)], NO_HINTS
    if name in ("muse", "philips", "aecg", "scp"):
        return WRITERS[name].write(ecg, replace(drawn, step_uv=0.0))
    (upload,), hints = WRITERS[name].write(ecg, drawn)
    before, after = {
        "cardiosoft": (b">1</Resolution>", b">0</Resolution>"),
        "mortara": (b'UNITS_PER_MV="1000"', b'UNITS_PER_MV="0"'),
        "ishne": (struct.pack("<12h", *[1000] * 12), bytes(24)),
        "edf": (b"32.767  ", b"-32.768 "),
    }[name]
    assert before in upload.data
    data = upload.data.replace(before, after)
    if name == "ishne":
        data = data[:8] + struct.pack("<H", binascii.crc_hqx(data[10:522], 0xFFFF)) + data[10:]
    return alone(data, hints)


@pytest.mark.parametrize("name", sorted(WRITERS.keys() - {"wfdb", "npy", "csv", "hdf5", "mat"}))
def test_a_gain_of_zero_is_refused_in_every_format_that_states_one(ecg, name):
    """In WFDB it says that none is known, and 200 a millivolt are meant."""
    with pytest.raises(UnreadableFile) as refused:
        read_ecg(*without_gain(ecg, name))
    assert refused.value.code == "unit_missing"
