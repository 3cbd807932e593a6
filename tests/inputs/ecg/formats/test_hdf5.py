"""HDF5 files: one ECG, or the one that is meant of many; nothing outside of a file, nothing beyond its limits."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest

from inputs.ecg.formats import hdf5
from inputs.ecg.formats.hdf5 import HDF5, looks_like_hdf5
from inputs.errors import UnreadableFile
from inputs.records import STANDARD_LEADS, ReadHints, UploadedFile

h5py = pytest.importorskip("h5py")
KNOWN = ReadHints(rate_hz=500.0, unit="mV")


def written(fill, *, matlab: bool = False) -> bytes:
    """The bytes of a file that `fill` writes into; behind MATLAB's 512 bytes where asked."""
    stream = io.BytesIO()
    with h5py.File(stream, "w", userblock_size=512 if matlab else 0) as file:
        fill(file)
    data = stream.getvalue()
    return b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(512) + data[512:] if matlab else data


def read(data: bytes, hints: ReadHints = KNOWN):
    assert looks_like_hdf5(data)
    return HDF5.read([UploadedFile("ecg.h5", data)], hints)


def refusal(data: bytes, hints: ReadHints = KNOWN) -> UnreadableFile:
    with pytest.raises(UnreadableFile) as caught:
        read(data, hints)
    assert caught.value.sentence.endswith(".")
    assert caught.value.hint == "" or caught.value.hint.endswith(".")
    return caught.value


def codes(recording) -> list[str]:
    return [warning.code for warning in recording.warnings]


def many(ecg) -> np.ndarray:
    return np.stack([ecg.signal_mv(seed).T for seed in range(3)]).astype("f4")


PACKED = [
    {}, {"chunks": True}, {"compression": "gzip"}, {"compression": "gzip", "shuffle": True, "chunks": (2, 999, 5)},
    {"compression": "lzf"}, {"compression": "lzf", "shuffle": True},
]  # fmt: skip


@pytest.mark.parametrize("packed", PACKED)
@pytest.mark.parametrize("dtype", ["<f4", ">f8", "<f2", "<i2"])
def test_an_exam_is_chosen_by_its_id_however_the_file_is_packed(ecg, packed, dtype):
    tracings = np.round(1000 * many(ecg)).astype(dtype)

    def fill(file):
        file.create_dataset("tracings", data=tracings, **packed)
        file["exam_id"] = np.array([70, 7, 700])

    recording = read(written(fill), ReadHints(500.0, "uV", exam="700"))
    np.testing.assert_allclose(recording.signal_mv, tracings[2].T.astype("f4") / 1000, rtol=1e-6)
    assert (recording.lead_names, recording.source_format) == (STANDARD_LEADS, "hdf5")
    assert codes(recording) == ["lead_order_assumed"]


@pytest.mark.parametrize("exam", [None, "1", "8", "7x"])
def test_an_exam_that_is_not_chosen_or_not_there_is_asked_for_without_an_id(ecg, exam):
    def fill(file):
        file["tracings"] = many(ecg)
        file["exam_id"] = np.array([7321, 7321, 9876])

    error = refusal(written(fill), ReadHints(500.0, "mV", exam=exam))
    assert error.code == ("exam_missing" if exam is None else "exam_not_found")
    assert not {"7321", "9876"} & set((error.sentence + error.hint).replace(".", " ").split())
    assert refusal(written(fill), ReadHints(500.0, "mV", exam="7321")).code == "exam_not_found"


def test_exams_without_ids_are_chosen_by_place_and_with_texts_by_text(ecg):
    plain = written(lambda file: file.create_dataset("tracings", data=many(ecg)))
    np.testing.assert_array_equal(read(plain, ReadHints(500.0, "mV", exam="1")).signal_mv, many(ecg)[1].T)
    assert "0 to 2" in refusal(plain, ReadHints(500.0, "mV", exam="3")).hint

    def fill(file):
        file["ecg"] = many(ecg)
        file.create_dataset("exam_id", data=["a", "0", "c"], dtype=h5py.string_dtype(), compression="gzip")

    np.testing.assert_array_equal(read(written(fill), ReadHints(500.0, "mV", exam="0")).signal_mv, many(ecg)[1].T)


def test_one_exam_alone_needs_no_choice(ecg):
    recording = read(written(lambda file: file.create_dataset("tracings", data=many(ecg)[:1])))
    np.testing.assert_array_equal(recording.signal_mv, many(ecg)[0].T)


