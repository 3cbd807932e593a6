"""A cache of view vectors says in one way what the disk refuses, and holds nothing that it cannot vouch for."""

import subprocess
import sys
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
