"""MATLAB files, level 5 byte by byte: the ECG found by name or shape, nothing inflated or made beyond its limits."""

from __future__ import annotations

import struct
import zlib

import numpy as np
import pytest

from inputs.ecg.formats.mat import MAT, looks_like_mat
from inputs.errors import UnreadableFile
from inputs.records import STANDARD_LEADS, ReadHints, UploadedFile

KNOWN = ReadHints(rate_hz=500.0, unit="mV")
CLASSES = {"f8": 6, "f4": 7, "i1": 8, "u1": 9, "i2": 10, "u2": 11, "i4": 12, "u4": 13, "i8": 14, "u8": 15}
TYPES = {"i1": 1, "u1": 2, "i2": 3, "u2": 4, "i4": 5, "u4": 6, "f4": 7, "f8": 9, "i8": 12, "u8": 13}


class Level5:
    """Writes elements as the specification says, in either byte order."""

    def __init__(self, order: str = "<") -> None:
        self.order = order

    def file(self, *variables: bytes, deflated: bool = False) -> bytes:
        mark = b"\0\1IM" if self.order == "<" else b"\1\0MI"
        header = b"MATLAB 5.0 MAT-file, Platform: PCWIN64, Created on: Mon".ljust(116) + bytes(8) + mark
        if deflated:
            variables = tuple(struct.pack(self.order + "II", 15, len(z := zlib.compress(v))) + z for v in variables)
        return header + b"".join(variables)

    def element(self, kind: int, content: bytes) -> bytes:
        return struct.pack(self.order + "II", kind, len(content)) + content + bytes(-len(content) % 8)

    def small(self, kind: int, content: bytes) -> bytes:
        return struct.pack(self.order + "I", len(content) << 16 | kind) + content.ljust(4, b"\0")

    def matrix(self, name: str, kind: int, dims: tuple[int, ...], *parts: bytes, flags: int = 0) -> bytes:
        head = self.element(6, struct.pack(self.order + "II", kind | flags, 0))
        head += self.element(5, struct.pack(f"{self.order}{len(dims)}i", *dims))
        named = self.small(1, name.encode()) if 0 < len(name) <= 4 else self.element(1, name.encode())
        return self.element(14, head + named + b"".join(parts))

    def numbers(self, name: str, array, stored: str | None = None, flags: int = 0) -> bytes:
        array = np.asarray(array)
        array = array.reshape(1, -1) if array.ndim < 2 else array
        kind = array.dtype.str[1:]
        values = array.astype(self.order + (stored or kind)).tobytes(order="F")
        part = self.element(TYPES[stored or kind], values)
        return self.matrix(name, CLASSES[kind], array.shape, part, flags=flags)

    def text(self, name: str, text: str) -> bytes:
        letters = text.encode("utf-16-le" if self.order == "<" else "utf-16-be")
        return self.matrix(name, 4, (1, len(text)), self.element(4, letters))

    def cell(self, name: str, texts) -> bytes:
        return self.matrix(name, 1, (1, len(texts)), *(self.text("", text) for text in texts))

    def struct(self, name: str, **fields: bytes) -> bytes:
        names = b"".join(field.encode().ljust(32, b"\0") for field in fields)
        return self.matrix(name, 2, (1, 1), self.small(5, struct.pack(self.order + "i", 32)),
                           self.element(1, names), *fields.values())  # fmt: skip

    def opaque(self, name: str) -> bytes:
        head = self.element(6, struct.pack(self.order + "II", 17, 0)) + self.element(1, name.encode())
        return self.element(14, head + self.small(1, b"MCOS") + self.element(1, b"string"))


MAT5 = Level5()


def level_4(name: str, array: np.ndarray) -> bytes:
    kind = {"f8": 0, "i4": 20, "i2": 30}[array.dtype.str[1:]]
    head = struct.pack("<5i", kind, *array.shape, 0, len(name) + 1)
    return head + name.encode() + b"\0" + array.tobytes(order="F")


def read(data: bytes, hints: ReadHints = KNOWN):
    assert looks_like_mat(data)
    return MAT.read([UploadedFile("ecg.mat", data)], hints)


def refusal(data: bytes, hints: ReadHints = KNOWN) -> UnreadableFile:
    with pytest.raises(UnreadableFile) as caught:
        read(data, hints)
    assert caught.value.sentence.endswith(".")
    assert caught.value.hint == "" or caught.value.hint.endswith(".")
    return caught.value


