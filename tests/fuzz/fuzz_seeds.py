"""What fuzzing starts from: small files of every format, made by the builders of the tests.

An input of the fuzzer is the bytes of one file, or of several with JOIN between them, the recognised one first.
"""

from __future__ import annotations

import importlib.util
import io
import struct
import sys
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

_INPUTS = Path(__file__).resolve().parents[1] / "inputs"
for folder in (_INPUTS, _INPUTS / "ecg" / "formats"):
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))  # for the builders

import test_compliance  # noqa: E402
from ecg_xml import (  # noqa: E402
    aecg_series,
    aecg_set,
    aecg_xml,
    cardiosoft_xml,
    differences,
    full_disclosure,
    philips_xml,
    xli,
)
from muse_files import muse_file, muse_rhythm  # noqa: E402
from signal_files import counts_of, edf_of, ishne_of, scp_about, scp_beats, scp_file, scp_leads, scp_signal  # noqa: E402

from inputs.ecg.formats import FORMATS  # noqa: E402
from inputs.records import NO_HINTS, STANDARD_LEADS, ReadHints, UploadedFile  # noqa: E402

JOIN = b"\0\0--file--\0\0"
NAMES = ("Family.hea", "Family.dat", "part.hea")
"""Of the parts of an input; the samples of WFDB refer to each other by them."""
HINTS = (
    NO_HINTS,
    ReadHints(rate_hz=500.0, unit="uV"),
    ReadHints(rate_hz=500.0, unit="mV", leads=STANDARD_LEADS[::-1]),
    ReadHints(rate_hz=250.0, unit="V", exam="0"),
    ReadHints(rate_hz=500.0, unit="uV", start_s=0.02, length_s=0.04),
)
"""What a person may say beside a file. Each input is read with one of them, always the same."""


def files_of(data: bytes) -> list[UploadedFile]:
    """The upload that an input stands for."""
    parts = data.split(JOIN, len(NAMES) - 1)
    return [UploadedFile(name, part) for name, part in zip(NAMES, parts, strict=False)]


def hints_of(data: bytes) -> ReadHints:
    return HINTS[zlib.crc32(data) % len(HINTS)]


