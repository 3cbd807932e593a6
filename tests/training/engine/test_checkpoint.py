import errno
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from ground.errors import Refusal
from training.engine.checkpoint import load_checkpoint, save_checkpoint

ROOT = Path(__file__).resolve().parents[3]


def test_what_is_saved_comes_back(tmp_path):
    state = {"towers": {"w": torch.arange(3.0)}, "epoch": 4, "best_score": 0.25}
    save_checkpoint(tmp_path / "last.pt", state)
    loaded = load_checkpoint(tmp_path / "last.pt")
    assert torch.equal(loaded["towers"]["w"], state["towers"]["w"])
    assert (loaded["epoch"], loaded["best_score"]) == (4, 0.25)


def test_a_full_disk_leaves_the_previous_checkpoint(tmp_path):
    path = tmp_path / "last.pt"
    save_checkpoint(path, {"epoch": 1})
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    try:
        with pytest.raises(OSError, match="File too large") as refused:  # not torch's complaint about its archive
            save_checkpoint(path, {"epoch": 2, "weights": torch.zeros(1_000_000)})
        assert refused.value.errno == errno.EFBIG
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert load_checkpoint(path)["epoch"] == 1
    assert [p.name for p in tmp_path.iterdir()] == ["last.pt"]


@pytest.mark.parametrize("kept", [0, 10, 5_000, 40_000, -1])
def test_a_damaged_checkpoint_is_refused_by_name(tmp_path, kept):
    path = tmp_path / "last.pt"
    save_checkpoint(path, {"epoch": 1, "weights": torch.zeros(10_000)})
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(Refusal, match=r"the checkpoint last.pt is damaged; --no-resume starts afresh"):
        load_checkpoint(path)


@pytest.mark.parametrize("step", ["write", "fsync", "replace"])
def test_no_space_at_any_step_leaves_the_previous_checkpoint_and_nothing_else(tmp_path, monkeypatch, step):
    path = tmp_path / "last.pt"
    save_checkpoint(path, {"epoch": 1})

    def no_space(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(*{"write": (torch, "save"), "fsync": (os, "fsync"), "replace": (os, "replace")}[step], no_space)
    with pytest.raises(OSError, match="No space"):
        save_checkpoint(path, {"epoch": 2})
    assert load_checkpoint(path)["epoch"] == 1
    assert [p.name for p in tmp_path.iterdir()] == ["last.pt"]


def test_a_newer_versions_checkpoint_is_refused_and_one_from_before_there_were_versions_is_not(tmp_path):
    torch.save({"epoch": 1}, tmp_path / "old.pt")
    assert load_checkpoint(tmp_path / "old.pt")["epoch"] == 1
    torch.save({"epoch": 1, "schema_version": 2}, tmp_path / "new.pt")
    with pytest.raises(Refusal, match=r"new.pt was written by a newer version of this software; --no-resume"):
        load_checkpoint(tmp_path / "new.pt")


SAVE_AND_STOP = """
import io, os, sys, time
from pathlib import Path
import torch
from training.engine.checkpoint import save_checkpoint

def stop(*_):
    os.write(1, b"stopped")
    time.sleep(600)

def half(state, file):
    whole = io.BytesIO()
    save(state, whole)
    file.write(whole.getvalue()[: len(whole.getvalue()) // 2])
    file.flush()
    stop()

save = torch.save
if sys.argv[2] == "half written":
    torch.save = half
else:
    setattr(os, {"written": "fsync", "synced": "replace"}[sys.argv[2]], stop)
save_checkpoint(Path(sys.argv[1]), {"epoch": 2, "weights": torch.zeros(100_000)})
"""


@pytest.mark.parametrize("when", ["half written", "written", "synced"])
def test_a_process_killed_while_it_saves_leaves_the_previous_checkpoint_and_the_next_one_can_be_saved(tmp_path, when):
    path = tmp_path / "last.pt"
    save_checkpoint(path, {"epoch": 1})
    command = [sys.executable, "-c", SAVE_AND_STOP, str(path), when]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as saving:
        assert saving.stdout.read(7) == b"stopped"
        saving.kill()
    assert saving.returncode == -signal.SIGKILL
    assert load_checkpoint(path)["epoch"] == 1
    save_checkpoint(path, {"epoch": 3})
    assert load_checkpoint(path)["epoch"] == 3
    assert [p.name for p in tmp_path.iterdir()] == ["last.pt"], "what the killed process left does not pile up"