def test_only_the_exam_that_is_meant_is_read(ecg):
    def fill(file):
        file.create_dataset("tracings", (40_000, 4096, 12), "f4", chunks=(1, 4096, 12), compression="gzip")
        file["tracings"][39_999, :, :] = 0.5

    recording = read(written(fill), ReadHints(400.0, "mV", exam="39999"))
    assert (recording.signal_mv == 0.5).all()


@pytest.mark.parametrize("where", ["dataset", "group", "root", "beside", "about"])
def test_rate_unit_and_leads_are_those_that_the_file_states(ecg, where):
    order = [11, 3, 0, 1]
    said = {"fs": 500, "units": "uV", "lead_names": [STANDARD_LEADS[row] for row in order]}

    def fill(file):
        group = file.create_group("study/ecg")
        group["waveform"] = np.round(1000 * ecg.signal_mv()[order]).astype("i4")
        if where in ("beside", "about"):
            (group.create_group("metadata") if where == "about" else group).update(said)
        else:
            {"dataset": group["waveform"], "group": group, "root": file}[where].attrs.update(said)

    data = written(fill)
    recording = read(data, ReadHints())
    np.testing.assert_allclose(recording.signal_mv, ecg.signal_mv()[order], rtol=0, atol=0.00051)
    assert (recording.rate_hz, recording.lead_names, codes(recording)) == (500.0, ("V6", "aVR", "I", "II"), [])
    assert refusal(data, ReadHints(rate_hz=250.0)).code == "rate_conflict"
    assert refusal(data, ReadHints(unit="mV")).code == "unit_conflict"


def test_leads_of_different_rates_are_refused_by_name(ecg):
    def fill(file):
        for row, lead in enumerate(STANDARD_LEADS):
            file[f"rhythm/{lead}"] = ecg.signal_mv()[row]
            file[f"rhythm/{lead}"].attrs["fs"] = 500 if row < 6 else 250

    assert refusal(written(fill), ReadHints(unit="mV")).code == "rates_differ"


def test_a_matlab_7_3_file_is_read_by_the_axes_and_names_that_matlab_meant(ecg):
    def fill(file):
        def put(name, data, kind):
            file[name] = data
            file[name].attrs["MATLAB_class"] = np.bytes_(kind)
            return file[name]

        put("ecg", many(ecg).transpose(0, 2, 1).T.astype("f8"), "double")
        put("fs", np.array([[500.0]]), "double")
        put("units", np.array([[ord(letter)] for letter in "mV"], "u2"), "char")
        names = [put(f"#refs#/{row}", np.array([[ord(x)] for x in lead], "u2"), "char").ref
                 for row, lead in enumerate(reversed(STANDARD_LEADS))]  # fmt: skip
        put("leads", np.array(names, h5py.ref_dtype).reshape(-1, 1), "cell")

    recording = read(written(fill, matlab=True), ReadHints(exam="1"))
    np.testing.assert_array_equal(recording.signal_mv, many(ecg)[1].T)
    assert (recording.rate_hz, recording.lead_names) == (500.0, STANDARD_LEADS[::-1])


def outside(kind, secret):
    def fill(file):
        if kind == "external link":
            file["ecg"] = h5py.ExternalLink(str(secret), "ecg")
        elif kind == "soft link":
            file["ecg"] = h5py.SoftLink("/nowhere")
        elif kind == "external storage":
            file.create_dataset("ecg", (12, 5000), "f4", external=[(str(secret), 0, 240_000)])
        else:
            layout = h5py.VirtualLayout((12, 5000), "f4")
            layout[:] = h5py.VirtualSource(str(secret), "ecg", (12, 5000))
            file.create_virtual_dataset("ecg", layout)

    return fill


@pytest.mark.parametrize("kind", ["external link", "soft link", "external storage", "virtual"])
def test_nothing_outside_of_the_file_is_read(ecg, tmp_path, kind):
    secret = tmp_path / "secret.h5"
    secret.write_bytes(written(lambda file: file.create_dataset("ecg", data=ecg.signal_mv().astype("f4"))))
    error = refusal(written(outside(kind, secret)))
    assert error.code == "unsupported_format"
    assert "points to others" in error.sentence


