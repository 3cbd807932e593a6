import errno
import json

import numpy as np
import pytest

from embedding.store import ArrayStore
from ground.errors import Refusal


def test_arrays_of_different_shapes_come_back_after_reopening(tmp_path):
    arrays = {f"k{i}": np.arange(3 * (i + 1), dtype=np.float32).reshape(3, i + 1) for i in range(5)}
    with ArrayStore(tmp_path, np.float32) as store:
        for key, array in arrays.items():
            store.add(key, array)
            np.testing.assert_array_equal(store[key], array)
    with ArrayStore(tmp_path, np.float32) as store:
        assert len(store) == 5
        for key, array in arrays.items():
            np.testing.assert_array_equal(store[key], array)


@pytest.mark.parametrize(("file", "lost"), [("entries.jsonl", 3), ("values.bin", 5)])
def test_what_a_kill_leaves_behind_is_cut_off_and_the_rest_stays(tmp_path, file, lost):
    with ArrayStore(tmp_path, np.int16) as store:
        for i in range(3):
            store.add(str(i), np.full(100, i, np.int16))
    path = tmp_path / file
    path.write_bytes(path.read_bytes()[:-lost])
    with ArrayStore(tmp_path, np.int16) as store:
        assert "2" not in store
        store.add("2", np.full(100, 7, np.int16))
    with ArrayStore(tmp_path, np.int16) as store:
        assert [int(store[str(i)][50]) for i in range(3)] == [0, 1, 7]


def test_a_key_without_an_array_remembers_why(tmp_path):
    with ArrayStore(tmp_path, np.uint8) as store:
        store.add_note("broken", "cut short")
    with ArrayStore(tmp_path, np.uint8) as store:
        assert store.note("broken") == "cut short"
        with pytest.raises(KeyError):
            store["broken"]


def test_a_second_array_under_one_key_and_another_dtype_are_refused(tmp_path):
    with ArrayStore(tmp_path, np.float32) as store:
        store.add("a", np.zeros(2, np.float32))
        with pytest.raises(ValueError, match="already stored"):
            store.add("a", np.zeros(2, np.float32))
        with pytest.raises(ValueError, match="float32"):
            store.add("b", np.zeros(2, np.float64))


def test_stored_arrays_cannot_be_written_to(tmp_path):
    with ArrayStore(tmp_path, np.float32) as store:
        store.add("a", np.zeros(2, np.float32))
        with pytest.raises(ValueError, match="read-only"):
            store["a"][0] = 1


def test_a_folder_in_use_is_refused_and_free_again_after_closing(tmp_path):
    with ArrayStore(tmp_path, np.float32) as store:
        store.add("a", np.ones(3, np.float32))
        with pytest.raises(Refusal, match="another run is using this work folder"):
            ArrayStore(tmp_path, np.float32)
        store.add("b", np.ones(3, np.float32))
    with ArrayStore(tmp_path, np.float32) as store:
        assert len(store) == 2


def test_a_newer_versions_store_is_refused_and_left_as_it_is(tmp_path):
    with ArrayStore(tmp_path / "ecgs", np.float32) as store:
        store.add("a", np.ones(3, np.float32))
    entries = tmp_path / "ecgs" / "entries.jsonl"
    row = json.loads(entries.read_text())
    entries.write_text(json.dumps(row | {"packed": "zstd"}) + "\n")
    (tmp_path / "ecgs" / "values.bin").write_bytes(b"z")
    with pytest.raises(Refusal, match="was written by a newer version of this software"):
        ArrayStore(tmp_path / "ecgs", np.float32)
    assert (json.loads(entries.read_text())["packed"], (tmp_path / "ecgs" / "values.bin").read_bytes()) == (
        "zstd",
        b"z",
    )


def test_a_line_that_is_no_entry_is_cut_off_like_half_a_one(tmp_path):
    with ArrayStore(tmp_path, np.float32) as store:
        store.add("a", np.ones(3, np.float32))
    with open(tmp_path / "entries.jsonl", "ab") as file:
        file.write(b"5\n")
    with ArrayStore(tmp_path, np.float32) as store:
        assert list(store) == ["a"]


def test_where_the_disk_refuses_the_last_bytes_the_folder_is_free_again(tmp_path, monkeypatch):
    def refuse(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as full:
        store = ArrayStore(tmp_path, np.float32)
        store.add("a", np.ones(3, np.float32))
        full.setattr("embedding.store.os.fsync", refuse)
        with pytest.raises(OSError, match="No space"):
            store.close()
    with ArrayStore(tmp_path, np.float32) as store:
        assert list(store) == ["a"]