def codes(recording) -> list[str]:
    return [warning.code for warning in recording.warnings]


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("deflated", [False, True])
@pytest.mark.parametrize("transposed", [False, True])
def test_a_matrix_in_a_struct_is_read_in_either_byte_order_and_orientation(ecg, order, deflated, transposed):
    mat5 = Level5(order)
    signal = ecg.signal_mv().astype("f8")
    data = mat5.numbers("", signal.T if transposed else signal)
    file = mat5.file(mat5.struct("ECG", sex=mat5.text("", "Male"), age=mat5.numbers("", [74.0]), data=data),
                     deflated=deflated)  # fmt: skip
    recording = read(file)
    np.testing.assert_array_equal(recording.signal_mv, ecg.signal_mv().astype("f4"))
    assert (recording.rate_hz, recording.lead_names, recording.source_format) == (500.0, STANDARD_LEADS, "mat")
    assert codes(recording) == ["lead_order_assumed"]


def test_rate_unit_and_leads_are_those_that_the_file_states(ecg):
    order = [11, 3, 0, 1]
    file = MAT5.file(
        MAT5.numbers("signal", np.round(1000 * ecg.signal_mv()[order]).astype("f8"), stored="i2"),
        MAT5.numbers("Fs", np.array([[500.0]]), stored="u2"),
        MAT5.text("units", "uV"),
        MAT5.cell("lead_names", [STANDARD_LEADS[row] for row in order]),
    )
    recording = read(file, ReadHints())
    np.testing.assert_allclose(recording.signal_mv, ecg.signal_mv()[order], rtol=0, atol=0.00051)
    assert (recording.rate_hz, recording.lead_names, codes(recording)) == (500.0, ("V6", "aVR", "I", "II"), [])
    assert refusal(file, ReadHints(rate_hz=250.0)).code == "rate_conflict"
    assert refusal(file, ReadHints(unit="mV")).code == "unit_conflict"
    assert codes(read(file, ReadHints(leads=("I", "II", "V1", "V2")))) == ["parameter_ignored"]


def test_a_matrix_of_letters_names_a_lead_in_each_row(ecg):
    names = np.array([list("II "), list("aVL"), list("V1 ")])
    text = MAT5.matrix("leads", 4, names.shape, MAT5.element(16, "".join(names.T.ravel()).encode()))
    recording = read(MAT5.file(MAT5.numbers("ecg", ecg.signal_mv()[:3].astype("f8")), text))
    assert recording.lead_names == ("II", "aVL", "V1")


def test_leads_that_stand_one_by_one_are_found_by_name(ecg):
    fields = {lead: MAT5.numbers("", ecg.signal_mv()[row]) for row, lead in enumerate(STANDARD_LEADS)}
    backwards = dict(reversed(fields.items()))
    recording = read(MAT5.file(MAT5.struct("record", **backwards), MAT5.numbers("fs", [500.0])), ReadHints(unit="mV"))
    assert recording.lead_names == STANDARD_LEADS[::-1]
    np.testing.assert_array_equal(recording.signal_mv[::-1], ecg.signal_mv().astype("f4"))


def test_what_the_file_does_not_state_is_asked_for(ecg):
    file = MAT5.file(MAT5.numbers("ecg", ecg.signal_mv()))
    assert refusal(file, ReadHints()).code == "rate_missing"
    assert refusal(file, ReadHints(rate_hz=500.0)).code == "unit_missing"
    assert refusal(MAT5.file(MAT5.numbers("ecg", np.zeros((15, 5000))))).code == "leads_missing"


def test_leads_named_in_a_way_that_is_not_read_are_not_taken_by_place(ecg):
    signal = MAT5.numbers("ecg", ecg.signal_mv())
    for named in (MAT5.opaque("leads"), MAT5.cell("leads", [f"ch{row}" for row in range(12)])):
        assert refusal(MAT5.file(signal, named)).code == "leads_missing"
        given = read(MAT5.file(signal, named), ReadHints(500.0, "mV", leads=STANDARD_LEADS[::-1]))
        assert given.lead_names == STANDARD_LEADS[::-1]


def test_whole_numbers_beside_a_gain_are_refused_until_somebody_says_their_unit(ecg):
    counts = np.round(1000 * ecg.signal_mv()).astype("i2")
    file = MAT5.file(MAT5.numbers("ecg", counts), MAT5.numbers("gain", [200.0]), MAT5.text("units", "mV"))
    assert refusal(file, ReadHints(rate_hz=500.0)).code == "scale_unclear"


def test_counts_of_a_physionet_record_without_its_header_are_refused_by_name(ecg):
    counts = np.round(1000 * ecg.signal_mv()).astype("i2")
    for data in (level_4("val", counts), MAT5.file(MAT5.numbers("val", counts))):
        error = refusal(data, ReadHints(500.0, "uV"))
        assert error.code == "file_missing"
        assert "PhysioNet" in error.sentence
        assert ".hea" in error.hint
    assert not MAT.is_sure_of(level_4("val", counts))
    assert read(level_4("ecg", ecg.signal_mv().astype("f8"))).signal_mv.shape == (12, 5000)


