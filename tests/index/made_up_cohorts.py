"""Cohorts of tiny files, a reader and a bundle that understand them, and a process that rebuilds an index from them."""

from __future__ import annotations

import os
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import torch

from cohorts import open_cohort, write_cohort_tables
from ground.findings import SHD_FLAGS
from ground.progress import silent
from index.rebuild import write_index
from index.store import IndexStore
from inputs.errors import UnreadableFile
from inputs.records import EchoClip
from inputs.specs import EchoSpec
from models.device import Machine

ROOT = Path(__file__).resolve().parents[2]
DIM = 6
FRAMES = 12


class FakeBundle:
    """Embeds a clip as six of its pixels, pools by the mean and counts what it is given."""

    id = "fake"
    sha256 = "f" * 64
    device = "cpu"
    embedding_dim = DIM

    def __init__(self, encoder="e1", spec=None, batch_s=0.0):
        self.echo_encoder_sha256 = encoder
        spec = spec or EchoSpec(frames=2, stride=1, size=8, zoom=0)
        self.manifest = SimpleNamespace(echo=spec, takes_clips=True, view_source=None)
        self.batches = []
        self.batch_s = batch_s

    def embed_clips(self, clips_NCTHW):
        self.batches.append(len(clips_NCTHW))
        time.sleep(self.batch_s)
        return clips_NCTHW[:, 0, 0, 2, :DIM].copy()

    def pool_study(self, views_VD):
        mean, alone = views_VD.mean(axis=0) + 1e-3, views_VD + 1e-3
        weights = np.arange(1, len(views_VD) + 1, dtype=np.float32)
        return SimpleNamespace(
            embedding_D=(mean / np.linalg.norm(mean)).astype(np.float32),
            pool_weights_V=weights / weights.sum(),
            view_embeddings_VD=(alone / np.linalg.norm(alone, axis=1, keepdims=True)).astype(np.float32),
        )


class FakeReader:
    """Draws the clip that a file's bytes stand for; a file that says `broken` cannot be read."""

    def __init__(self):
        self.paths = []
        self.lock = threading.Lock()

    def read_echo(self, path, *, max_frames=None, every=1):
        path = Path(path)
        content = path.read_bytes()
        with self.lock:
            self.paths.append(path.name)
        if content.startswith(b"broken"):
            raise UnreadableFile("broken", "The file is broken.")
        rng = np.random.default_rng(list(content))
        frames_THWC = rng.integers(0, 255, (min(max_frames, FRAMES), 16, 16, 3), np.uint8)
        return EchoClip(frames_THWC[::every], None, "fake", frame_step=every)


def make_cohort(root, *, studies=6, views=3):
    """A cohort of files that FakeReader reads. Patient p0 has studies s0 and s1, p1 has s2 and s3, and so on."""
    root.mkdir(parents=True, exist_ok=True)
    echos, rows = [], []
    for s in range(studies):
        rows.append(
            {
                "patient_id": f"p{s // 2}",
                "study_id": f"s{s}",
                "acquired_at": f"2020-01-{1 + s % 28:02d}T10:00:00",
                "age": 40.0 + s % 50,
                "sex": ("female", "male", "")[s % 3],
                "lvef_percent": 50.0 + s % 40 if s else None,
                "lvedv_ml": 120.0,
                "lvesv_ml": None,
                **dict.fromkeys(SHD_FLAGS, False),
                SHD_FLAGS[2]: (True, False, None)[s % 3],
            }
        )
        for v in range(views):
            (root / f"s{s}v{v}.avi").write_bytes(f"study {s} view {v}".encode())
            echos.append(
                {
                    "patient_id": f"p{s // 2}",
                    "study_id": f"s{s}",
                    "view_id": f"v{v}",
                    "acquired_at": rows[-1]["acquired_at"],
                    "path": f"s{s}v{v}.avi",
                    "view": "A4C" if v else "",
                }
            )
    patients = sorted({row["patient_id"] for row in rows})
    write_cohort_tables(
        root,
        pd.DataFrame(columns=["patient_id", "ecg_id", "acquired_at", "path"]),
        pd.DataFrame(echos),
        pd.DataFrame(rows),
        pd.DataFrame({"patient_id": patients, "split": "train"}),
    )
    return root


def rebuild(cohort_dir, index_dir, *, bundle=None, reader=None, on_step=lambda name: None, progress=None, workers=2):
    return write_index(
        bundle or FakeBundle(),
        open_cohort(cohort_dir),
        IndexStore(index_dir, on_step=on_step),
        reader or FakeReader(),
        Machine(torch.device("cpu"), workers, progress or silent),
    )


def rebuild_command(cohort_dir, index_dir, batch_s):
    """The command line of a process that rebuilds and prints how many views it is through with."""
    return [sys.executable, __file__, cohort_dir, index_dir, str(batch_s)]


def environment():
    return os.environ | {"PYTHONPATH": str(ROOT)}


def main(cohort_dir, index_dir, batch_s):
    def tell(done, total, message):
        sys.stdout.write(f"{done}\n")
        sys.stdout.flush()

    rebuild(Path(cohort_dir), Path(index_dir), bundle=FakeBundle(batch_s=float(batch_s)), progress=tell)


if __name__ == "__main__":
    main(*sys.argv[1:])
