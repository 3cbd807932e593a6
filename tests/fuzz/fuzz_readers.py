"""Fuzzing of every ECG and echo reader, guided by what of `inputs` an input reaches: `make fuzz`.

Each target runs in a process of its own with 1.5 GB beside what its code takes. What it keeps lies in `.cache/fuzz/`:
inputs that reach something new, which the next run starts from, and an input for each finding and each place where a
reader raised an error that is not its own.

    make fuzz ARGS="--seconds 60 --target scp"           one target; all of them where none is named
    make fuzz ARGS="--target scp --replay FILE"          what becomes of one input
    make fuzz ARGS="--target scp --also FOLDER"          files to start from, beside the small ones of the tests
"""

from __future__ import annotations

import argparse
import contextlib
import faulthandler
import hashlib
import importlib.util
import json
import logging
import math
import os
import random
import resource
import subprocess
import sys
import time
import warnings
from collections import Counter
from pathlib import Path

_HERE = Path(__file__).resolve()
sys.path[:0] = [str(_HERE.parents[2]), str(_HERE.parent)]

MEMORY_BYTES = 3 * 2**29
MOST_INPUT_BYTES = 64 * 1024
_MOST_PROCESSES = 5
"""Of one target: whatever ends a process is a finding, and the rest of the time goes to another."""
_FULL_BYTES = MEMORY_BYTES // 3
_FULL = 75
"""What a process ends with that holds so much between two inputs: the fuzzer keeps every array that came of a
comparison in traced code (2000 of 100 kB are 200 MB), and the memory of one input could not be told from that."""
_OUT = _HERE.parents[2] / ".cache" / "fuzz"
_COLUMNS = ("target", "runs", "per_s", "answered", "refused", "last_resort", "elsewhere", "below", "findings")


