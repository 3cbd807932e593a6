"""Full, limited and read-only disks under the rebuild as it is run: both of its programs, with a real bundle."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest

from ground.progress import Failure, parse_line
from index.store import IndexStore

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "index"))
from made_up_cohorts import environment, make_cohort, rebuild_command  # noqa: E402
from made_up_generations import answers, write_generation  # noqa: E402

pytestmark = pytest.mark.drill

NO_SPACE = "There is no space left for a new index generation; nothing was changed."
PROGRAMS = {"command": ["cli.main", "index", "rebuild"], "program": ["index.rebuild"]}


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    """Twelve invented patients: a generation and the view vectors take more than a megabyte each."""
    folder = tmp_path_factory.mktemp("cohort") / "cohort"
    command = [sys.executable, "-m", "cli.main", "simulate", folder, "--patients", "12", "--seed", "3"]
    subprocess.run(command, check=True, cwd=ROOT, env=environment(), capture_output=True)
    return folder


@pytest.fixture(scope="module")
def built(cohort, tmp_path_factory):
    """An index of that cohort, with one generation and its view vectors."""
    folder = tmp_path_factory.mktemp("built") / "index"
    assert run("command", cohort, folder)[0] == 0
    return folder


def run(which, cohort, index_dir, *, kilobytes_per_file=None):
    """Rebuild in a process of its own: (exit code, the sentence for a person)."""
    command = [sys.executable, "-m", *PROGRAMS[which], "--bundle", ROOT / "bundles" / "demo"]
    command = [str(part) for part in (*command, "--cohort", cohort, "--index", index_dir, "--device", "cpu")]
    if kilobytes_per_file is not None:
        command = ["bash", "-c", f'ulimit -f {kilobytes_per_file}; exec "$@"', "bash", *command]
    done = subprocess.run(command, cwd=ROOT, env=environment(), capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr
    if which == "program":
        said = parse_line(done.stdout.splitlines()[-1].encode())
        assert done.stderr == ""
        return done.returncode, said.sentence if isinstance(said, Failure) else ""
    lines = [line for line in done.stderr.splitlines() if not line.startswith("Embedding studies: ")]
    assert len(lines) <= 1, done.stderr
    return done.returncode, "".join(lines)


def check_unharmed(index_dir):
    assert IndexStore(index_dir).verify() == []
    assert IndexStore(index_dir).current_id() == "000001"
    assert not list(index_dir.rglob("*.tmp"))


@contextmanager
def mounted(folder, *arguments):
    """A file system on `folder` while the block runs; the test is skipped where none can be mounted."""
    folder.mkdir(exist_ok=True)
    command = ["mount", *map(str, arguments), str(folder)]
    if os.geteuid() or subprocess.run(command, check=False, capture_output=True).returncode:
        pytest.skip("file systems cannot be mounted here")
    try:
        yield
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def leave_free(disk, kilobytes):
    """Fill a file system until so much is left."""
    with open(disk / "ballast", "wb", buffering=0) as ballast:
        for size in (1 << 16, 1 << 10):
            try:
                while ballast.write(bytes(size)) == size:
                    pass
            except OSError:
                pass
        os.fsync(ballast.fileno())
        ballast.truncate(max(0, ballast.tell() - kilobytes * 1024))
        os.fsync(ballast.fileno())


@pytest.mark.parametrize("which", PROGRAMS)
@pytest.mark.parametrize("views_are_kept", [False, True])
def test_on_a_full_disk_a_rebuild_says_so_changes_nothing_and_works_once_there_is_space(
    built, cohort, tmp_path, which, views_are_kept
):
    disk = tmp_path / "disk"
    with mounted(disk, "-t", "tmpfs", "-o", "size=40m", "tmpfs"):
        shutil.copytree(built, disk / "index")
        if not views_are_kept:
            (disk / "index" / "embeddings.sqlite").unlink()
        for kilobytes in (0, 50, 500) if views_are_kept else (0, 50, 500, 1500):
            leave_free(disk, kilobytes)
            assert run(which, cohort, disk / "index") == (1, NO_SPACE)
            check_unharmed(disk / "index")
            (disk / "ballast").unlink()
            if not views_are_kept:
                (disk / "index" / "embeddings.sqlite").unlink(missing_ok=True)
        assert run(which, cohort, disk / "index") == (0, "")
        assert IndexStore(disk / "index").verify() == []


@pytest.mark.parametrize("which", PROGRAMS)
@pytest.mark.parametrize("kilobytes", [1, 40])
def test_under_a_limit_on_the_size_of_files_it_is_the_same(built, cohort, tmp_path, which, kilobytes):
    index_dir = shutil.copytree(built, tmp_path / "index")
    (index_dir / "embeddings.sqlite").unlink()
    assert run(which, cohort, index_dir, kilobytes_per_file=kilobytes) == (1, NO_SPACE)
    check_unharmed(index_dir)
    assert run(which, cohort, index_dir) == (0, "")


@pytest.mark.parametrize("which", PROGRAMS)
def test_a_read_only_file_system_is_called_so(built, cohort, tmp_path, which):
    index_dir = shutil.copytree(built, tmp_path / "index")
    with mounted(index_dir, "--bind", index_dir):
        subprocess.run(["mount", "-o", "remount,ro,bind", str(index_dir)], check=True)
        assert run(which, cohort, index_dir) == (1, "The index folder cannot be written to.")
        check_unharmed(index_dir)


@pytest.mark.parametrize("block_bytes", [1024, 4096])
def test_on_a_full_disk_with_blocks_of_its_own_no_process_ends_by_a_signal(tmp_path, block_bytes):
    """Mapped memory without a block behind it would end the process, without a word."""
    cohort, image, disk = make_cohort(tmp_path / "cohort", studies=20, views=2), tmp_path / "image", tmp_path / "disk"
    make = shutil.which("mkfs.ext4", path=os.environ["PATH"] + ":/usr/sbin:/sbin")
    if make is None:
        pytest.skip("there is no mkfs.ext4")
    with open(image, "wb") as file:
        file.truncate(24 << 20)
    subprocess.run([make, "-q", "-F", "-m", "0", "-b", str(block_bytes), image], check=True)
    with mounted(disk, "-o", "loop", image):
        write_generation(disk / "index", seed=1)
        generation = IndexStore(disk / "index").open_current()
        before = answers(generation)
        generation.close()
        for kilobytes in range(0, 160, 16):
            leave_free(disk, kilobytes)
            command = rebuild_command(cohort, disk / "index", batch_s=0)
            done = subprocess.run(command, env=environment(), capture_output=True, text=True, check=False)
            assert done.returncode == 1, (kilobytes, done.returncode, done.stderr[-500:])
            assert "IndexNotWritten: There is no space left" in done.stderr
            check_unharmed(disk / "index")
            generation = IndexStore(disk / "index").open_current()
            assert (generation.degraded, answers(generation)) == (None, before)
            generation.close()
            (disk / "ballast").unlink()
            for kept in disk.glob("index/embeddings.sqlite*"):
                kept.unlink()
        subprocess.run(rebuild_command(cohort, disk / "index", batch_s=0), env=environment(), check=True)
