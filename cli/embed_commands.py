"""`echo2ecg embed`: vectors of ECGs or echo studies, to a file. What computes is imported only when a command runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.console import err, out, progress
from cli.options import (
    BundleOption,
    DeviceOption,
    ExamOption,
    LeadsOption,
    LengthOption,
    RateOption,
    StartOption,
    UnitOption,
    WorkersOption,
)
from ground.errors import Refusal

if TYPE_CHECKING:
    from cli.embed import EmbedResult

embed_app = typer.Typer(no_args_is_help=True, help="Vectors of ECGs or echo studies, to a file.")


def _npz(output: Path) -> Path:
    """NumPy's own ending, before anything is worked on."""
    if output.suffix.lower() != ".npz":
        raise Refusal("output_unknown", f"Vectors are written as .npz, not as {output.name}.")
    return output


OutputOption = Annotated[Path, typer.Option("-o", "--output", callback=_npz, help="The .npz to write.")]


@embed_app.command("ecg")
def embed_ecg(
    bundle: BundleOption,
    output: OutputOption,
    files: Annotated[list[Path] | None, typer.Argument(metavar="FILE", exists=True, dir_okay=False)] = None,
    prepared: Annotated[
        Path | None,
        typer.Option(help="Instead of files: (N, 12, T) float32 after preparation, .npy.", exists=True, dir_okay=False),
    ] = None,
    rate_hz: RateOption = None,
    unit: UnitOption = None,
    leads: LeadsOption = None,
    exam: ExamOption = None,
    start_s: StartOption = None,
    length_s: LengthOption = None,
    device: DeviceOption = "auto",
    workers: WorkersOption = 2,
) -> None:
    """ECG files, or prepared ECGs, to vectors: ids (of files), features, embeddings."""
    from cli.embed import embed_ecg_files
    from cli.embed_prepared import embed_prepared_ecgs
    from inputs.records import NO_HINTS, ReadHints
    from models.device import Machine

    names = tuple(name.strip() for name in leads.split(",")) if leads else None
    hints = ReadHints(rate_hz, unit, names, exam=exam, start_s=start_s, length_s=length_s)
    _check_one_source(files, prepared, "FILE... or --prepared")
    if prepared is not None and hints != NO_HINTS:
        raise typer.BadParameter(
            "--rate-hz, --unit, --leads, --exam, --start-s and --length-s are for files; prepared ECGs have the "
            "bundle's rate and leads, no unit and one length"
        )
    with progress("Embedding") as report:
        if prepared is not None:
            result = embed_prepared_ecgs(prepared, bundle, output, device=device, progress=report)
        else:
            machine = Machine.named(device, workers=workers, progress=report)
            result = embed_ecg_files(files or [], bundle, output, machine, hints)
    _tell_embedded(result, output)


@embed_app.command("echo")
def embed_echo(
    bundle: BundleOption,
    output: OutputOption,
    studies: Annotated[list[Path] | None, typer.Argument(metavar="STUDY", exists=True)] = None,
    views: Annotated[
        Path | None,
        typer.Option(
            help="Instead of folders: views (N, V, 512) float32, present (N, V) bool, .npz.",
            exists=True,
            dir_okay=False,
        ),
    ] = None,
    work: Annotated[Path | None, typer.Option(help="Keep view vectors here for another time.", file_okay=False)] = None,
    device: DeviceOption = "auto",
    workers: WorkersOption = 2,
) -> None:
    """Echo studies, one folder or zip of clips each, a tree of several as archives export it, or their view vectors:
    ids (of folders), study_uids, folders, study_tokens, embeddings, pool_weights.

    Files that are no clips, such as documents, are passed over; the exit code is 1 where one could not be read that is
    a clip, or is called like one.
    """
    from cli.embed import embed_echo_studies
    from cli.embed_prepared import embed_prepared_views
    from models.device import Machine

    _check_one_source(studies, views, "STUDY... or --views")
    with progress("Embedding") as report:
        if views is not None:
            result = embed_prepared_views(views, bundle, output, device=device, progress=report)
        else:
            machine = Machine.named(device, workers=workers, progress=report)
            result = embed_echo_studies(studies or [], bundle, output, machine, work=work)
    _tell_embedded(result, output)


@embed_app.command("clips")
def embed_clips(
    bundle: BundleOption,
    output: OutputOption,
    prepared: Annotated[
        Path,
        typer.Option(help="(N, 3, 16, 224, 224) float32, normalised, .npy.", exists=True, dir_okay=False),
    ],
    device: DeviceOption = "auto",
) -> None:
    """Prepared echo clips to view vectors: clip_embeddings."""
    from cli.embed_prepared import embed_prepared_clips

    with progress("Embedding") as report:
        result = embed_prepared_clips(prepared, bundle, output, device=device, progress=report)
    _tell_embedded(result, output)


def _check_one_source(paths: list[Path] | None, prepared: Path | None, names: str) -> None:
    if bool(paths) == (prepared is not None):
        raise typer.BadParameter(f"give {names}, one of the two")


def _tell_embedded(result: EmbedResult, output: Path) -> None:
    for sentence in result.passed_over:
        err.print(f"passed over {sentence}")
    for sentence in result.skipped:
        err.print(f"skipped {sentence}")
    for sentence in result.notes:
        err.print(sentence)
    where = f": {output}" if result.written else "; nothing was written."
    out.print(f"{result.written} embedded, {len(result.skipped)} skipped{where}")
    if result.skipped or not result.written:
        raise typer.Exit(1)