def test_a_representative_beat_is_never_taken_for_the_rhythm(ecg):
    beat = MAT5.numbers("median_beat", ecg.signal_mv()[:, :600])
    assert refusal(MAT5.file(beat)).code == "unsupported_format"
    assert read(MAT5.file(beat, MAT5.numbers("ecg", ecg.signal_mv()))).signal_mv.shape == (12, 5000)


def test_two_arrays_that_may_be_the_ecg_are_refused(ecg):
    two = [MAT5.numbers(name, ecg.signal_mv()) for name in ("ecg", "data")]
    assert refusal(MAT5.file(*two)).code == "several_ecgs"


@pytest.mark.parametrize("exam", [None, "3", "-1", "x"])
def test_an_ecg_of_many_is_chosen_by_its_place(ecg, exam):
    many = np.stack([ecg.signal_mv(seed) for seed in range(3)])
    file = MAT5.file(MAT5.numbers("ecg", many))
    np.testing.assert_array_equal(read(file, ReadHints(500.0, "mV", exam="2")).signal_mv, many[2].astype("f4"))
    assert refusal(file, ReadHints(500.0, "mV", exam=exam)).code == ("exam_not_found" if exam else "exam_missing")


@pytest.mark.parametrize(
    "variable",
    [
        MAT5.opaque("ecg"),
        MAT5.matrix("ecg", 3, (1, 1), MAT5.element(1, b"timeseries")),
        MAT5.matrix("ecg", 16, (1, 1)),
        MAT5.matrix("ecg", 5, (12, 5000), MAT5.element(5, bytes(4))),
        MAT5.numbers("ecg", np.zeros((12, 5000)), flags=0x800),
        MAT5.numbers("ecg", np.zeros((12, 5000), "u1"), flags=0x200),
    ],
    ids=["string", "object", "function", "sparse", "complex", "logical"],
)
def test_what_is_no_array_of_numbers_is_refused_by_name(variable):
    error = refusal(MAT5.file(variable))
    assert error.code == "unsupported_format"
    assert "MATLAB" in error.sentence


@pytest.mark.parametrize(
    "shape", [(2**31 - 1, 2**31 - 1), (12, 2**31 - 1), (12, 2**30, 2**30), (-1, 12), (12,), (0, 12)]
)
def test_an_absurd_shape_is_refused_before_anything_is_allocated(shape):
    refusal(MAT5.file(MAT5.matrix("ecg", 6, shape, MAT5.element(9, bytes(800)))))
    assert not looks_like_mat(struct.pack("<5i", 0, *(shape + shape)[:2], 9, 4) + b"ecg\0")


def test_a_bomb_is_refused_while_it_comes_out():
    bomb = zlib.compress(bytes(100 << 20), 9)
    file = MAT5.file(struct.pack("<II", 15, len(bomb)) + bomb)
    assert len(file) < 200_000
    assert refusal(file).code == "too_long"


def test_bombs_are_counted_together():
    bomb = zlib.compress(MAT5.numbers("a", np.zeros((1, 1 << 20))), 9)
    file = MAT5.file(*[struct.pack("<II", 15, len(bomb)) + bomb] * 10)
    assert refusal(file).code == "too_long"


def test_arrays_within_arrays_end_somewhere():
    cell = MAT5.matrix("", 1, (1, 1))
    nested = MAT5.numbers("", [1.0])
    for _ in range(200):
        cell = MAT5.matrix("", 1, (1, 1), cell)
        nested = MAT5.struct("", a=nested)
    refusal(MAT5.file(MAT5.matrix("leads", 1, (1, 1), cell)))
    refusal(MAT5.file(MAT5.struct("ecg", a=nested)))
    many = MAT5.matrix("leads", 1, (1, 256), *[MAT5.element(14, b"")] * 256)
    assert refusal(MAT5.file(*[many] * 100)).code == "too_long"


def test_a_file_cut_anywhere_within_a_variable_is_refused(ecg):
    for deflated in (False, True):
        file = MAT5.file(MAT5.numbers("ecg", ecg.signal_mv()), deflated=deflated)
        for cut in (20, 100, 127, 130, 200, len(file) // 2, len(file) - 1):
            error = refusal(file[:cut])
            assert error.code in ("unreadable_file", "unsupported_format")


def test_matlab_7_3_is_no_level_5():
    assert not looks_like_mat(b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(124) + b"\0\2IM")
