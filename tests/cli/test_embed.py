"""`embed` on arrays that somebody prepared: row by row what the model gives, or one sentence that says why not."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from pydicom.data import get_testdata_file

from cli.embed import embed_ecg_files, embed_echo_studies
from inputs.ecg.prepare import prepare_ecg
from inputs.ecg.read import read_ecg_path
from inputs.specs import EcgSpec
from models.bundle import Bundle
from models.device import Machine

ECG_FILE, ECHO_FILE = (
    Path(str(get_testdata_file(name, download=False))) for name in ("waveform_ecg.dcm", "examples_ybr_color.dcm")
)
RNG = np.random.default_rng(12)
SIGNALS = RNG.normal(size=(70, 12, 96)).astype(np.float32)
VIEWS = RNG.normal(size=(40, 4, 16)).astype(np.float32)
PRESENT = np.arange(4) < RNG.integers(1, 5, size=(40, 1))
CLIPS = RNG.normal(size=(6, 3, 4, 16, 16)).astype(np.float32)


@pytest.fixture
def embed(command, tmp_path):
    """Save the input, run the command on it, give back (exit code, printed, sentence, arrays written)."""

    def run(kind, option, bundle, **arrays):
        file = tmp_path / ("in.npz" if len(arrays) > 1 else "in.npy")
        if len(arrays) > 1:
            np.savez(file, **arrays)
        else:
            np.save(file, next(iter(arrays.values())))
        out = tmp_path / "out" / "vectors.npz"
        code, said, sentence = command(
            "embed", kind, option, file, "--bundle", bundle, "-o", out, "--device", "cpu"
        )  # fmt: skip
        assert str(tmp_path / "in") not in sentence
        if not out.exists():
            return code, said, sentence, {}
        with np.load(out) as written:
            return code, said, sentence, {name: written[name] for name in written.files}

    return run


def test_ecgs_keep_their_order_over_several_batches(embed, small_bundle):
    bundle = small_bundle()
    code, said, _, found = embed("ecg", "--prepared", bundle, x=SIGNALS)
    expected = Bundle.load(bundle, device="cpu", parts=("ecg",)).embed_ecgs(SIGNALS[:, None])
    assert code == 0
    assert "70 embedded, 0 skipped" in said
    assert sorted(found) == ["embeddings", "features"]
    assert np.allclose(found["features"], expected.features_BF, atol=1e-5)
    assert np.allclose(found["embeddings"], expected.embeddings_BD, atol=1e-5)
    assert {array.dtype for array in found.values()} == {np.dtype(np.float32)}


def test_either_byte_order_gives_the_same_vectors(embed, small_bundle):
    bundle = small_bundle()
    for kind, option, arrays in (
        ("ecg", "--prepared", {"x": SIGNALS[:2]}),
        ("clips", "--prepared", {"c": CLIPS[:1]}),
        ("echo", "--views", {"views": VIEWS, "present": PRESENT}),
    ):
        swapped = {name: a.astype(">f4") if a.dtype == np.float32 else a for name, a in arrays.items()}
        little, big = embed(kind, option, bundle, **arrays)[3], embed(kind, option, bundle, **swapped)[3]
        assert little
        assert all(np.array_equal(little[name], big[name]) for name in little)


def scaled(rows, factor):
    signals = SIGNALS[:6].copy()
    signals[rows] *= np.float32(factor)
    return signals


@pytest.mark.parametrize(
    ("signals", "words"),
    [
        (scaled(slice(None), 1000), "6 of 6 ECGs in in.npy do not look prepared"),
        (scaled([2, 5], 0.2), "2 of 6 ECGs in in.npy"),
        (scaled(([4], slice(3, 6)), 1e30), "1 of 6 ECGs in in.npy"),
        (scaled([4], 0), "in row 4 one has 0."),
    ],
)
def test_signals_of_another_size_than_preparation_gives_are_embedded_with_a_warning(
    embed, small_bundle, signals, words
):
    code, said, _, found = embed("ecg", "--prepared", small_bundle(), x=signals)
    assert code == 0
    assert words in " ".join(said.split())
    assert len(found["features"]) == 6


def test_prepared_recordings_get_no_warning(command, small_bundle, tmp_path):
    spec = EcgSpec()
    prepared = prepare_ecg(read_ecg_path(ECG_FILE), spec).signal_LN[None]
    np.save(tmp_path / "in.npy", prepared[:, :, : spec.window_samples])
    arguments = ("--bundle", small_bundle(), "-o", tmp_path / "o.npz", "--device", "cpu")
    code, said, _ = command("embed", "ecg", "--prepared", tmp_path / "in.npy", *arguments)
    assert code == 0
    assert "do not look prepared" not in " ".join(said.split())


def test_longer_records_are_cut_into_windows_as_the_bundle_says(embed, small_bundle):
    bundle = small_bundle()
    long = RNG.normal(size=(2, 12, 192)).astype(np.float32)
    found = embed("ecg", "--prepared", bundle, x=long)[3]
    windows = np.stack([long[:, :, :96], long[:, :, 96:]], axis=1)
    expected = Bundle.load(bundle, device="cpu", parts=("ecg",)).embed_ecgs(windows)
    assert np.allclose(found["embeddings"], expected.embeddings_BD, atol=1e-5)


def test_studies_keep_their_order_and_absent_slots_do_not_count(embed, small_bundle):
    bundle = small_bundle()
    views = np.where(PRESENT[:, :, None], VIEWS, np.float32("nan"))
    code, _, _, found = embed("echo", "--views", bundle, views=views, present=PRESENT)
    model = Bundle.load(bundle, device="cpu", parts=("echo",))
    assert code == 0
    assert sorted(found) == ["embeddings", "pool_weights", "study_tokens"]
    assert found["pool_weights"].shape == PRESENT.shape
    for row in (0, 31, 32, 39):
        alone = model.pool_study(VIEWS[row, PRESENT[row]])
        assert np.allclose(found["study_tokens"][row], alone.token, atol=1e-5)
        assert np.allclose(found["embeddings"][row], alone.embedding_D, atol=1e-5)
        assert np.allclose(found["pool_weights"][row, PRESENT[row]], alone.pool_weights_V, atol=1e-5)


def test_clips_keep_their_order(embed, small_bundle):
    bundle = small_bundle()
    code, _, _, found = embed("clips", "--prepared", bundle, c=CLIPS)
    assert code == 0
    expected = Bundle.load(bundle, device="cpu", parts=("echo",)).embed_clips(CLIPS)
    assert np.allclose(found["clip_embeddings"], expected, atol=1e-5)


def test_without_alignment_the_rest_is_written_and_the_gap_is_said(embed, small_bundle):
    bundle = small_bundle("ecg_alignment_global_token", "echo_alignment_global_token")
    code, said, _, found = embed("ecg", "--prepared", bundle, x=SIGNALS[:2])
    assert (code, list(found)) == (0, ["features"])
    assert "embeddings are left out" in said
    code, said, _, found = embed("echo", "--views", bundle, views=VIEWS, present=PRESENT)
    assert (code, sorted(found)) == (0, ["pool_weights", "study_tokens"])
    assert "embeddings are left out" in said


def spoilt(array, index, value):
    changed = array.copy()
    changed[index] = value
    return changed


@pytest.mark.parametrize(
    ("signals", "words"),
    [
        (SIGNALS[0], "float32 (12, 96); float32 (any, 12, any) was expected"),
        (SIGNALS[:, :8], "(70, 8, 96)"),
        (SIGNALS[:0], "in.npy is empty: its shape is (0, 12, 96)"),
        (SIGNALS.astype(np.float64), "in.npy is float64 (70, 12, 96)"),
        (SIGNALS.astype(">f8"), "in.npy is float64 (70, 12, 96)"),
        (SIGNALS[:, :, :95], "in.npy have 95 samples per lead; 96 (0.24 s at 400 Hz) are needed"),
        (spoilt(SIGNALS, (66, 3, 5), np.nan), "Row 66 of in.npy"),
        (spoilt(SIGNALS, (1, 3, 5), np.inf), "Row 1 of in.npy"),
    ],
)
def test_ecgs_that_do_not_fit_are_refused_in_one_sentence(embed, small_bundle, signals, words):
    code, _, sentence, found = embed("ecg", "--prepared", small_bundle(), x=signals)
    assert (code, found) == (1, {})
    assert words in sentence


@pytest.mark.parametrize(
    ("views", "present", "words"),
    [
        (VIEWS[:, :, :15], PRESENT, "views of in.npz is float32 (40, 4, 15); float32 (any, any, 16)"),
        (VIEWS.astype(np.float16), PRESENT, "float16"),
        (VIEWS, PRESENT.astype(np.uint8), "present of in.npz is uint8"),
        (VIEWS, PRESENT[:, :3], "bool (40, 4) was expected"),
        (VIEWS, spoilt(PRESENT, 35, False), "Study 35 of in.npz has no view"),
        (spoilt(VIEWS, (37, 0, 2), np.nan), PRESENT, "Study 37 of in.npz has numbers that are not finite"),
    ],
)
def test_views_that_do_not_fit_are_refused_in_one_sentence(embed, small_bundle, views, present, words):
    code, _, sentence, found = embed("echo", "--views", small_bundle(), views=views, present=present)
    assert (code, found) == (1, {})
    assert words in sentence


def test_views_under_other_names_are_refused(embed, small_bundle):
    sentence = embed("echo", "--views", small_bundle(), views=VIEWS, mask=PRESENT)[2]
    assert sentence == "in.npz is not a .npz file with the arrays views and present."


@pytest.mark.parametrize(
    ("clips", "words"),
    [
        (CLIPS[:, :, :2], "(any, 3, 4, 16, 16) was expected"),
        ((CLIPS * 255).astype(np.uint8), "uint8"),
        (spoilt(CLIPS, (5, 0, 0, 0, 0), np.nan), "Row 5"),
    ],
)
def test_clips_that_do_not_fit_are_refused_in_one_sentence(embed, small_bundle, clips, words):
    code, _, sentence, found = embed("clips", "--prepared", small_bundle(), c=clips)
    assert (code, found) == (1, {})
    assert words in sentence


@pytest.mark.parametrize(
    ("kind", "option", "method", "arrays"),
    [
        ("ecg", "--prepared", "embed_ecgs", {"x": spoilt(SIGNALS, (69, 0, 0), np.nan)}),
        ("clips", "--prepared", "embed_clips", {"c": spoilt(CLIPS, (5, 0, 0, 0, 0), np.nan)}),
        ("echo", "--views", "pool_studies", {"views": spoilt(VIEWS, (39, 0, 0), np.nan), "present": PRESENT}),
    ],
)
def test_the_last_row_is_refused_before_the_first_is_computed(
    embed, small_bundle, monkeypatch, kind, option, method, arrays
):
    monkeypatch.setattr(Bundle, method, lambda *_: pytest.fail("it was computed"))
    assert "not finite" in embed(kind, option, small_bundle(), **arrays)[2]


@pytest.mark.parametrize("content", [b"", b"not numbers", b"\x93NUMPY\x01\x00", np.array([{}], dtype=object)])
def test_files_that_hold_no_array_are_refused(command, small_bundle, tmp_path, content):
    file = tmp_path / "in.npy"
    if isinstance(content, bytes):
        file.write_bytes(content)
    else:
        np.save(file, content, allow_pickle=True)
    bundle = small_bundle()
    for kind, option in (("ecg", "--prepared"), ("clips", "--prepared"), ("echo", "--views")):
        code, _, sentence = command("embed", kind, option, file, "--bundle", bundle, "-o", tmp_path / "out.npz")
        assert code == 1
        assert sentence.startswith("in.npy is not a")


def test_a_header_that_claims_more_than_the_file_holds_is_refused(command, small_bundle, tmp_path):
    file = tmp_path / "in.npy"
    np.save(file, SIGNALS[:1])
    whole, bundle = file.read_bytes(), small_bundle()
    for claim in (b"(9999999999, 12, 96), }", b"(9999999999, 12, 96    "):
        shape = b"(1, 12, 96), }         "
        assert shape in whole
        file.write_bytes(whole.replace(shape, claim))
        code, _, sentence = command("embed", "ecg", "--prepared", file, "--bundle", bundle, "-o", tmp_path / "o.npz")
        assert (code, sentence) == (1, "in.npy is not a NumPy array file (.npy).")


def test_files_and_arrays_together_or_neither_are_wrong_usage(command, small_bundle, tmp_path):
    file, bundle = tmp_path / "in.npy", small_bundle()
    np.save(file, SIGNALS[:1])
    options = ("--bundle", bundle, "-o", tmp_path / "o.npz")
    assert command("embed", "ecg", *options)[0] == 2
    assert command("embed", "ecg", file, "--prepared", file, *options)[0] == 2
    assert command("embed", "ecg", "--prepared", file, "--rate-hz", 500, *options)[0] == 2
    assert command("embed", "ecg", "--prepared", file, "--unit", "mV", *options)[0] == 2
    assert command("embed", "echo", *options)[0] == 2
    assert command("embed", "echo", bundle, "--views", file, *options)[0] == 2
    assert command("embed", "clips", *options)[0] == 2


def test_files_give_a_row_each_and_the_unreadable_ones_a_sentence(command, small_bundle, tmp_path):
    (tmp_path / "broken.dcm").write_bytes(b"not a recording")
    files, out = (ECG_FILE, tmp_path / "broken.dcm"), tmp_path / "out.npz"
    code, said, _ = command("embed", "ecg", *files, "--bundle", small_bundle(), "-o", out, "--device", "cpu")
    assert code == 1
    assert "skipped broken.dcm" in said
    with np.load(out) as written:
        assert written["ids"].tolist() == ["waveform_ecg.dcm"]
        assert written["features"].shape == (1, 24)
        assert np.linalg.norm(written["embeddings"], axis=1) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize(
    ("array", "options", "advice"),
    [
        (SIGNALS[0], (), "Add --rate-hz and --unit, for example --rate-hz 500 and --unit mV"),
        ((SIGNALS[0] * 100).astype(np.int16), ("--rate-hz", 500), "Add --unit, for example"),
        (SIGNALS[0, :5], ("--rate-hz", 500, "--unit", "mV"), "Give --leads with the name of each lead in order."),
    ],
)
def test_what_a_file_lacks_is_asked_for_by_the_options_of_the_command(
    command, small_bundle, tmp_path, array, options, advice
):
    np.save(tmp_path / "raw.npy", array)
    arguments = (tmp_path / "raw.npy", *options, "--bundle", small_bundle(), "-o", tmp_path / "o.npz")
    code, said, _ = command("embed", "ecg", *arguments)
    assert code == 1
    assert advice in " ".join(said.split())
    assert "request" not in said
    assert "rate_hz" not in said


def test_without_a_single_readable_file_nothing_is_written(command, small_bundle, tmp_path):
    (tmp_path / "broken.dcm").write_bytes(b"not a recording")
    out = tmp_path / "out.npz"
    code, said, _ = command("embed", "ecg", tmp_path / "broken.dcm", "--bundle", small_bundle(), "-o", out)
    assert code == 1
    assert "nothing was written" in said
    assert not out.exists()


def test_progress_counts_what_is_skipped_too(small_bundle, tmp_path):
    broken, study, empty = tmp_path / "broken.dcm", tmp_path / "study", tmp_path / "empty"
    broken.write_bytes(b"not a recording")
    for folder in (study, empty):
        folder.mkdir()
    shutil.copyfile(ECHO_FILE, study / "clip.dcm")
    bundle, said = small_bundle(), []
    machine = Machine.named("cpu", workers=1, progress=lambda *told: said.append(told))
    ecgs = embed_ecg_files([ECG_FILE, broken], bundle, tmp_path / "e.npz", machine)
    studies = embed_echo_studies([study, empty], bundle, tmp_path / "s.npz", machine, work=None)
    assert said == [(1, 2, ECG_FILE.name), (2, 2, "broken.dcm"), (1, 2, "study"), (2, 2, "empty")]
    assert (ecgs.written, len(ecgs.skipped), studies.written, len(studies.skipped)) == (1, 1, 1, 1)


def test_study_folders_of_different_sizes_share_one_table_of_weights(command, small_bundle, tmp_path):
    for study, clips in (("one", 1), ("two", 2)):
        (tmp_path / study).mkdir()
        for number in range(clips):
            shutil.copyfile(ECHO_FILE, tmp_path / study / f"clip{number}.dcm")
    bundle, out = small_bundle(), tmp_path / "out.npz"
    studies = (tmp_path / "one", tmp_path / "two")
    code, _, _ = command("embed", "echo", *studies, "--bundle", bundle, "-o", out, "--device", "cpu")
    assert code == 0
    with np.load(out) as written:
        assert written["ids"].tolist() == ["one", "two"]
        assert np.allclose(written["pool_weights"], [[1, 0], [0.5, 0.5]], atol=1e-6)
        assert np.allclose(written["embeddings"][0], written["embeddings"][1], atol=1e-5)


def test_unreadable_clips_and_folders_take_no_view_from_those_that_can_be_read(command, small_bundle, tmp_path):
    study = tmp_path / "study"
    (study / "a.dcm").mkdir(parents=True)
    for number in range(4):
        (study / f"broken{number}.dcm").write_bytes(b"not a clip")
        shutil.copyfile(ECHO_FILE, study / f"clip{number}.dcm")
    bundle, out = small_bundle(), tmp_path / "out.npz"  # at most three views
    code, said, _ = command("embed", "echo", study, "--bundle", bundle, "-o", out, "--device", "cpu")
    assert code == 1
    assert said.count("skipped study/broken") == 4
    with np.load(out) as written:
        assert np.allclose(written["pool_weights"], 1 / 3, atol=1e-6)


@pytest.fixture
def clip_files(cohort_dir):
    """Six different clips."""
    return sorted((cohort_dir / "files").glob("val*.avi"))[:6]


def embedded_study(command, bundle, out, *studies, work=None):
    keeping = () if work is None else ("--work", work)
    code, said, _ = command("embed", "echo", *studies, "--bundle", bundle, "-o", out, "--device", "cpu", *keeping)
    assert code == 0, said
    with np.load(out) as written:
        return {name: written[name][-1] for name in written.files}


def test_what_is_kept_from_another_time_changes_no_answer(command, small_bundle, clip_files, tmp_path):
    for study, files in (("seed", clip_files[4:]), ("whole", clip_files)):
        (tmp_path / study).mkdir()
        for path in files:
            shutil.copy(path, tmp_path / study)
    bundle, work = small_bundle(), tmp_path / "work"  # the first three of six views count
    fresh = embedded_study(command, bundle, tmp_path / "fresh.npz", tmp_path / "whole")
    embedded_study(command, bundle, tmp_path / "seed.npz", tmp_path / "seed", work=work)
    again = embedded_study(command, bundle, tmp_path / "again.npz", tmp_path / "whole", work=work)
    for name in fresh:
        np.testing.assert_array_equal(fresh[name], again[name])


def test_weights_stand_with_their_views_where_studies_share_a_clip(command, small_bundle, clip_files, tmp_path):
    for study, files in (("one", clip_files[:1]), ("two", (clip_files[1], clip_files[2], clip_files[0]))):
        (tmp_path / study).mkdir()
        for place, path in enumerate(files):
            shutil.copy(path, tmp_path / study / f"{place}.avi")
    bundle = small_bundle()
    alone = embedded_study(command, bundle, tmp_path / "alone.npz", tmp_path / "two")
    beside = embedded_study(command, bundle, tmp_path / "both.npz", tmp_path / "one", tmp_path / "two")
    assert np.diff(np.sort(alone["pool_weights"])).min() > 2e-6  # or the order could not be told
    np.testing.assert_allclose(alone["pool_weights"], beside["pool_weights"], atol=5e-7)


def test_clips_after_those_that_count_are_not_read(command, small_bundle, clip_files, tmp_path):
    study = tmp_path / "study"
    study.mkdir()
    for path in clip_files[:3]:
        shutil.copy(path, study)
    (study / "zz.avi").write_bytes(b"not a clip")
    embedded_study(command, small_bundle(), tmp_path / "out.npz", study)
