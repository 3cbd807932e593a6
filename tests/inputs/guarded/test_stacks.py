"""Grey sequences of research data sets in a child: every pixel, or one sentence and the next file."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest
from stack_files import greys, nifti_bytes, write_metaimage

from inputs.errors import UnreadableFile
from inputs.guarded.reader import GuardedReader

pytest.importorskip("nibabel")


@pytest.fixture(scope="module")
def reader():
    with GuardedReader() as reader:
        reader.warm()
        yield reader


def written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def nifti_with(place: int, numbers: list[int], kind: str = "<i2") -> bytes:
    """A sound file but for the header's fields at `place`."""
    content = bytearray(nifti_bytes(greys(1)))
    field = np.array(numbers, kind).tobytes()
    content[place : place + len(field)] = field
    return bytes(content)


def metaimage_with(folder: Path, old: str, new: str) -> Path:
    header = write_metaimage(folder, "seq", greys(1))
    assert old in header.read_text()
    header.write_text(header.read_text().replace(old, new))
    return header


@pytest.mark.parametrize("zipped", [False, True])
def test_nifti_is_turned_upright_and_whole(reader, tmp_path, zipped):
    content = nifti_bytes(greys(1))
    clip = reader.read_stack(written(tmp_path / "a.nii", gzip.compress(content) if zipped else content))
    np.testing.assert_array_equal(clip.frames_THWC, np.repeat(greys(1)[..., None], 3, axis=-1))
    assert (clip.source_format, clip.frame_rate_hz) == ("nifti", None)


@pytest.mark.parametrize("compressed", [False, True])
def test_metaimage_takes_its_pixels_from_the_file_beside_it(reader, tmp_path, compressed):
    clip = reader.read_stack(write_metaimage(tmp_path, "seq", greys(2), compressed=compressed))
    np.testing.assert_array_equal(clip.frames_THWC[..., 2], greys(2))


HOSTILE_NIFTI = {
    "sizes that no clip has": nifti_with(42, [32000, 32000, 32000]),
    "sizes beyond the end": nifti_with(42, [300, 400, 5]),
    "a negative size": nifti_with(42, [-30, 40, 5]),
    "seven dimensions": nifti_with(40, [7, 30, 40, 5, 9, 9, 9, 9]),
    "an unknown type": nifti_with(70, [9999, 8]),
    "complex numbers": nifti_with(70, [32, 64]),
    "an offset beyond the end": nifti_with(108, [1e9], "<f4"),
    "an offset that is no number": nifti_with(108, [np.nan], "<f4"),
    "scaled to no greys": nifti_with(112, [1000, 0.5], "<f4"),
    "greys above 255": nifti_bytes(greys(1).astype(np.int16) + 100),
    "a still": nifti_bytes(greys(1)[:1]),
    "half a file": nifti_bytes(greys(1))[:3000],
    "half a zip": gzip.compress(nifti_bytes(greys(1)))[:-200],
    "a zip of gigabytes": gzip.compress(bytes(2**24), 9) * 200,
    "no picture": b"no picture at all",
}


@pytest.mark.parametrize("content", HOSTILE_NIFTI.values(), ids=HOSTILE_NIFTI)
def test_hostile_nifti_is_refused_in_a_sentence_and_hurts_nothing(reader, tmp_path, content):
    with pytest.raises(UnreadableFile) as caught:
        reader.read_stack(written(tmp_path / "a.nii.gz", content))
    assert str(tmp_path) not in caught.value.in_full
    assert reader.read_stack(written(tmp_path / "b.nii", nifti_bytes(greys(3)))).frames_THWC.shape == (5, 40, 30, 3)


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        ("30 40 5", "30 40", "not_a_sequence"),
        ("30 40 5", "30 40 6", "file_truncated"),
        ("30 40 5", "30000 40000 5", "frame_size"),
        ("30 40 5", "a b c", "metaimage_damaged"),
        ("MET_UCHAR", "MET_DOUBLE", "metaimage_type"),
        ("CompressedData = False", "CompressedData = True", "metaimage_damaged"),
        ("= seq.raw", "= LOCAL", "metaimage_elsewhere"),
        ("= seq.raw", "= /etc/passwd", "metaimage_elsewhere"),
        ("= seq.raw", "= ..", "metaimage_elsewhere"),
        ("= seq.raw", "= none.raw", "file_missing"),
    ],
)
def test_hostile_metaimage_is_refused_in_a_sentence(reader, tmp_path, old, new, code):
    with pytest.raises(UnreadableFile) as caught:
        reader.read_stack(metaimage_with(tmp_path, old, new))
    assert caught.value.code == code


def test_pixels_are_not_read_through_a_link(reader, tmp_path):
    header = write_metaimage(tmp_path, "seq", greys(1))
    (tmp_path / "seq.raw").rename(tmp_path / "secret")
    (tmp_path / "seq.raw").symlink_to(tmp_path / "secret")
    with pytest.raises(UnreadableFile, match="link"):
        reader.read_stack(header)