class Tally:
    """Counts verdicts and keeps the smallest input of each kind that somebody should look at."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.counts: Counter[str] = Counter()
        self.places: Counter[str] = Counter()
        self._sizes: dict[str, int] = {}
        self._written = time.monotonic()

    def add(self, kind: str, what: str, data: bytes) -> None:
        self.counts[kind] += 1
        if kind in ("finding", "last_resort", "below"):
            name = f"{kind}: {what}"
            self.places[name] += 1
            kept = self.folder / file_of(name)
            if name not in self._sizes and kept.exists():  # of the process before this one
                self._sizes[name] = kept.stat().st_size
            if len(data) < self._sizes.get(name, len(data) + 1):
                self._sizes[name] = len(data)
                kept.write_bytes(data)
        elif kind == "refused":
            self.places[f"refused: {what}"] += 1
        if time.monotonic() - self._written > 0.5:  # the fuzzer ends the process without a last word
            self.write()

    def write(self) -> None:
        self._written = time.monotonic()
        report = {"counts": self.counts, "places": self.places}
        (self.folder / "tally.json").write_text(json.dumps(report, indent=1))


def file_of(name: str) -> str:
    """Where the input of a finding lies."""
    return f"{name.split(':')[0]}-{hashlib.sha256(name.encode()).hexdigest()[:10]}.bin"


def limit_memory() -> int:
    """What this process has taken, in bytes: it may take MEMORY_BYTES beside that."""
    taken = taken_bytes()
    resource.setrlimit(resource.RLIMIT_AS, (taken + MEMORY_BYTES, resource.RLIM_INFINITY))
    return taken


def taken_bytes() -> int:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[0]) * resource.getpagesize()


def seeds_for(target: str, also: Path | None) -> list[bytes]:
    import fuzz_echo
    import fuzz_seeds

    if target in fuzz_echo.SEEDS:
        seeds = [*fuzz_echo.SEEDS[target]()]
    elif target == "zip":
        seeds = fuzz_seeds.zips()
    elif target == "leads":
        names = ["aVR", "Lead I (Einthoven)", "MDC_ECG_LEAD_V1", "EKG-V2", "DII", "C1", "C3-A2", "2:1", "limb lead 2"]
        seeds = [name.encode() for name in names] + ["\n".join(names).encode()]
    elif target == "recognisers":
        seeds = fuzz_seeds.all_seeds()
    elif target == "xml":
        seeds = [seed for name in ("muse", "philips", "cardiosoft", "mortara", "aecg") for seed in
                 fuzz_seeds.seeds_of(name)]  # fmt: skip
    else:
        seeds = fuzz_seeds.seeds_of(target)
    given = sorted(path for path in also.rglob("*") if path.is_file()) if also else []
    return seeds + [path.read_bytes() for path in given if path.stat().st_size <= 16 * MOST_INPUT_BYTES]


def fuzz(target: str, seconds: int, folder: Path, also: Path | None, number: int) -> None:
    """Fuzz one target in this process, which ends with it. number: of the process, where others ended before it."""
    import atheris

    with atheris.instrument_imports(include=["inputs.ecg", "inputs.echo"]):
        import fuzz_judge
        import fuzz_mutations
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    corpus = folder / "corpus"
    corpus.mkdir(parents=True, exist_ok=True)
    seeds = seeds_for(target, also)
    for seed in seeds:
        (corpus / hashlib.sha256(seed).hexdigest()[:16]).write_bytes(seed)
    most = min(max(2 * max(map(len, seeds)), 8192), 16 * MOST_INPUT_BYTES)
    tally, limit = Tally(folder), math.inf

    def one(data: bytes) -> int:
        verdict = fuzz_judge.judged(target, data)
        tally.add(verdict.kind, verdict.what, data)
        if taken_bytes() > limit:
            tally.write()
            os._exit(_FULL)  # the fuzzer would end the process with a number of its own
        return -1 if verdict.kind in ("elsewhere", "below") else 0  # -1: nothing to start from, whatever it reached

    def mutate(data: bytes, size: int, seed: int) -> bytes:
        random_ = random.Random(seed)
        # What is kept is damaged more and more: a whole file now and then, so that few changes are tried too.
        start = random_.choice(seeds) if random_.random() < 0.3 else bytes(data)
        return fuzz_mutations.mutated(target, start, size, random_, atheris.Mutate)

    options = [f"-max_total_time={seconds}", f"-max_len={most}", f"-seed={number}", "-timeout=20", "-rss_limit_mb=0",
               "-verbosity=0", "-len_control=0", f"-artifact_prefix={folder}/", str(corpus)]  # fmt: skip
    atheris.Setup([sys.argv[0], *options], one, custom_mutator=mutate)
    limit = limit_memory() + _FULL_BYTES
    faulthandler.enable()
    atheris.Fuzz()


def run_apart(target: str, seconds: int, out: Path, also: Path | None) -> dict[str, object]:
    """One target in processes of its own, the next where one crashed or hung; a row of the report."""
    folder = out / target
    folder.mkdir(parents=True, exist_ok=True)
    for pattern in ("*.bin", "crash-*", "timeout-*", "oom-*"):
        for old in folder.glob(pattern):
            old.unlink()
    counts: Counter[str] = Counter()
    places: Counter[str] = Counter()
    command = [sys.executable, str(_HERE), "--target", target, "--out", str(out)]
    command += ["--also", str(also)] if also else []
    environment = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    spent_s, number, crashed, ended = 0.0, 0, 0, 1
    while ended and crashed < _MOST_PROCESSES and spent_s < seconds:
        number += 1
        (folder / "tally.json").unlink(missing_ok=True)
        more = ["--seconds", str(max(int(seconds - spent_s), 1)), "--number", str(number)]
        with (folder / f"log-{number}.txt").open("w") as log:
            started = time.monotonic()
            ended = subprocess.run([*command, *more], stdout=log, stderr=log, check=False, env=environment).returncode
            spent_s += time.monotonic() - started
        with contextlib.suppress(FileNotFoundError):
            report = json.loads((folder / "tally.json").read_text())
            counts.update(report["counts"])
            places.update(report["places"])
        if ended not in (0, _FULL):
            crashed += 1
            places[f"finding: the process ended with {ended}, see {log.name} and what lies beside it"] += 1
    runs = sum(counts.values())
    row = {"target": target, "runs": runs, "per_s": round(runs / spent_s)}
    row |= {kind: counts[kind] for kind in _COLUMNS[3:8]}
    return row | {"findings": sum(place.startswith("finding") for place in places), "places": dict(places)}


def told(rows: list[dict[str, object]], out: Path) -> str:
    """The table, then every finding and every error of others with the file that shows it."""
    lines = ["  ".join(f"{column:>11}" for column in _COLUMNS)]
    lines += ["  ".join(f"{row[column]!s:>11}" for column in _COLUMNS) for row in rows]
    for row in rows:
        for place, count in sorted(row["places"].items()):
            if not place.startswith("refused"):
                lines.append(f"{row['target']}: {place} ({count} times): {out / row['target'] / file_of(place)}")
    return "\n".join(lines) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(description="Fuzz the ECG and echo readers.")
    parser.add_argument(
        "--target", "--format", action="append", help="such as edf, zip or clip-jpeg; a wrong one names all"
    )
    parser.add_argument("--seconds", type=int, default=60, help="for each target")
    parser.add_argument("--out", type=Path, default=_OUT)
    parser.add_argument("--also", type=Path, help="a folder of files to start from")
    parser.add_argument("--replay", type=Path, help="say what becomes of one input, or of each in a folder")
    parser.add_argument("--number", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.number:
        fuzz(given.target[0], given.seconds, given.out / given.target[0], given.also, given.number)
    import fuzz_judge

    targets = given.target or list(fuzz_judge.TARGETS)
    if unknown := set(targets) - set(fuzz_judge.TARGETS):
        parser.error(f"{', '.join(sorted(unknown))}: choose of {', '.join(fuzz_judge.TARGETS)}")
    if given.replay:
        files = sorted(given.replay.glob("*.bin")) if given.replay.is_dir() else [given.replay]
        for file in files:
            verdict = fuzz_judge.judged(targets[0], file.read_bytes())
            sys.stdout.write(f"{file}: {verdict.kind} {verdict.what}\n")
        return 0
    if importlib.util.find_spec("atheris") is None:
        parser.error("the package atheris is not installed (it has wheels for Linux on x86-64 alone)")
    rows = []
    for target in targets:
        rows.append(run_apart(target, given.seconds, given.out, given.also))
        sys.stderr.write(f"{target}: {rows[-1]['runs']} inputs, {rows[-1]['findings']} findings\n")
    sys.stdout.write(told(rows, given.out))
    return 1 if any(row["findings"] for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