@pytest.mark.parametrize("name", ["fs", "units", "leads", "exam_id", "anything"])
@pytest.mark.parametrize("kind", ["char", "double", "cell"])
def test_nothing_outside_of_the_file_is_read_by_way_of_a_reference(ecg, tmp_path, name, kind):
    """As letters of a rate, a unit or an id, another file's bytes would come back in the answer."""
    secret = tmp_path / "secret"
    secret.write_bytes("507".encode("utf-16-le"))

    def fill(file):
        put = file.create_dataset("ecg", data=ecg.signal_mv().astype("f8"))
        put.attrs["MATLAB_class"] = np.bytes_("double")
        there = file.create_dataset("#refs#/a", (3, 1), "u2", external=[(str(secret), 0, 6)])
        there.attrs["MATLAB_class"] = np.bytes_(kind)
        cells = file.create_dataset(name, (1, 1), h5py.ref_dtype)
        cells[0, 0] = there.ref
        cells.attrs["MATLAB_class"] = np.bytes_("cell")

    data = written(fill, matlab=True)
    given = [ReadHints(rate_hz=500.0, unit="mV"), ReadHints(rate_hz=500.0, unit="mV", exam="507"), ReadHints(unit="mV")]

    def outcomes():
        found = []
        for hints in given:
            try:
                found.append(read(data, hints).rate_hz)
            except UnreadableFile as error:
                found.append((error.code, error.sentence, error.hint))
        return found

    before = outcomes()
    secret.write_bytes("250".encode("utf-16-le"))
    with_other_bytes = outcomes()
    secret.unlink()
    assert before == with_other_bytes == outcomes(), "not even whether there is such a file"


def test_tables_are_refused_by_name(ecg):
    def frame(file):
        file.create_group("df").attrs["pandas_type"] = "frame"
        file["df/block0_values"] = ecg.signal_mv().T

    assert "pandas" in refusal(written(frame)).sentence
    rows = np.zeros(5000, [("I", "f4"), ("II", "f4")])
    assert "tables" in refusal(written(lambda file: file.create_dataset("table", data=rows))).sentence


@pytest.mark.parametrize("shape", [(10**11, 10**11, 12), (12, 2**40), (2**40, 2**20), (1, 12, 2**30)])
def test_an_absurd_shape_is_refused_before_a_read(shape):
    refusal(written(lambda file: file.create_dataset("ecg", shape, "f4", chunks=(1,) * len(shape))))


def bomb(values: int, *, of: str = "ecg"):
    """A chunk of few values that inflates to many."""

    def fill(file):
        shape = (12, 5000) if of == "ecg" else (1, 1)
        file["x" if of == "ecg" else "ecg"] = np.ones((12, 5000), "f4") if of != "ecg" else 1.0
        file.create_dataset(of, shape, "f4", chunks=shape, compression="gzip")
        file[of].id.write_direct_chunk((0, 0), zlib.compress(bytes(values), 9))

    return written(fill)


@pytest.mark.parametrize("of", ["ecg", "fs"])
def test_a_chunk_that_inflates_to_more_than_it_says_is_refused(of):
    data = bomb(400 << 20, of=of)
    assert len(data) < 800_000
    assert refusal(data).code == "unreadable_file"


@pytest.mark.parametrize(
    "packed",
    [
        {"fletcher32": True},
        {"fletcher32": True, "shuffle": True, "compression": "gzip"},
        {"fletcher32": True, "compression": "lzf"},
    ],
    ids=["alone", "gzip", "lzf"],
)
@pytest.mark.parametrize("dtype", ["f4", "i1", "f8"])
def test_chunks_with_checksums_are_read_and_a_wrong_checksum_is_refused(ecg, packed, dtype):
    signal_mv = np.round(100 * ecg.signal_mv()).astype(dtype)
    data = written(lambda file: file.create_dataset("ecg", data=signal_mv, chunks=(1, 4999), **packed))
    assert np.array_equal(read(data).signal_mv, signal_mv)
    with h5py.File(io.BytesIO(data)) as file:
        chunk = file["ecg"].id.get_chunk_info_by_coord((3, 0))
    place = chunk.byte_offset + chunk.size - 6  # the last bytes before the checksum
    damaged = data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]
    assert refusal(damaged).code == "unreadable_file"


@pytest.mark.parametrize("size", [0, 1, 3])
def test_a_chunk_that_is_shorter_than_its_checksum_is_refused_before_the_library_sees_it(ecg, size):
    signal_mv = np.round(100 * ecg.signal_mv()[:, :900]).astype("f4")
    data = written(
        lambda file: file.create_dataset("ecg", data=signal_mv, chunks=(3, 100), compression="lzf", fletcher32=True)
    )
    with h5py.File(io.BytesIO(data)) as file:
        chunk = file["ecg"].id.get_chunk_info_by_coord((3, 0))
    key = struct.pack("<II", chunk.size, 0) + struct.pack("<QQ", 3, 0)
    assert data.count(key) == 1, "of a chunk in the B-tree: its size, no filter left out, where it begins"
    assert refusal(data.replace(key, struct.pack("<I", size) + key[4:])).code == "unreadable_file"