def _builder_class() -> type:
    """The builder of ECGs lies in a conftest, a name that many files have: it is loaded by its path."""
    spec = importlib.util.spec_from_file_location("ecg_builder", _INPUTS / "conftest.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.EcgBuilder


class ShortEcg(_builder_class()):
    """The builder of the tests, whose ECG lasts a tenth of a second unless asked: small inputs are many inputs."""

    def signal_mv(self, seed: int = 0, rate_hz: float = 500.0, seconds: float = 0.1) -> np.ndarray:
        return super().signal_mv(seed, rate_hz, seconds)


ECG = ShortEcg()


def _of_whole_seconds() -> np.ndarray:
    return ECG.signal_mv(seconds=1.0)[:2]


def _cardiosoft(text: str) -> bytes:
    """Its averaged beat cut to ten samples."""
    short = text.replace("9000," * 590, "").replace("Total>600<", "Total>10<")
    return short.encode("iso-8859-1", "replace")


def _more_wfdb() -> Iterator[bytes]:
    header, data = ECG.wfdb(ECG.signal_mv()[:3], names=STANDARD_LEADS[:3], name="Family")
    yield JOIN.join([header.data, data.data])
    yield JOIN.join([header.data.replace(b" 16 1000", b" 212 1000"), data.data])
    part = header.data.replace(b"Family 3", b"part 3")
    yield JOIN.join([b"Family/2 3 500 100\npart 50\npart 50\n", data.data, part])


def _more_npy() -> Iterator[bytes]:
    for kind in ("<f4", ">f8", "<i4", "<f2"):
        yield ECG.npy(ECG.signal_mv().astype(kind)).data
    yield ECG.npy(np.stack([ECG.signal_mv().T] * 2)).data
    yield ECG.npy(np.asfortranarray(ECG.signal_mv()[:8])).data


def _more_dicom() -> Iterator[bytes]:
    group = ECG.dicom_group(ECG.signal_mv()[:2], STANDARD_LEADS[:2], sensitivity=2.5)
    for syntax in ("1.2.840.10008.1.2", "1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.2"):
        try:
            yield ECG.dicom(group, syntax=syntax).data
        except (ValueError, struct.error):
            continue  # what the writer of the tests does not write


def _more_muse() -> Iterator[bytes]:
    yield muse_file(muse_rhythm(ECG.signal_mv()[:2], ["I", "II"], LeadAmplitudeUnitsPerBit="4.88"))


def _more_philips() -> Iterator[bytes]:
    counts = np.round(1000 * ECG.signal_mv()).astype(int)
    raw = differences(counts).astype("<i2").tobytes()
    yield philips_xml(raw, counts.shape[1], waves="").encode()
    yield philips_xml(xli(differences(counts)), counts.shape[1], version="1.03").encode()


def _more_cardiosoft() -> Iterator[bytes]:
    signal_mv = ECG.signal_mv(seconds=1.0)
    counts = np.round(200 * signal_mv).astype(int)
    yield _cardiosoft(cardiosoft_xml(ECG.signal_mv(), more=full_disclosure(counts)))
    yield _cardiosoft(cardiosoft_xml(ECG.signal_mv(), strip="", more=full_disclosure(counts)))


def _more_aecg() -> Iterator[bytes]:
    whole = aecg_set(ECG.signal_mv()[:2], STANDARD_LEADS[:2])
    yield aecg_xml(aecg_series(whole)).encode()
    yield aecg_xml(aecg_series(whole, code="REPRESENTATIVE_BEAT"), aecg_series(whole)).encode("utf-16")


def _more_scp() -> Iterator[bytes]:
    """Differences, Huffman code by the default table, own tables, and beats that were subtracted."""
    default = struct.pack("<H", 19999)
    rows = [row.tobytes() for row in counts_of(ECG.signal_mv()[:3])]
    leads = scp_leads(50, STANDARD_LEADS[:3])
    for way in (1, 2):
        yield scp_file({1: scp_about(), 3: leads, 6: scp_signal(rows, way=way)})
    coded = [bytes([0b10100110, 0b01000000]) + bytes(8)] * 3
    yield scp_file({2: default, 3: leads, 6: scp_signal(coded, way=1)})
    own = struct.pack("<HH", 1, 2) + struct.pack("<BBBhI", 1, 1, 1, 2, 0) + struct.pack("<BBBhI", 1, 9, 1, 0, 1)
    yield scp_file({2: own, 3: leads, 6: scp_signal([bytes(80)] * 3, way=2)})
    beats = scp_beats(20, 5, [(0, 10, 14, 18), (1, 19, 20, 25)])
    sections = {3: scp_leads(50, STANDARD_LEADS[:3], flags=0b11101), 4: beats}
    yield scp_file({2: default, **sections, 5: scp_signal(coded, way=2), 6: scp_signal(coded, way=1)})


def _more_ishne() -> Iterator[bytes]:
    yield ishne_of(ECG.signal_mv()[:3], ["VX", "unknown", "V1"], step_nv=2500, text=b"note", stated=150)


def _more_edf() -> Iterator[bytes]:
    yield edf_of(_of_whole_seconds(), ["EDF Annotations", "ECG II"])
    yield edf_of(_of_whole_seconds() * 1000, ["I", "V1"], bdf=True, unit="uV")


def _more_csv() -> Iterator[bytes]:
    yield ECG.csv(separator=";").data
    yield ECG.csv(separator="\t").data.replace(b".", b",")
    yield "\n".join(",".join(f"{value:.2e}" for value in row) for row in ECG.signal_mv().T).encode()
    yield ("time [ms];I [uV];II [uV]\n" + "\n".join(f"{2 * n};{n};{-n}" for n in range(50))).encode("utf-16")


def _more_hdf5() -> Iterator[bytes]:
    import h5py

    signal_mv = np.stack([ECG.signal_mv(seed).T for seed in range(2)]).astype("f4")
    for packed in ({"compression": "gzip", "shuffle": True}, {"compression": "lzf"}, {"chunks": (1, 20, 5)}):
        stream = io.BytesIO()
        with h5py.File(stream, "w") as file:
            dataset = file.create_dataset("tracings", data=signal_mv, **packed)
            dataset.attrs["fs"], dataset.attrs["unit"] = 500.0, "mV"
            file["exam_id"] = np.array([0, 9])
            file["leads"] = [lead.encode() for lead in STANDARD_LEADS]
        yield stream.getvalue()


def _more_mat() -> Iterator[bytes]:
    (plain,) = test_compliance.mat_sample(ECG).files
    head, variables = plain.data[:128], plain.data[128:]
    packed = zlib.compress(variables[(end := 8 + struct.unpack_from("<I", variables, 4)[0]) :])
    yield head + variables[:end] + struct.pack("<II", 15, len(packed)) + packed
    counts = np.round(1000 * ECG.signal_mv()).astype("<i2")
    yield struct.pack("<5i", 30, *counts.shape, 0, 4) + b"ecg\0" + counts.tobytes(order="F")


_MORE: dict[str, Callable[[], Iterator[bytes]]] = {
    "wfdb": _more_wfdb, "npy": _more_npy, "dicom": _more_dicom, "muse": _more_muse, "philips": _more_philips,
    "cardiosoft": _more_cardiosoft, "aecg": _more_aecg, "scp": _more_scp, "ishne": _more_ishne, "edf": _more_edf,
    "csv": _more_csv, "hdf5": _more_hdf5, "mat": _more_mat,
}  # fmt: skip


def seeds_of(name: str) -> list[bytes]:
    """Inputs of one format: the sample that the compliance suite asks of it, shorter, and its odder kinds."""
    if name == "edf":  # whose records are whole seconds
        first = edf_of(_of_whole_seconds(), ["I", "II"])
    else:
        first = JOIN.join(file.data for file in test_compliance.SAMPLES[name](ECG).files)
    first = _cardiosoft(first.decode("iso-8859-1")) if name == "cardiosoft" else first
    return [first, *(_MORE[name]() if name in _MORE else ())]


def all_seeds() -> list[bytes]:
    return [seed for each in FORMATS for seed in seeds_of(each.name)]


def zips() -> list[bytes]:
    """A record as a zip, deflated and not, in a folder, and with what is none of its files."""
    found = []
    for name, method in (("npy", zipfile.ZIP_STORED), ("wfdb", zipfile.ZIP_DEFLATED)):
        stream = io.BytesIO()
        with zipfile.ZipFile(stream, "w", method) as archive:
            for file in files_of(seeds_of(name)[0]):
                archive.writestr(f"folder/{file.name}", file.data)
            archive.writestr("folder/notes.txt", "a note")
        found.append(stream.getvalue())
    return found
