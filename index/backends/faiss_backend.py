"""Exact search with FAISS, on the CPU or a GPU: the only file that knows FAISS.

FAISS proposes, float64 decides: a few more candidates than asked for are fetched and scored again in float64, so the
answer is the same bit for bit whatever FAISS did (one query or a batch, BLAS or its own loop, CPU or GPU) and
equal vectors come in ascending id order.

Letters: B queries, N stored vectors, D dimensions, K neighbours, C candidates.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, Self

import faiss as _faiss
import numpy as np
from numpy.typing import NDArray

from index.base import Hits, IndexDamaged

faiss: Any = _faiss  # its type stubs do not know what its Python layer adds

_SPARE_CANDIDATES = 16
_SCORE_ERROR = 1e-5
"""How far a float32 inner product of unit vectors may be from the true one: 512 x 2^-24 = 3e-5 at worst, 1e-6 seen."""
_FEW_EXCLUDED = 64
_GPU_MAX_K = 2048
_RESCORE_ROWS = 8192
_BLAS_SCORES = 1 << 22
"""float32 scores that one BLAS block may hold: 16 MiB."""
_FAISS_BLAS_THRESHOLD = faiss.cvar.distance_compute_blas_threshold


class FaissIndex:
    """A `StudyIndex` over a flat inner-product index. Rows keep the order in which they were added."""

    name: ClassVar[str] = "faiss-flat"
    file_name: ClassVar[str] = "index.faiss"
    exact = True

    def __init__(self, dim: int) -> None:
        if dim < 1:
            raise ValueError("dim must be at least 1")
        self._flat = faiss.IndexFlatIP(dim)
        self._with_ids = faiss.IndexIDMap(self._flat)  # only for files; rows and ids are our own business
        self._row_ids_N = np.empty(0, np.int64)
        self._rows_by_id_N = np.empty(0, np.int64)
        self._gpu: _GpuCopy | None = None
        self.notice: str | None = None

    @property
    def dim(self) -> int:
        return int(self._flat.d)

    @property
    def count(self) -> int:
        return int(self._flat.ntotal)

    @property
    def backend(self) -> str:
        return "faiss-gpu-flat" if self._gpu else "faiss-cpu-flat"

    @property
    def ids_N(self) -> NDArray[np.int64]:
        """The id of every row."""
        return self._row_ids_N.copy()

    @property
    def vectors_ND(self) -> NDArray[np.float32]:
        """The stored vectors in row order: a view, valid until the index changes."""
        if not self.count:
            return np.empty((0, self.dim), np.float32)
        stored: NDArray[np.float32] = faiss.rev_swig_ptr(self._flat.get_xb(), self.count * self.dim)
        return stored.reshape(self.count, self.dim)

    def add(self, ids_N: NDArray[np.int64], vectors_ND: NDArray[np.float32]) -> None:
        """Append unit-length vectors. Raises ValueError for ids that are negative or taken and for unfit vectors."""
        ids_N = np.asarray(ids_N, dtype=np.int64)
        vectors_ND = self._checked(vectors_ND)
        if ids_N.shape != (len(vectors_ND),):
            raise ValueError("there must be one id for every vector")
        if len(ids_N) and (ids_N.min() < 0 or len(np.unique(ids_N)) < len(ids_N)):
            raise ValueError("ids must not be negative and must differ")
        if np.isin(ids_N, self._row_ids_N).any():
            raise ValueError("an id is in the index already")
        lengths_N = np.linalg.norm(vectors_ND.astype(np.float64), axis=1)
        if len(ids_N) and np.abs(lengths_N - 1).max() > 1e-3:
            raise ValueError("vectors must have unit length")
        self._flat.add(vectors_ND)
        self._set_row_ids(np.concatenate([self._row_ids_N, ids_N]))

    def remove(self, ids_N: NDArray[np.int64]) -> int:
        """Drop vectors; ids that are not there are ignored. Returns how many went."""
        gone_N = np.isin(self._row_ids_N, np.asarray(ids_N, dtype=np.int64))
        removed = int(self._flat.remove_ids(_bitmap(gone_N)))
        self._set_row_ids(self._row_ids_N[~gone_N])
        return removed

    def search(self, vectors_BD: NDArray[np.float32], k: int, allowed_N: NDArray[np.int64] | None = None) -> Hits:
        """The `k` nearest of every query; see `StudyIndex`. Raises ValueError for unfit queries or k < 1."""
        vectors_BD = self._checked(vectors_BD)
        if k < 1:
            raise ValueError("k must be at least 1")
        allowed_mask_N = None if allowed_N is None else self._mask(np.asarray(allowed_N, dtype=np.int64))
        n_allowed = self.count if allowed_mask_N is None else int(np.count_nonzero(allowed_mask_N))
        hits = Hits(np.full((len(vectors_BD), k), -1, np.int64), np.full((len(vectors_BD), k), -np.inf, np.float32))
        pending_B = np.arange(len(vectors_BD)) if n_allowed else np.empty(0, np.intp)
        fetch = k + _SPARE_CANDIDATES
        while len(pending_B):  # again, with more candidates, for queries whose k-th place is not yet certain
            fetch = min(fetch, n_allowed)
            scores_BC, rows_BC = self._candidates(vectors_BD[pending_B], fetch, allowed_mask_N)
            uncertain = []
            for query, scores_C, rows_C in zip(pending_B, scores_BC, rows_BC, strict=True):
                similarity_C = self._rescore(vectors_BD[query], rows_C)
                order_K = np.lexsort((self._row_ids_N[rows_C], -similarity_C))[:k]
                unseen_at_most = scores_C.min() + _SCORE_ERROR
                if fetch < n_allowed and similarity_C[order_K[-1]] <= unseen_at_most:
                    uncertain.append(query)
                hits.ids_BK[query, : len(order_K)] = self._row_ids_N[rows_C[order_K]]
                hits.similarity_BK[query, : len(order_K)] = similarity_C[order_K]
            pending_B = np.array(uncertain, dtype=np.intp)
            fetch *= 8
        return hits

    def place_on(self, device: str, api: Any = faiss) -> bool:
        """Search on that device from now on: on a GPU only if it gives the CPU's answers; otherwise `notice` says why.

        `cuda` is the first GPU. The copy on the CPU stays: it scores candidates again, takes over when the GPU fails,
        and is what gets saved. `api` is the module that offers FAISS's GPU functions.
        """
        if not device.startswith("cuda"):
            self._gpu, self.notice = None, None
            return True
        if not hasattr(api, "StandardGpuResources"):
            return self._stay_on_cpu("this build of FAISS has no GPU support")
        number = int(device.partition(":")[2] or 0)
        if api.get_num_gpus() <= number:
            return self._stay_on_cpu(f"FAISS sees no GPU {number}" if number else "FAISS sees no GPU")
        if not self.count:
            return self._stay_on_cpu("an empty index gains nothing from a GPU")
        try:
            gpu = _GpuCopy(api, self._flat, number)
            fault = self._gpu_fault(gpu)
        except RuntimeError:  # all that FAISS raises; its text holds build paths, so it is not repeated
            return self._stay_on_cpu("FAISS could not use the GPU")
        if fault:
            return self._stay_on_cpu(fault)
        self._gpu, self.notice = gpu, None
        return True

    def save(self, write: Callable[[bytes], Any]) -> None:
        """Write a FAISS file (IndexIDMap of IndexFlatIP, always in CPU form) piece by piece, without a second copy in
        memory. Errors of `write` come through."""
        faiss.write_index(self._file_form(), faiss.PyCallbackIOWriter(write))

    @classmethod
    def open(cls, path: Path) -> Self:
        """Read what `save` wrote. Raises IndexDamaged for anything else. FAISS has no checksum: verify a hash first."""
        # Without the limit a length field in a 38 kB file makes FAISS allocate gigabytes.
        limit_before = faiss.get_deserialization_vector_byte_limit()
        faiss.set_deserialization_vector_byte_limit(path.stat().st_size)
        try:
            with_ids = faiss.read_index(str(path))
        except RuntimeError as error:
            raise IndexDamaged("The FAISS file cannot be read.") from error
        finally:
            faiss.set_deserialization_vector_byte_limit(limit_before)
        flat = faiss.downcast_index(with_ids.index) if isinstance(with_ids, faiss.IndexIDMap) else None
        if not isinstance(flat, faiss.IndexFlatIP) or flat.d < 1:
            raise IndexDamaged("The FAISS file holds another kind of index than the one written here.")
        row_ids_N = faiss.vector_to_array(with_ids.id_map).astype(np.int64)
        if len(row_ids_N) != flat.ntotal or flat.codes.size() != flat.ntotal * flat.d * 4:
            raise IndexDamaged("The FAISS file contradicts itself.")
        index = cls(flat.d)
        index._flat, index._with_ids = flat, with_ids
        index._set_row_ids(row_ids_N)
        return index

    def _file_form(self) -> Any:
        faiss.copy_array_to_vector(self._row_ids_N, self._with_ids.id_map)
        self._with_ids.ntotal = self.count
        return self._with_ids

    def _set_row_ids(self, row_ids_N: NDArray[np.int64]) -> None:
        self._row_ids_N = row_ids_N
        self._rows_by_id_N = np.argsort(row_ids_N, kind="stable")
        if self._gpu:
            self._stay_on_cpu("the index changed since it was moved to the GPU")

    def _checked(self, vectors_ND: NDArray[np.float32]) -> NDArray[np.float32]:
        vectors_ND = np.ascontiguousarray(vectors_ND, dtype=np.float32)
        if vectors_ND.ndim != 2 or vectors_ND.shape[1] != self.dim:
            raise ValueError(f"vectors must be rows of {self.dim} numbers")
        if not np.isfinite(vectors_ND).all():
            raise ValueError("vectors must be finite")
        return vectors_ND

    def _mask(self, ids_M: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Which rows carry one of the ids."""
        mask_N = np.zeros(self.count, np.bool_)
        if self.count:
            sorted_ids_N = self._row_ids_N[self._rows_by_id_N]
            place_M = np.minimum(np.searchsorted(sorted_ids_N, ids_M), self.count - 1)
            mask_N[self._rows_by_id_N[place_M[sorted_ids_N[place_M] == ids_M]]] = True
        return mask_N

    def _candidates(
        self, vectors_BD: NDArray[np.float32], fetch: int, allowed_mask_N: NDArray[np.bool_] | None
    ) -> tuple[list[NDArray[np.float32]], list[NDArray[np.int64]]]:
        """FAISS's scores and rows of the best `fetch` allowed rows of every query."""
        selector, n_excluded = allowed_mask_N, 0
        if allowed_mask_N is not None:
            n_excluded = int(np.count_nonzero(~allowed_mask_N))
            if n_excluded <= _FEW_EXCLUDED:  # a selector forbids BLAS; dropping a few hits afterwards does not
                selector = None
        scores_BC, rows_BC = self._search_rows(
            vectors_BD, fetch if selector is not None else fetch + n_excluded, selector
        )
        if allowed_mask_N is None or selector is not None:
            return list(scores_BC), list(rows_BC)
        kept = [allowed_mask_N[rows_C] for rows_C in rows_BC]
        return (
            [s[keep][:fetch] for s, keep in zip(scores_BC, kept, strict=True)],
            [r[keep][:fetch] for r, keep in zip(rows_BC, kept, strict=True)],
        )

    def _search_rows(
        self, vectors_BD: NDArray[np.float32], fetch: int, selector_mask_N: NDArray[np.bool_] | None
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        if self._gpu and fetch <= _GPU_MAX_K:
            try:
                return self._gpu.search(vectors_BD, fetch, selector_mask_N)
            except RuntimeError:
                self._stay_on_cpu("the GPU failed during a search")
        _set_blas(blas_from_batch(self.dim) * self.dim, len(vectors_BD))
        return _search(self._flat, faiss, vectors_BD, fetch, selector_mask_N)

    def _rescore(self, vector_D: NDArray[np.float32], rows_C: NDArray[np.int64]) -> NDArray[np.float32]:
        """Inner products summed in float64: independent of a row's place, so that equal vectors get equal scores."""
        stored_ND = self.vectors_ND
        query_D = vector_D.astype(np.float64)
        blocks = [rows_C[i : i + _RESCORE_ROWS] for i in range(0, len(rows_C), _RESCORE_ROWS)]
        # einsum and not a matrix product: BLAS may sum the rows at the edge of a block in another order
        parts = [np.einsum("cd,d->c", stored_ND[block].astype(np.float64), query_D) for block in blocks]
        return np.concatenate(parts).astype(np.float32)

    def _gpu_fault(self, gpu: _GpuCopy) -> str | None:
        """What is wrong with the GPU's answers to a few queries, with and without a selector, or None."""
        rng = np.random.default_rng(0)
        queries_BD = rng.standard_normal((16, self.dim)).astype(np.float32)
        queries_BD /= np.linalg.norm(queries_BD, axis=1, keepdims=True)
        half_N = rng.random(self.count) < 0.5
        half_N[0] = True
        for selector_N in (None, half_N):
            fetch = min(32, self.count if selector_N is None else int(np.count_nonzero(selector_N)))
            expected_BC, _ = _search(self._flat, faiss, queries_BD, fetch, selector_N)
            scores_BC, rows_BC = gpu.search(queries_BD, fetch, selector_N)
            if ((rows_BC < 0) | (rows_BC >= self.count)).any():
                return "the GPU's answers differ from the CPU's"
            if selector_N is not None and not selector_N[rows_BC].all():
                return "this FAISS ignores the selection of allowed studies on the GPU"
            true_BC = np.stack([self._rescore(q, rows) for q, rows in zip(queries_BD, rows_BC, strict=True)])
            worst = max(np.abs(scores_BC - expected_BC).max(), np.abs(scores_BC - true_BC).max())
            if not worst < _SCORE_ERROR:
                return "the GPU's answers differ from the CPU's"
        return None

    def _stay_on_cpu(self, reason: str) -> bool:
        self._gpu = None
        self.notice = f"The index is searched on the CPU: {reason}."
        return False


class _GpuCopy:
    """The vectors on a GPU, with the resources that must live as long as they do. Not thread-safe."""

    def __init__(self, api: Any, flat: Any, number: int) -> None:
        self._api = api
        self._resources = api.StandardGpuResources()
        self._index = api.index_cpu_to_gpu(self._resources, number, flat)

    def search(
        self, vectors_BD: NDArray[np.float32], fetch: int, selector_mask_N: NDArray[np.bool_] | None
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        return _search(self._index, self._api, vectors_BD, fetch, selector_mask_N)


def _search(
    index: Any, api: Any, vectors_BD: NDArray[np.float32], fetch: int, selector_mask_N: NDArray[np.bool_] | None
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    if selector_mask_N is None:
        scores_BC, rows_BC = index.search(vectors_BD, fetch)
    else:
        selector = _bitmap(selector_mask_N)
        scores_BC, rows_BC = index.search(vectors_BD, fetch, params=api.SearchParameters(sel=selector))
    return scores_BC, rows_BC


def _bitmap(mask_N: NDArray[np.bool_]) -> Any:
    return faiss.IDSelectorBitmap(np.packbits(mask_N, bitorder="little"))


@functools.cache
def blas_from_batch(dim: int) -> int:
    """The smallest batch for which FAISS's BLAS search beats its own loop here, measured once per process (< 0.1 s).

    FAISS turns to BLAS at batch x dim >= 128,000 only, so at 512 dimensions any batch under 250 takes the loop, seven
    times slower at 64 queries over 100,000 vectors. For a single query the loop wins; where they cross depends on
    the machine and its threads.
    """
    rng = np.random.default_rng(0)
    flat = faiss.IndexFlatIP(dim)
    flat.add(rng.standard_normal((8192, dim), dtype=np.float32))

    def blas_wins(batch: int) -> bool:
        queries_BD = rng.standard_normal((batch, dim), dtype=np.float32)
        best_s = {1: np.inf, 1 << 30: np.inf}
        for threshold in [*best_s] * 3:  # in turns, so that other work on the machine slows both
            _set_blas(threshold, batch)
            start = time.perf_counter()
            flat.search(queries_BD, 10 + _SPARE_CANDIDATES)
            best_s[threshold] = min(best_s[threshold], time.perf_counter() - start)
        return best_s[1] < best_s[1 << 30]

    batches = (1, 2, 4, 8, 16, 32, 64)
    return next(filter(blas_wins, batches), -(-_FAISS_BLAS_THRESHOLD // dim))


def _set_blas(threshold: int, batch: int) -> None:
    """FAISS's settings are global: `threshold` is batch x dim from which BLAS is used, then in few large blocks.

    In blocks of 1024 vectors, as FAISS has it, threads meet 200 times for 100,000 vectors and wait each time for the
    slowest: on a busy machine that took three times as long as 65,536 at once.
    """
    faiss.cvar.distance_compute_blas_threshold = threshold
    faiss.cvar.distance_compute_blas_database_bs = min(65_536, max(1024, _BLAS_SCORES // max(batch, 1)))
