"""Index generations on disk: written whole or not at all, verified before use, at least two kept.

    <root>/CURRENT               the id of the generation to serve and the sha256 of its manifest
    <root>/lock                  held with flock by whoever writes; says which process that is
    <root>/generations/<id>/     a generation, see `index.generation`
    <root>/generations/*.tmp/    one being written or deleted

A generation is written under a temporary name, flushed file by file and renamed; only then is CURRENT replaced, in one
step. Whatever instant the power fails at, CURRENT names the old generation or the new one, complete.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import sqlalchemy as sa

from ground.disk import (
    READ_ONLY,
    flush_folder,
    is_no_space,
    is_sqlite_no_space,
    is_sqlite_read_only,
    write_flushed,
)
from index.backends import DEFAULT_BACKEND
from index.base import (
    IndexBusy,
    IndexDamaged,
    IndexMismatch,
    IndexMissing,
    IndexNewer,
    IndexNotWritten,
    IndexProblem,
)
from index.generation import (
    MANIFEST_HASH,
    BuildParameters,
    Generation,
    GenerationManifest,
    GenerationWriter,
    read_manifest,
)

KEPT_GENERATIONS = 2


class _Current(NamedTuple):
    """What CURRENT says: an id and the whole line, or a sentence about what is wrong with it."""

    generation_id: str | None = None
    mark: str | None = None
    fault: str = ""


class IndexStore:
    """The index folder. Reading needs no right to write; one process at a time may write.

    `on_step` is told the name of every step of writing, so that a test can end the process there.
    """

    def __init__(self, root: Path, *, on_step: Callable[[str], None] = lambda name: None) -> None:
        self.root = root
        self._generations = root / "generations"
        self._on_step = on_step

    def current_id(self) -> str | None:
        """The generation that CURRENT names, None where it names none. Only CURRENT itself is checked."""
        return self._read_current().generation_id

    def current_mark(self) -> str | None:
        """As `current_id`, with the manifest's hash: another one where an id was used again for another content."""
        return self._read_current().mark

    def open_current(self, expect_bundle_sha256: str | None = None, *, fall_back: bool = True) -> Generation:
        """Verify and open the current generation, or the newest one that verifies, with `degraded` set.

        Without `fall_back` no other generation is looked at: what is wrong with the current one is raised.

        Removes what an interrupted write left behind. Raises IndexMissing, IndexDamaged when nothing verifies,
        IndexNewer when a newer version of this software wrote what there is, and IndexMismatch when what verifies
        belongs to another bundle than `expect_bundle_sha256`.
        """
        self._remove_leftovers()
        current, _, fault = self._read_current()
        if current is None and not self._ids():
            raise IndexMissing("There is no index yet: build one with `echo2ecg index rebuild`.")
        if current is None and not fall_back:
            raise IndexDamaged(fault)
        newer: IndexNewer | None = None
        if current is not None:
            try:
                return Generation.open(self._generations / current, expect_bundle_sha256=expect_bundle_sha256)
            except (IndexDamaged, IndexNewer) as error:
                if self.current_id() not in (None, current):  # replaced and cleared away while it was being read
                    return self.open_current(expect_bundle_sha256, fall_back=fall_back)
                if not fall_back:
                    raise
                fault, newer = str(error), error if isinstance(error, IndexNewer) else None
        mismatch: IndexMismatch | None = None
        for generation_id in reversed([i for i in self._ids() if i != current]):
            try:
                return Generation.open(
                    self._generations / generation_id,
                    expect_bundle_sha256=expect_bundle_sha256,
                    degraded=f"{fault} Generation {generation_id} is served instead.",
                )
            except IndexMismatch as error:
                mismatch = mismatch or error
            except IndexNewer as error:
                newer = newer or error
            except IndexDamaged:
                continue
        raise newer or mismatch or IndexDamaged(f"{fault} No other generation verifies: rebuild the index.")

    def verify(self) -> list[str]:
        """What is wrong with CURRENT and with every generation, oldest first, one sentence each; nothing when empty."""
        ids = self._ids()
        fault = self._read_current().fault
        faults = [fault] if fault and ids else []
        for generation_id in ids:
            try:
                Generation.open(self._generations / generation_id).close()
            except (IndexDamaged, IndexNewer) as error:
                faults.append(str(error))
        return faults

    def generations(self, most: int) -> list[tuple[str, GenerationManifest | None]]:
        """Id and manifest of the generations on disk, the newest first; None where a manifest does not verify."""
        found: list[tuple[str, GenerationManifest | None]] = []
        for generation_id in self._ids()[: -most - 1 : -1]:
            try:
                found.append((generation_id, read_manifest(self._generations / generation_id)))
            except IndexProblem:
                found.append((generation_id, None))
        return found

    def info(self) -> dict[str, Any]:
        """The current generation's manifest, what it has of its views, and every generation's id.

        Raises as `open_current`.
        """
        generation = self.open_current()
        held = generation.held()
        generation.close()
        return {
            "current": generation.id,
            "degraded": generation.degraded,
            "generations": self._ids(),
            **held,
            "manifest": generation.manifest.model_dump(mode="json"),
        }

    @contextlib.contextmanager
    def write(
        self,
        *,
        bundle_id: str,
        bundle_sha256: str,
        dim: int,
        build: BuildParameters,
        backend: str = DEFAULT_BACKEND,
    ) -> Iterator[GenerationWriter]:
        """Write a new generation in a `with` block; it becomes current when the block ends without an exception.

        `backend` is the search engine that will answer from it, by its name in `index.backends`.

        Raises IndexBusy when another process writes, IndexNewer where this version must not write beside what there is,
        and IndexNotWritten when the disk is full or read-only. After any exception nothing half-written is left and
        CURRENT is what it was.
        """
        with _plain_disk_errors(), contextlib.ExitStack() as stack:
            self._generations.mkdir(parents=True, exist_ok=True)
            stack.enter_context(self._lock())
            self._on_step("locked")
            self._refuse_newer()
            self._remove_temporary()
            stack.callback(self._remove_temporary)
            newest = max(map(int, self._ids()), default=0)
            generation_id = f"{newest + 1:06d}"
            folder = self._generations / f"{generation_id}.tmp"
            folder.mkdir()
            self._on_step("temporary folder made")
            writer = GenerationWriter(folder, generation_id, dim, self._on_step, backend=backend)
            with writer.catalogue:
                yield writer
            manifest_sha256 = writer.complete(bundle_id=bundle_id, bundle_sha256=bundle_sha256, build=build)
            # What needs space comes first, so that a full disk leaves no generation that nobody names.
            write_flushed(self.root / "CURRENT.tmp", f"{generation_id} {manifest_sha256}\n".encode())
            self._on_step("new CURRENT written")
            with writer.publishing:
                self._publish(folder, generation_id)
            self._remove_old()

    def _publish(self, folder: Path, generation_id: str) -> None:
        os.rename(folder, self._generations / generation_id)
        self._on_step("folder renamed")
        flush_folder(self._generations)
        self._on_step("generations flushed")
        os.replace(self.root / "CURRENT.tmp", self.root / "CURRENT")
        self._on_step("CURRENT replaced")
        flush_folder(self.root)
        self._on_step("root flushed")

    def _remove_old(self) -> None:
        for old in self._ids()[:-KEPT_GENERATIONS]:
            os.rename(self._generations / old, self._generations / f"{old}.tmp")
            self._on_step("old generation renamed")
        self._remove_temporary()
        self._on_step("old generations removed")

    def _refuse_newer(self) -> None:
        """IndexNewer where the current generation, or without one the newest, has a format newer than ours.

        Writing would push it out, and whoever goes back to the newer version would find an index that is older.
        """
        current = self.current_id() or next(reversed(self._ids()), None)
        if current is None:
            return
        try:
            read_manifest(self._generations / current)
        except IndexNewer:
            raise IndexNewer(current, ", so this version writes nothing beside it") from None
        except IndexProblem:
            return  # a new generation mends it

    def _read_current(self) -> _Current:
        try:
            content = (self.root / "CURRENT").read_bytes()
        except OSError:
            return _Current(fault="CURRENT is missing or cannot be read.")
        match = re.fullmatch(rb"(\d{6,}) ([0-9a-f]{64})\n", content)
        if match is None:
            return _Current(fault="CURRENT is damaged.")
        generation_id = match[1].decode()
        try:
            recorded = (self._generations / generation_id / MANIFEST_HASH).read_bytes()
        except OSError:
            return _Current(fault=f"CURRENT names generation {generation_id}, which is not there or cannot be read.")
        # A flipped bit may turn one id into that of another generation; the hash gives it away.
        if recorded[:64] != match[2]:
            return _Current(fault=f"CURRENT and generation {generation_id} disagree.")
        return _Current(generation_id, content.decode())

    def _ids(self) -> list[str]:
        """Generations on disk, oldest first."""
        if not self._generations.is_dir():
            return []
        return sorted((p.name for p in self._generations.iterdir() if re.fullmatch(r"\d{6,}", p.name)), key=int)

    @contextlib.contextmanager
    def _lock(self) -> Iterator[None]:
        # For its owner alone: whoever may open it, if only to read, may hold it.
        descriptor = os.open(self.root / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            with contextlib.suppress(PermissionError):
                os.fchmod(descriptor, 0o600)
            for attempts_left in reversed(range(6)):  # a server that starts holds the lock for an instant
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if not attempts_left:
                        raise _busy(os.pread(descriptor, 200, 0)) from None
                    time.sleep(0.05)
            started = datetime.now(UTC).isoformat(timespec="seconds")
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, json.dumps({"pid": os.getpid(), "started": started}).encode(), 0)
            try:
                yield
            finally:
                os.ftruncate(descriptor, 0)  # who holds it next, if only to tidy up, is another process
        finally:
            os.close(descriptor)

    def _remove_leftovers(self) -> None:
        """Remove what an interrupted write left, unless somebody is writing or nothing may be written here."""
        try:
            descriptor = os.open(self.root / "lock", os.O_RDWR | os.O_CLOEXEC)
        except OSError:
            return
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._remove_temporary()
        except OSError:
            return
        finally:
            os.close(descriptor)

    def _remove_temporary(self) -> None:
        (self.root / "CURRENT.tmp").unlink(missing_ok=True)
        for folder in self._generations.glob("*.tmp"):
            shutil.rmtree(folder, ignore_errors=True)


