"""Files to vectors in an .npz, without an index or a service. Arrays instead of files: `cli/embed_prepared.py`.

Letters in array names: B batch, W windows, L leads, N samples (or ECGs, or studies), V views, D numbers of a vector.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from cli.advice import in_options
from embedding.clips import ClipRow, embed_clips, open_view_cache
from embedding.local import Reader, in_order, reading
from embedding.vectors import Vectors, ecg_vectors, study_vectors
from embedding.view_cache import ViewCache
from ground.disk import written_whole
from ground.progress import silent
from inputs.ecg.judged import judge_ecg
from inputs.ecg.prepare import ecg_windows
from inputs.ecg.read import gather_files
from inputs.echo.studies import StudyFiles, passed_over, studies_in
from inputs.echo.zips import is_zip, unpack_studies
from inputs.errors import InputError, UnreadableFile
from inputs.records import NO_HINTS, ReadHints
from models.bundle import Bundle
from models.device import Machine

_ABOUT_OPTIONS = ("parameter_ignored", "leads_replaced")
"""Warnings that concern what was given with the command."""


@dataclass
class EmbedResult:
    """How many were written, one sentence for each that was not, and what else to know about the arrays written.

    passed_over: sentences on files that are rightly not there, as documents beside clips.
    """

    written: int = 0
    skipped: list[str] = field(default_factory=list)
    passed_over: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def embed_ecg_files(
    files: Sequence[Path],
    bundle_dir: Path,
    output: Path,
    machine: Machine,
    hints: ReadHints = NO_HINTS,
) -> EmbedResult:
    """Write `ids` (N,), `withheld` (N,) and what `ecg_vectors` gives; a file that cannot be used is skipped.

    withheld: the codes of what would forbid an answer, with commas between; empty where nothing does. No file without
    a row.
    """
    bundle = Bundle.load(bundle_dir, device=str(machine.device), parts=("ecg",))
    spec = bundle.manifest.ecg
    skipped, ids, rows = [], [], []
    ignored: dict[str, list[str]] = {}
    withheld: dict[str, tuple[str, ...]] = {}
    with reading(machine.workers) as reader:

        def windows_of(path: Path) -> NDArray[np.float32] | InputError:
            try:
                recording = reader.read_ecg(gather_files(path), hints)
                ignored[path.name] = [w.message for w in recording.warnings if w.code in _ABOUT_OPTIONS]
                judged = judge_ecg(recording, spec)
                withheld[path.name] = judged.withheld
                return ecg_windows(judged.prepared.signal_LN, spec)
            except InputError as error:
                return error

        with in_order(windows_of, files, workers=machine.workers, ahead=4 * machine.workers) as results:
            for done, (path, windows_WLN) in enumerate(results, start=1):
                if isinstance(windows_WLN, InputError):
                    skipped.append(f"{path.name}: {in_options(windows_WLN.in_full)}")
                else:
                    rows.append(ecg_vectors(bundle, windows_WLN[None]))
                    ids.append(path.name)
                machine.progress(done, len(files), path.name)
    codes = {"withheld": np.array([",".join(withheld[name]) for name in ids])}
    result = save_vectors(output, rows, texts=codes | {"ids": np.array(ids)}, skipped=skipped)
    result.notes += [f"{name}: {in_options(message)}" for name in ids for message in ignored[name]]
    poor = [name for name in ids if withheld[name]]
    result.notes += [f"{name}: the service would give no answer ({', '.join(withheld[name])})." for name in poor]
    return result


def embed_echo_studies(
    given: Sequence[Path], bundle_dir: Path, output: Path, machine: Machine, *, work: Path | None
) -> EmbedResult:
    """Write `ids`, `study_uids` and `folders` (N,) and what `study_vectors` gives, weights padded with 0 to the study
    with most views.

    study_uids: StudyInstanceUID, empty of videos. folders: the one that holds all of a study's files, by its way from
    the folder or zip that was named.
    A folder or a zip is one study, or a tree of several as archives export it (`inputs.echo.studies`); a zip is
    unpacked into a temporary folder. `work` keeps view vectors for another time.
    """
    bundle = Bundle.load(bundle_dir, device=str(machine.device), parts=("echo",))
    skipped, passed, found, rows = [], [], [], []
    studies: list[tuple[Path, StudyFiles]] = []
    with ExitStack() as opened:
        for path in given:
            try:
                folder = _unzipped(path, opened) if path.is_file() else path
                studies += [(folder, study) for study in studies_in(folder)]
                passed += _told_in_short(folder.name, passed_over(folder))
            except InputError as error:
                skipped.append(f"{path.name}: {error.sentence} {error.hint}".rstrip())
        cache = opened.enter_context(open_view_cache(work, bundle))
        reader = opened.enter_context(reading(machine.workers))
        for done, (folder, study) in enumerate(studies, start=1):
            clips = [ClipRow(path.relative_to(folder).as_posix(), path) for path in study.files]
            views, refused, no_clips = _first_views(clips, bundle, cache, reader, machine)
            for name, reason in refused.items():
                (passed if name in no_clips else skipped).append(f"{folder.name}/{name}: {reason}")
            if views:
                views_VD = np.stack(views)
                rows.append(study_vectors(bundle, views_VD[None], np.ones((1, len(views_VD)), bool)))
                found.append((study.name, study.uid, _folder_of(study, folder)))
            elif no_clips and no_clips == refused.keys():
                passed.append(f"{study.name}: a study without clips.")
            else:
                skipped.append(f"{study.name}: no readable clip.")
            machine.progress(done, len(studies), study.name)
    most = max((row["pool_weights"].shape[1] for row in rows), default=0)
    for row in rows:
        row["pool_weights"] = np.pad(row["pool_weights"], ((0, 0), (0, most - row["pool_weights"].shape[1])))
    texts = dict(zip(("ids", "study_uids", "folders"), map(np.array, zip(*found, strict=True)), strict=False))
    result = save_vectors(output, rows, texts=texts, skipped=skipped)
    result.passed_over = passed
    return result


def _folder_of(study: StudyFiles, named: Path) -> str:
    holds_all = Path(os.path.commonpath([path.parent for path in study.files]))
    return holds_all.relative_to(named.parent).as_posix()


def _told_in_short(folder: str, files: Sequence[Path]) -> list[str]:
    endings = Counter(path.suffix.lower() or "no ending" for path in files)
    counted = ", ".join(f"{ending} {n}" for ending, n in sorted(endings.items()))
    return [f"{folder}: {len(files)} files that are no clips ({counted})."] if files else []


def _unzipped(path: Path, opened: ExitStack) -> Path:
    """A zip's files in a folder of its name, which goes with `opened`. Raises InputError."""
    if not is_zip(path):
        raise UnreadableFile("not_a_study", "This file is no zip of a study.", hint="Name the folder with its clips.")
    folder = Path(opened.enter_context(TemporaryDirectory(prefix="echo2ecg-study-"))) / path.stem
    folder.mkdir()
    unpack_studies(path, folder)
    return folder


