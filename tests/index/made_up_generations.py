"""Tiny generations whose answers are known, and processes that die or run out of disk while writing one."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import numpy as np

from index.catalogue.cards import CataloguedView, StudyCard
from index.store import IndexStore

ROOT = Path(__file__).resolve().parents[2]
BUNDLE = {"bundle_id": "demo", "bundle_sha256": "a" * 64}
DIM = 8


def write_generation(root, *, seed, count=60, bundle=BUNDLE, on_step=lambda name: None):
    """A small generation whose every card says which seed it came from."""
    rng = np.random.default_rng(seed)
    vectors = rng.standard_normal((count, DIM))
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    with IndexStore(root, on_step=on_step).write(**bundle, dim=DIM, build={"seed": seed}) as writer:
        for row, vector in enumerate(vectors):
            card = StudyCard(
                row_id=row,
                study_id=f"seed{seed}-{row}",
                patient_id=f"p{row % 7}",
                acquired_at=datetime(2020, 1, 1),  # noqa: DTZ001
                age=50.0,
                sex=None,
                lvef_percent=None,
                lvedv_ml=None,
                lvesv_ml=None,
                flags={},
                shd=None,
                views=(CataloguedView("v0", None, 1.0),),
            )
            writer.add(card, vector, {"v0": b"jpeg"})
        writer.add_file("report.json", b"{}\n")
    return writer.generation_id


def answers(generation):
    """Ten fixed queries: the study ids found and their similarities."""
    queries = np.random.default_rng(99).standard_normal((10, DIM)).astype(np.float32)
    hits = generation.index.search(queries, 5)
    return [[c.study_id for c in generation.catalogue.cards(row)] for row in hits.ids_BK], hits.similarity_BK.tolist()


def golden(folder, seed):
    """The answers of the generation of this seed, written into an empty folder."""
    write_generation(folder, seed=seed)
    return answers(IndexStore(folder).open_current())


def child(*arguments):
    """Run this file as a program of its own, see `main`."""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, __file__, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)


def write_and_die(roots_and_steps):
    """Write generation 2 into each root in a process that kills itself at the step. Returns the exit statuses."""
    done = child("die", *(argument for pair in roots_and_steps for argument in pair))
    return [int(line) for line in done.stdout.split()]


def write_on_full_disk(root, file_bytes):
    """Write generation 2 in a process for which the disk is full after `file_bytes` bytes of any one file."""
    return child("full", root, file_bytes)


def main(how, *arguments):
    if how == "full":
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(arguments[1]), int(arguments[1])))
        write_generation(Path(arguments[0]), seed=2)
        return
    for root, die_at in zip(arguments[::2], arguments[1::2], strict=True):
        # Forked and not started anew, for speed: only imports have run, no thread of FAISS's exists yet.
        process = os.fork()
        if not process:
            write_generation(Path(root), seed=2, on_step=lambda step, d=die_at: step == d and os.kill(os.getpid(), 9))
            os._exit(0)
        sys.stdout.write(f"{os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])}\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
