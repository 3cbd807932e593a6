"""Fault drills of the index against real processes: kills, torn and flipped bytes, full disks, hostile folders.

Quick versions run with the other tests; these loop. `ECHO2ECG_DRILL_LOOPS` scales them: 20 by default, 200 for a night.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from cohorts import open_cohort
from index.base import IndexDamaged, IndexProblem
from index.rebuild import write_index
from index.store import IndexStore
from inputs.guarded.reader import GuardedReader
from models.device import Machine

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "index"))
from made_up_cohorts import FakeBundle, environment, make_cohort, rebuild, rebuild_command  # noqa: E402
from made_up_generations import answers, golden, write_generation  # noqa: E402

pytestmark = pytest.mark.drill

LOOPS = int(os.environ.get("ECHO2ECG_DRILL_LOOPS", "20"))
WRITER = ROOT / "tests" / "index" / "made_up_generations.py"


def test_killed_at_a_random_time_a_rebuild_leaves_the_old_index_and_has_kept_all_that_it_told(tmp_path):
    before, cohort = make_cohort(tmp_path / "before"), make_cohort(tmp_path / "cohort", studies=250, views=4)
    rebuild(before, tmp_path / "start")
    whole = shutil.copytree(tmp_path / "start", tmp_path / "whole")
    command = rebuild_command(cohort, whole, batch_s=0.01)
    started = time.monotonic()
    subprocess.run(command, check=True, env=environment(), stdout=subprocess.DEVNULL)
    whole_s = time.monotonic() - started
    rng = random.Random(0)
    outcomes = set()
    for loop in range(LOOPS):
        index_dir = shutil.copytree(tmp_path / "start", tmp_path / f"index-{loop}")
        command = rebuild_command(cohort, index_dir, batch_s=0.01)
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment()) as child:
            lines = [child.stdout.readline()] if loop == 0 else []  # so the first kill strikes in the middle
            time.sleep(rng.uniform(0, whole_s) if loop else 0)
            child.send_signal(signal.SIGKILL)
            told = [int(line) for line in (*lines, *child.stdout) if line.endswith("\n")]
        generation = IndexStore(index_dir).open_current("f" * 64)
        assert generation.degraded is None
        assert (generation.id, generation.index.count) in {("000001", 6), ("000002", 250)}
        assert not list(index_dir.rglob("*.tmp"))
        outcomes.add((generation.id, bool(told)))
        report = rebuild(cohort, index_dir)
        assert report.studies == 250
        assert report.reused >= max(told, default=0)
        shutil.rmtree(index_dir)
    assert ("000001", True) in outcomes  # at least one kill struck in the middle


@pytest.mark.parametrize(
    "call", ["fsync", "rename", "write", "pwrite64", "unlink", "rmdir", "mkdir", "ftruncate", "flock"]
)
def test_killed_at_any_system_call_the_old_or_the_new_generation_is_complete(tmp_path, call):
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed")
    old, new = golden(tmp_path / "golden-1", 1), golden(tmp_path / "golden-2", 2)
    write_generation(tmp_path / "prepared", seed=0)
    write_generation(tmp_path / "prepared", seed=1)
    killed = 0
    for nth in range(1, LOOPS + 1):
        root = shutil.copytree(tmp_path / "prepared", tmp_path / "index")
        command = [
            "strace",
            "-f",
            "-o",
            os.devnull,
            "-e",
            f"trace={call}",
            "-e",
            f"inject={call}:signal=KILL:when={nth}",
        ]
        command += [sys.executable, str(WRITER), "die", str(root), "never"]
        done = subprocess.run(command, env=environment(), capture_output=True, text=True, check=False)
        if "ptrace" in done.stderr:
            pytest.skip("processes cannot be traced here")
        generation = IndexStore(root).open_current("a" * 64)
        assert generation.degraded is None, nth
        assert answers(generation) in (old, new), nth
        generation.close()
        assert not list(root.rglob("*.tmp")), nth
        assert IndexStore(root).verify() == [], nth
        write_generation(root, seed=3)
        shutil.rmtree(root)
        if done.stdout.split() == ["0"]:  # it has fewer such calls than `nth`
            break
        killed += 1
    assert killed


def test_random_flips_in_any_file_are_all_detected(tmp_path):
    write_generation(tmp_path / "good", seed=1)
    write_generation(tmp_path / "good", seed=2)
    expected = golden(tmp_path / "golden-1", 1)
    rng = random.Random(2)
    folder = tmp_path / "good" / "generations" / "000002"
    for path in sorted(folder.iterdir()):
        content = path.read_bytes()
        for _ in range(10 * LOOPS):
            damaged = bytearray(content)
            damaged[rng.randrange(len(damaged))] ^= 1 << rng.randrange(8)
            path.write_bytes(damaged)
            generation = IndexStore(tmp_path / "good").open_current("a" * 64)
            assert generation.id == "000001"
            assert generation.degraded
            generation.close()
        path.write_bytes(content)
    path.write_bytes(content[:-1])
    assert answers(IndexStore(tmp_path / "good").open_current()) == expected


def test_files_cut_anywhere_are_detected(tmp_path):
    write_generation(tmp_path, seed=1)
    rng = random.Random(3)
    for path in sorted((tmp_path / "generations" / "000001").iterdir()):
        content = path.read_bytes()
        for length in {0, 1, len(content) - 1, *(rng.randrange(len(content)) for _ in range(LOOPS))}:
            path.write_bytes(content[:length])
            with pytest.raises(IndexDamaged):
                IndexStore(tmp_path).open_current()
        path.write_bytes(content)
    assert IndexStore(tmp_path).open_current().degraded is None


def test_of_twenty_processes_exactly_one_writes(tmp_path):
    script = (
        "import sys, time\nfrom pathlib import Path\nfrom index.base import IndexBusy\n"
        "from made_up_generations import write_generation\n"
        "print('ready', flush=True); sys.stdin.readline()\n"
        "hold = lambda step: time.sleep(8) if step == 'locked' else None\n"
        "try: print(write_generation(Path(sys.argv[1]), seed=1, on_step=hold))\n"
        "except IndexBusy as busy: print('busy', busy.pid)\n"
    )
    paths = os.pathsep.join([str(ROOT), str(WRITER.parent)])
    children = [
        subprocess.Popen(
            [sys.executable, "-c", script, tmp_path],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONPATH": paths},
        )
        for _ in range(20)
    ]
    for child in children:
        assert child.stdout.readline() == "ready\n"
    for child in children:
        child.stdin.write("go\n")
        child.stdin.flush()
    said = {child.pid: child.communicate()[0].strip() for child in children}
    wrote = [pid for pid, words in said.items() if words == "000001"]
    assert len(wrote) == 1
    assert {words for words in said.values() if words != "000001"} <= {f"busy {wrote[0]}", "busy None"}
    assert IndexStore(tmp_path).current_id() == "000001"


@pytest.mark.parametrize("kilobytes", [64, 500, 1500, 2200, 3000])
def test_on_a_full_file_system_a_rebuild_fails_with_a_sentence_and_works_once_there_is_space(tmp_path, kilobytes):
    cohort = make_cohort(tmp_path / "cohort", studies=60, views=4)
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(disk)]
    if os.geteuid() or subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("file systems cannot be mounted here")
    try:
        write_generation(disk / "index", seed=1)
        generation = IndexStore(disk / "index").open_current()
        before = answers(generation)
        generation.close()
        free = shutil.disk_usage(disk).free
        (disk / "ballast").write_bytes(bytes(free - kilobytes * 1024))
        with pytest.raises(IndexProblem, match="no space left"):
            rebuild(cohort, disk / "index")
        generation = IndexStore(disk / "index").open_current()
        assert (generation.degraded, answers(generation)) == (None, before)
        generation.close()
        assert not list(disk.rglob("*.tmp"))
        (disk / "ballast").unlink()
        assert rebuild(cohort, disk / "index").studies == 60
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_a_hostile_folder_is_indexed_without_its_hostile_files(tmp_path):
    cohort_dir = make_cohort(tmp_path / "cohort", studies=100, views=2)
    rng = np.random.default_rng(0)
    for number, path in enumerate(sorted(cohort_dir.glob("*.avi"))):
        write_clip(path, rng.integers(0, 255, (6, 32, 32, 3), np.uint8), seed=number)
    good = (cohort_dir / "s0v0.avi").read_bytes()
    outside = tmp_path / "outside.avi"
    outside.write_bytes(good)
    spoil = {
        "s1v0": lambda path: path.write_bytes(good[: len(good) // 3]),
        "s2v0": lambda path: path.write_bytes(rng.bytes(50_000)),
        "s3v0": lambda path: path.write_bytes(b""),
        "s4v0": lambda path: path.symlink_to(outside),
        "s5v0": lambda path: path.symlink_to(path.name),
        "s6v0": os.mkfifo,
        "s7v0": lambda path: path.mkdir(),
        "s8v0": lambda path: path.write_bytes(bytes(128) + b"DICM" + rng.bytes(5000)),
        "s9v0": lambda path: path.write_bytes(good[:200] + bytes(len(good))),
        "s10v0": lambda path: truncate(path, 5 << 30),
    }
    for name, how in spoil.items():
        (cohort_dir / f"{name}.avi").unlink()
        how(cohort_dir / f"{name}.avi")
    (cohort_dir / "s11v0.avi").unlink()  # missing
    shutil.copy(cohort_dir / "s12v0.avi", cohort_dir / "s12v1.avi")  # the same clip twice is no fault
    started = time.monotonic()
    with GuardedReader(workers=2) as reader:
        report = write_index(
            FakeBundle(),
            open_cohort(cohort_dir),
            IndexStore(tmp_path / "index"),
            reader,
            Machine(torch.device("cpu"), 2),
        )
    assert time.monotonic() - started < 300
    assert {f"{skip.study_id}{skip.view_id}" for skip in report.skipped} == {*spoil, "s11v0"}
    assert all(skip.reason.endswith(".") and str(tmp_path) not in skip.reason for skip in report.skipped)
    assert (report.studies, report.views) == (100, 189)
    assert IndexStore(tmp_path / "index").open_current().index.count == 100


def write_clip(path, frames_THWC, *, seed):
    frames_THWC = np.roll(frames_THWC, seed, axis=2)
    path.unlink(missing_ok=True)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 30, frames_THWC.shape[2:0:-1])
    for frame in frames_THWC:
        writer.write(frame)
    writer.release()


def truncate(path, size):
    with open(path, "wb") as file:
        file.truncate(size)


def test_damage_to_the_embedding_cache_never_stops_or_changes_a_rebuild(tmp_path):
    cohort = make_cohort(tmp_path / "cohort", studies=30, views=3)
    rebuild(cohort, tmp_path / "index")
    query = np.eye(6, dtype=np.float32)
    expected = IndexStore(tmp_path / "index").open_current().index.search(query, 5)
    cache = tmp_path / "index" / "embeddings.sqlite"
    content = cache.read_bytes()
    rng = random.Random(4)
    for _ in range(LOOPS):
        damaged = bytearray(content)
        for _ in range(rng.choice([1, 20, 2000])):
            damaged[rng.randrange(len(damaged))] = rng.randrange(256)
        cache.write_bytes(damaged[: rng.choice([len(damaged), rng.randrange(len(damaged))])])
        report = rebuild(cohort, tmp_path / "index")
        assert (report.studies, report.reused + report.embedded) == (30, 90)
        found = IndexStore(tmp_path / "index").open_current().index.search(query, 5)
        np.testing.assert_array_equal(found.ids_BK, expected.ids_BK)
        np.testing.assert_array_equal(found.similarity_BK, expected.similarity_BK)