def _first_views(
    rows: Sequence[ClipRow[str]], bundle: Bundle, cache: ViewCache, reader: Reader, machine: Machine
) -> tuple[list[NDArray[np.float32]], dict[str, str], set[str]]:
    """Vectors of the first clips that can be read, as many as count; by path in the folder why others cannot, and which
    of these are rightly no clips."""
    views: list[NDArray[np.float32]] = []
    refused: dict[str, str] = {}
    no_clips: set[str] = set()
    while rows and (wanted := bundle.manifest.echo.max_views - len(views)) > 0:
        next_ones, rows = rows[:wanted], rows[wanted:]
        embedded = embed_clips(bundle, next_ones, cache, reader, machine.telling(silent))
        kept = (cache.get(sha256) for sha256 in embedded.sha256_of.values())
        views += [view.vector_V for view in kept if view is not None]
        refused |= embedded.skipped
        no_clips |= embedded.no_clips
    return views, refused, no_clips


def save_vectors(
    output: Path,
    rows: Sequence[Vectors],
    *,
    texts: Mapping[str, NDArray[np.str_]] = MappingProxyType({}),
    skipped: Sequence[str] = (),
) -> EmbedResult:
    """Write texts and rows one below the other; say so where they have no embeddings. No file when there is no row."""
    if not rows:
        return EmbedResult(skipped=list(skipped))
    arrays: dict[str, NDArray[np.generic]] = dict(texts)
    arrays |= {name: np.concatenate([row[name] for row in rows]) for name in rows[0]}
    output.parent.mkdir(parents=True, exist_ok=True)
    with written_whole(output) as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]
    absent = {"features", "study_tokens"} & arrays.keys() and "embeddings" not in arrays
    notes = ["embeddings are left out: the bundle lacks the alignment that they need."] if absent else []
    return EmbedResult(len(next(iter(arrays.values()))), list(skipped), notes)