def _busy(lock_content: bytes) -> IndexBusy:
    try:
        holder = json.loads(lock_content)
        pid, started = int(holder["pid"]), str(holder["started"])
    except (ValueError, KeyError, TypeError):
        return IndexBusy("Another process is writing to this index.")
    return IndexBusy(f"An index rebuild is running already: process {pid}, started {started}.", pid=pid)


def _of_sqlite(error: sa.exc.OperationalError | sqlite3.OperationalError) -> BaseException:
    """What SQLite itself said, where SQLAlchemy says it again."""
    return (error.orig or error) if isinstance(error, sa.exc.OperationalError) else error


@contextlib.contextmanager
def _plain_disk_errors() -> Iterator[None]:
    """Turn what a disk refuses, itself or through SQLite, into IndexNotWritten."""
    try:
        yield
    except OSError as error:
        _refuse(error, no_space=is_no_space(error), read_only=error.errno in READ_ONLY)
        raise
    except (sa.exc.OperationalError, sqlite3.OperationalError) as error:
        said = _of_sqlite(error)
        _refuse(error, no_space=is_sqlite_no_space(said), read_only=is_sqlite_read_only(said))
        raise


def _refuse(error: Exception, *, no_space: bool, read_only: bool) -> None:
    """IndexNotWritten for either reason."""
    if no_space:
        sentence = "There is no space left for a new index generation; nothing was changed."
        raise IndexNotWritten(sentence) from error
    if read_only:
        raise IndexNotWritten("The index folder cannot be written to.") from error
