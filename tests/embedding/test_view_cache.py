"""A cache of view vectors says in one way what the disk refuses, and holds nothing that it cannot vouch for."""

import contextlib
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from embedding.view_cache import EmbeddedView, ViewCache
from ground.errors import Refusal

ROOT = Path(__file__).resolve().parents[2]
VIEW = EmbeddedView(np.arange(4, dtype=np.float32), b"jpeg")


def test_a_disk_without_space_is_an_error_of_the_disk_and_what_was_kept_stays(tmp_path):
    with ViewCache(tmp_path / "views.sqlite", "one") as cache:
        cache.put({"a" * 64: VIEW})
    script = (
        "import resource, sys; from pathlib import Path; import numpy as np\n"
        "from embedding.view_cache import EmbeddedView, ViewCache; from ground.disk import is_no_space\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))\n"
        "with ViewCache(Path(sys.argv[1]), 'one') as cache:\n"
        "    try: cache.put({'b' * 64: EmbeddedView(np.zeros(100_000, np.float32))})\n"
        "    except OSError as error: sys.exit(7 if is_no_space(error) else 8)\n"
    )
    done = subprocess.run([sys.executable, "-c", script, tmp_path / "views.sqlite"], cwd=ROOT, check=False)
    assert done.returncode == 7
    with ViewCache(tmp_path / "views.sqlite", "one") as cache:
        np.testing.assert_array_equal(cache.get("a" * 64).vector_V, VIEW.vector_V)
        assert "b" * 64 not in cache


def test_a_place_that_no_file_can_have_is_refused_in_a_sentence(tmp_path):
    (tmp_path / "views.sqlite").mkdir()
    with (
        pytest.raises(Refusal, match="View vectors cannot be kept in this folder"),
        ViewCache(tmp_path / "views.sqlite", "one") as cache,
    ):
        cache.put({"a" * 64: VIEW})


def test_two_runs_may_share_a_cache(tmp_path):
    with ViewCache(tmp_path / "views.sqlite", "one") as mine, ViewCache(tmp_path / "views.sqlite", "one") as theirs:
        mine.put({"a" * 64: VIEW})
        theirs.put({"b" * 64: VIEW})
        assert "a" * 64 in theirs
        assert "b" * 64 in mine


def test_without_a_path_it_lives_as_long_as_the_run():
    with ViewCache(None, "one") as cache:
        cache.put({"a" * 64: VIEW})
        assert cache.get("a" * 64).thumbnail_jpeg == b"jpeg"


def test_cines_are_kept_by_what_made_them_and_one_that_is_empty_is_one_that_was_tried(tmp_path):
    with ViewCache(tmp_path / "views.sqlite", "one") as cache:
        cache.put_cine("a" * 64, "1 60 2", b"webp")
        cache.put_cine("b" * 64, "1 60 2", b"")
    with ViewCache(tmp_path / "views.sqlite", "another encoder") as cache:
        assert cache.cine("a" * 64, "1 60 2") == b"webp"
        assert cache.cine("b" * 64, "1 60 2") == b""
        assert cache.cine("a" * 64, "2 60 2") is None
        assert cache.cine("c" * 64, "1 60 2") is None


def test_a_changed_cine_counts_as_absent(tmp_path):
    path = tmp_path / "views.sqlite"
    with ViewCache(path, "one") as cache:
        cache.put_cine("a" * 64, "1", b"webp")
    with contextlib.closing(sqlite3.connect(path)) as changed, changed:
        changed.execute("UPDATE cines SET webp = X'00'")
    with ViewCache(path, "one") as cache:
        assert cache.cine("a" * 64, "1") is None


def test_a_file_from_before_there_were_cines_is_used_on_and_its_version_uses_ours(tmp_path):
    path = tmp_path / "views.sqlite"
    with ViewCache(path, "one") as cache:
        cache.put({"a" * 64: VIEW})
    with contextlib.closing(sqlite3.connect(path)) as older, older:
        older.execute("DROP TABLE cines")
        assert older.execute("PRAGMA user_version").fetchone() == (0x01010101,)
    with ViewCache(path, "one") as cache:
        assert "a" * 64 in cache
        cache.put_cine("a" * 64, "1", b"webp")
        assert not cache.begun_again
    with contextlib.closing(sqlite3.connect(path)) as older, older:
        assert older.execute("PRAGMA user_version").fetchone() == (0x01010101,)
        older.execute("INSERT OR REPLACE INTO views VALUES ('b', 'one', X'00', X'00', X'00')")


