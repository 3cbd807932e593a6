import numpy as np
import pytest

from training.data.batches import (
    PairedArrays,
    batches_per_epoch,
    epoch_batches,
    pad_views,
    pairs_per_epoch,
    random_windows,
)


def patients(draw, pairs=500, count=120):
    return np.concatenate([np.arange(count), draw.integers(0, count, pairs - count)])


@pytest.mark.parametrize("batch_size", [2, 32, 50])
def test_an_epoch_shows_every_pair_once_and_no_patient_twice_in_a_batch(batch_size):
    draw = np.random.default_rng(0)
    patient_P = patients(draw)
    batches = epoch_batches(patient_P, batch_size, draw)
    assert sorted(np.concatenate(batches)) == list(range(500))
    assert len(batches) == batches_per_epoch(patient_P, batch_size)
    assert pairs_per_epoch(patient_P, batch_size) == 500
    sizes = [len(batch) for batch in batches]
    assert max(sizes) <= batch_size
    assert max(sizes) - min(sizes) <= 1
    for batch in batches:
        assert len(set(patient_P[batch])) == len(batch)


def test_a_patient_with_very_many_pairs_never_meets_itself_and_leaves_the_batches_large():
    patient_P = np.array([0] * 300 + list(range(1, 5001)))
    draw = np.random.default_rng(1)
    batches = epoch_batches(patient_P, 256, draw)
    assert len(batches) == 21
    assert all((patient_P[batch] == 0).sum() == 1 for batch in batches)
    assert min(len(batch) for batch in batches) == 5021 // 21
    assert pairs_per_epoch(patient_P, 256) == sum(len(batch) for batch in batches) == 5021
    shown = {i for _ in range(200) for batch in epoch_batches(patient_P, 256, draw) for i in batch if i < 300}
    assert len(shown) == 300  # 200 epochs miss one of them with probability 0.0002


def test_of_fewer_patients_than_a_batch_has_places_all_are_in_every_batch():
    patient_P = np.repeat(np.arange(30), 4)
    batches = epoch_batches(patient_P, 256, np.random.default_rng(1))
    assert [len(batch) for batch in batches] == [30] * 4
    assert sorted(np.concatenate(batches)) == list(range(120))


def test_any_two_patients_meet_about_equally_often():
    draw = np.random.default_rng(2)
    together = np.zeros((30, 30))
    for _ in range(600):
        for batch in epoch_batches(np.arange(30), 10, draw):
            together[np.ix_(batch, batch)] += 1
    off_diagonal = together[~np.eye(30, dtype=bool)] / 600
    assert off_diagonal.mean() == pytest.approx(9 / 29, abs=1e-9)
    assert np.abs(off_diagonal - 9 / 29).max() < 5 * np.sqrt(0.31 * 0.69 / 600)


def test_windows_come_from_every_place_of_the_record():
    signal = np.tile(np.arange(50, dtype=np.float32), (2, 1))
    windows = random_windows([signal] * 2000, 40, np.random.default_rng(3))
    starts = windows[:, 0, 0]
    assert set(starts) == set(range(11))
    np.testing.assert_array_equal(windows - starts[:, None, None], np.tile(np.arange(40), (2000, 2, 1)))


def test_views_are_padded_and_the_first_of_too_many_count():
    views = [np.full((n, 3), n, np.float32) for n in (1, 4, 9)]
    padded, present = pad_views(views, max_views=5)
    assert padded.shape == (3, 5, 3)
    assert present.sum(axis=1).tolist() == [1, 4, 5]
    assert not padded[~present].any()
    assert (padded[2] == 9).all()


def test_pairs_of_unequal_length_are_refused():
    with pytest.raises(ValueError, match="one entry per pair"):
        PairedArrays([], [], np.zeros(2, np.int64), np.zeros(2, np.int64), np.zeros(1, np.int64))