@pytest.mark.parametrize(
    "packed", [{"scaleoffset": 3}, {"scaleoffset": 3, "compression": "gzip"}], ids=["alone", "with gzip"]
)
def test_filters_that_are_not_read_are_refused_by_name(ecg, packed):
    data = written(lambda file: file.create_dataset("ecg", data=ecg.signal_mv().astype("f4"), **packed))
    error = refusal(data)
    assert "(scale-offset)" in error.sentence
    assert "gzip" in error.hint


def test_a_group_within_itself_and_a_second_name_are_one_thing(ecg):
    def fill(file):
        file["ecg"] = ecg.signal_mv()
        file["signal"] = file["ecg"]
        file["again"] = file["/"]

    assert read(written(fill)).signal_mv.shape == (12, 5000)


def test_a_file_of_many_objects_is_refused(ecg):
    data = written(lambda file: [file.create_group(str(number)) for number in range(2001)])
    assert refusal(data).code == "too_long"


def test_a_file_cut_or_damaged_anywhere_is_refused_or_read(ecg):
    data = written(lambda file: file.create_dataset("ecg", data=ecg.signal_mv(), compression="gzip"))
    for share in (0.02, 0.3, 0.6, 0.98):
        assert refusal(data[: int(share * len(data))]).code == "unreadable_file"


def test_without_h5py_the_extra_is_named(ecg, monkeypatch):
    def missing(module, purpose):
        raise hdf5.ExtraMissing("extra_missing", f"{purpose} needs the package {module}.", hint="Install it.")

    monkeypatch.setattr(hdf5, "require", missing)
    error = refusal(written(lambda file: file.create_dataset("ecg", data=ecg.signal_mv())))
    assert (error.code, error.hint) == ("format_not_installed", "Install it.")


OTHER_ORDER = ("I", "II", "V1", "V2", "V3", "V4", "V5", "V6", "III", "aVR", "aVL", "aVF")


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("leads", str(list(OTHER_ORDER))),
        ("leads", '["' + '", "'.join(OTHER_ORDER) + '"]'),
        ("lead_names", "['" + "' '".join(OTHER_ORDER) + "']"),
        ("channel_names", "/".join(OTHER_ORDER)),
        ("lead_order", "-".join(OTHER_ORDER)),
        ("channel", list(OTHER_ORDER)),
        ("lead_labels", list(OTHER_ORDER)),
        ("signal_names", list(OTHER_ORDER)),
    ],
)
def test_leads_are_those_that_the_file_names_however_it_lists_them(ecg, key, text):
    def fill(file):
        file["ecg"] = ecg.signal_mv()
        file["ecg"].attrs[key] = text

    recording = read(written(fill))
    assert recording.lead_names == OTHER_ORDER
    assert codes(recording) == []


def test_a_text_that_names_leads_in_an_unknown_way_is_not_passed_over(ecg):
    def fill(file):
        file["ecg"] = ecg.signal_mv()
        file["ecg"].attrs["leads"] = "as usual"

    assert refusal(written(fill)).code == "leads_missing"


@pytest.mark.parametrize("key", ["uV_per_bit", "conversion_factor", "adc_resolution", "scale_factor_uv", "lsb_uV"])
def test_whole_numbers_beside_a_factor_of_any_name_are_refused(ecg, key):
    def fill(file):
        file["ecg"] = np.round(1000 * ecg.signal_mv() / 4.88).astype("<i2")
        file["ecg"].attrs.update({"units": "uV", key: 4.88})

    assert refusal(written(fill), ReadHints(rate_hz=500.0)).code == "scale_unclear"


def test_an_array_called_ecg_that_does_not_fit_is_not_passed_over_for_another(ecg):
    def fill(file):
        file["ecg"] = np.zeros((3, 5000))
        file["noise"] = ecg.signal_mv()

    assert refusal(written(fill)).code not in ("", "several_ecgs")


def test_axes_that_may_be_exams_or_leads_are_not_taken_for_one_of_them(ecg):
    stacked = np.stack([ecg.signal_mv(seed) for seed in range(8)], axis=-1)  # (leads, samples, patients)

    def fill(file):
        file["ecg"] = stacked

    assert refusal(written(fill), ReadHints(500.0, "mV", exam="3")).code == "axes_ambiguous"
