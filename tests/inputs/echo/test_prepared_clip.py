"""A clip that was prepared before it was written is the clip of that preparation, and of no other."""

from dataclasses import replace

import numpy as np
import pytest
from echo_files import refused

from inputs.echo.prepare import prepare_clip, small_clip
from inputs.echo.read import read_echo
from inputs.errors import UnusableRecording
from inputs.guarded.reader import GuardedReader
from inputs.specs import EchoSpec
from simulator.echo.files import write_prepared

SPEC = EchoSpec(size=32, frames=6, mask_outside_sector=True)
FRAMES = np.random.default_rng(3).integers(0, 255, (6, 32, 32, 3), dtype=np.uint8)


@pytest.fixture
def written(tmp_path):
    return write_prepared(FRAMES, tmp_path / "clip", SPEC.prepared_for)


def test_it_is_normalised_and_nothing_else_is_done_to_it(written):
    prepared_CTHW = prepare_clip(read_echo(written), SPEC)
    mean, std = np.array(SPEC.mean, np.float32), np.array(SPEC.std, np.float32)
    np.testing.assert_array_equal(prepared_CTHW.transpose(1, 2, 3, 0), (FRAMES - mean) / std)


def test_the_way_through_a_guarded_child_and_the_number_of_frames_asked_for_change_nothing(written):
    with GuardedReader() as reader:
        clip = reader.read_echo(written, max_frames=2, every=2)
    np.testing.assert_array_equal(clip.frames_THWC, FRAMES)
    assert clip.prepared_for == SPEC.prepared_for


@pytest.mark.parametrize("padding", ["black_frames", "zeros_after_normalising"])
def test_a_short_one_is_padded_as_the_specification_says(tmp_path, padding):
    path = write_prepared(FRAMES[:4], tmp_path / "clip", SPEC.prepared_for)
    spec = SPEC.model_copy(update={"padding": padding})
    padded_CTHW = prepare_clip(read_echo(path), spec)[:, 4:]
    black = -np.array(spec.mean, np.float32) / np.array(spec.std, np.float32)
    expected = black if padding == "black_frames" else np.zeros(3, np.float32)
    np.testing.assert_allclose(
        padded_CTHW, np.broadcast_to(expected[:, None, None, None], padded_CTHW.shape), rtol=1e-6
    )


@pytest.mark.parametrize("other", [{"size": 64}, {"frames": 16}, {"stride": 3}, {"zoom": 0.2}])
def test_another_preparation_refuses_it_and_says_in_what_they_differ(written, other):
    ((name, value),) = other.items()
    with pytest.raises(UnusableRecording) as refusal:
        prepare_clip(read_echo(written), SPEC.model_copy(update=other))
    assert refusal.value.code == "prepared_otherwise"
    assert f"for {name} {getattr(SPEC, name):g}, and {value:g} is needed" in refusal.value.sentence


def test_people_see_all_of_its_picture(written):
    small = small_clip(read_echo(written), side=32)
    np.testing.assert_array_equal(small.frames_THWC, FRAMES)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"U8"', b'"I8"'),
        (b"[6,32,32,3]", b"[6,32,48,3]"),
        (b"[6,32,32,3]", b"[5,32,32,3]"),
        (b"[6,32,32,3]", b"[9,32,32,3]"),
        (b"[6,32,32,3]", b"[6,32,32]  "),
        (b'\\"size\\": 32', b'\\"size\\": -2'),
        (b'\\"size\\": 32', b'\\"size\\": "a'),
        (b'\\"zoom\\": 0.1', b'\\"zoom\\": 5.1'),
        (b'"frames":{', b'"framed":{'),
    ],
)
def test_a_header_that_disagrees_with_itself_is_refused(written, old, new):
    data = written.read_bytes()
    assert old in data
    written.write_bytes(data.replace(old, new))
    assert refused(written).code == "clip_damaged"


@pytest.mark.parametrize("length", [40, 60, 200, 500])
def test_one_that_was_cut_off_is_refused(written, length):
    written.write_bytes(written.read_bytes()[:length])
    assert refused(written).code in {"clip_damaged", "not_an_echo_clip"}


def test_a_single_frame_is_a_still(tmp_path):
    assert refused(write_prepared(FRAMES[:1], tmp_path / "clip", SPEC.prepared_for)).code == "still_image"


@pytest.mark.parametrize("frames", [FRAMES[:0], FRAMES[:, :16], np.concatenate([FRAMES, FRAMES])])
def test_frames_of_another_size_are_not_written(tmp_path, frames):
    with pytest.raises(ValueError, match="are not as"):
        write_prepared(frames, tmp_path / "clip", SPEC.prepared_for)
    assert not any(tmp_path.iterdir())


def test_numbers_that_no_preparation_has_are_refused():
    for change in ({"size": 0}, {"frames": True}, {"stride": 1e9}, {"zoom": 0.5}, {"zoom": 1}):
        with pytest.raises(ValueError, match="no preparation"):
            replace(SPEC.prepared_for, **change)