def test_a_newer_versions_file_is_refused_and_left_as_it_is(tmp_path):
    path = tmp_path / "views.sqlite"
    with ViewCache(path, "one") as cache:
        cache.put({"a" * 64: VIEW})
    with contextlib.closing(sqlite3.connect(path)) as newer:
        newer.execute(f"PRAGMA user_version = {0x02020202}")
        newer.execute("ALTER TABLE views ADD COLUMN frames TEXT")
        newer.commit()
    before = path.read_bytes()
    with (
        pytest.raises(Refusal, match="was written by a newer version of this software"),
        ViewCache(path, "one") as cache,
    ):
        cache.put({"b" * 64: VIEW})
    assert path.read_bytes() == before


@pytest.mark.parametrize("said", [0, 0x01010103, 0x02020201, -1])
def test_a_file_from_before_layouts_had_numbers_or_with_a_flipped_one_is_used_on(tmp_path, said):
    path = tmp_path / "views.sqlite"
    with ViewCache(path, "one") as cache:
        cache.put({"a" * 64: VIEW})
    with contextlib.closing(sqlite3.connect(path)) as older:
        older.execute(f"PRAGMA user_version = {said}")
    with ViewCache(path, "one") as cache:
        assert "a" * 64 in cache
        assert not cache.begun_again


def test_a_file_with_other_tables_is_begun_again(tmp_path):
    path = tmp_path / "views.sqlite"
    with contextlib.closing(sqlite3.connect(path)) as other:
        other.execute("CREATE TABLE views (file_sha256 TEXT)")
    with ViewCache(path, "one") as cache:
        cache.put({"a" * 64: VIEW})
        assert cache.begun_again
        assert "a" * 64 in cache


def test_a_cache_maps_no_memory_and_one_with_a_log_from_before_is_taken_over(tmp_path):
    """A page of mapped memory without a block behind it, on a full disk, would end the process."""
    path = tmp_path / "views.sqlite"
    with ViewCache(path, "one") as cache:
        cache.put({"a" * 64: VIEW})
    with contextlib.closing(sqlite3.connect(path)) as older:
        older.execute("PRAGMA journal_mode = WAL")
        older.execute("PRAGMA user_version = 0")
        older.commit()
        with ViewCache(path, "one") as beside_it:
            beside_it.put({"b" * 64: VIEW})
            assert "a" * 64 in beside_it
    with ViewCache(path, "one") as cache:
        assert "a" * 64 in cache
        assert "b" * 64 in cache
        assert [file.name for file in tmp_path.iterdir()] == ["views.sqlite"]
        assert not cache.begun_again


def test_begun_again_without_room_it_is_an_error_of_the_disk_too(tmp_path):
    (tmp_path / "views.sqlite").write_bytes(b"no database " * 1000)
    script = (
        "import resource, sys; from pathlib import Path; from embedding.view_cache import ViewCache\n"
        "from ground.disk import is_no_space\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))\n"
        "with ViewCache(Path(sys.argv[1]), 'one') as cache:\n"
        "    try: cache.get('b' * 64)\n"
        "    except OSError as error: sys.exit(7 if is_no_space(error) else 8)\n"
    )
    done = subprocess.run([sys.executable, "-c", script, tmp_path / "views.sqlite"], cwd=ROOT, check=False)
    assert done.returncode == 7


def test_a_cache_is_not_closed_under_a_query_and_does_not_open_again(tmp_path):
    """A connection closed under a query ends the process."""
    cache, stop, met = ViewCache(tmp_path / "views.sqlite", "one"), threading.Event(), []
    cache.put({"a" * 64: VIEW})

    def ask():
        try:
            while not stop.is_set():
                cache.get("a" * 64)
        except ValueError as error:
            met.append(str(error))

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    time.sleep(0.05)
    cache.close()
    for thread in threads:
        thread.join(10)
    stop.set()
    assert met == ["this cache is closed"] * 4
