"""`cohort`: bring a data set into a cohort folder, and check one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cli.console import err, progress
from cli.options import BundleOption, DeviceOption, WorkersOption, named_pairs

cohort_app = typer.Typer(no_args_is_help=True, help="Cohort folders.")


@cohort_app.command("import")
def cohort_import(
    kind: Annotated[str, typer.Argument(metavar="KIND", help="The data set; a name that is none lists them all.")],
    src: Annotated[Path, typer.Argument(metavar="SRC", help="The folder that it was downloaded and unpacked to.")],
    out_dir: Annotated[Path, typer.Argument(metavar="OUT", help="The cohort folder to write.")],
    root: Annotated[
        list[str] | None, typer.Option(metavar="NAME=DIR", help="Where a part that lies apart is. Repeatable.")
    ] = None,
    map_: Annotated[
        list[str] | None,
        typer.Option("--map", metavar="OURS=THEIRS", help="Which column of --table is which of ours. Repeatable."),
    ] = None,
    table: Annotated[Path | None, typer.Option(help="A CSV of your own with labels.")] = None,
    folds: Annotated[
        Path | None, typer.Option(help="A CSV with the data set's id of each ECG and its split, as ECGBench's.")
    ] = None,
    lead_scale: Annotated[
        Path | None, typer.Option(help="EchoNext's published normalisation, which makes its z-scores millivolts.")
    ] = None,
    vectors: Annotated[
        Path | None, typer.Option(help="An array of view vectors, .npy, .npz or .pt, whose rows the table SRC names.")
    ] = None,
    vectors_of: Annotated[
        str | None, typer.Option(metavar="NAME", help="What made the view vectors, such as EchoPrime.")
    ] = None,
    lead_scale_unit: Annotated[
        str | None, typer.Option(metavar="UNIT", help="What one of its numbers is: uV, mV or such as 4.88uV.")
    ] = None,
) -> None:
    """Write a downloaded data set as a cohort folder, and say what was paired and what was left out.

    Nothing is copied: the tables name the files where they lie. An import that was broken off goes on.
    """
    from cli.import_report import print_import
    from cli.vector_files import as_numpy
    from cohorts.adapters import Source, data_set_named, import_cohort

    data_set = data_set_named(kind)
    words = {"lead-scale-unit": lead_scale_unit, "vectors-of": vectors_of}
    with progress("Importing", goes_on=True) as report, as_numpy(vectors) as array:
        files = {"table": table, "folds": folds, "lead-scale": lead_scale, "vectors": array}
        source = Source(
            folder=src,
            roots={name: Path(folder) for name, folder in named_pairs(root, "NAME=DIR").items()},
            columns=named_pairs(map_, "OURS=THEIRS"),
            files={name: file for name, file in files.items() if file is not None},
            words={option: word for option, word in words.items() if word is not None},
            progress=report,
        )
        imported = import_cohort(data_set, source, out_dir)
    print_import(data_set, imported)


@cohort_app.command("export-vectors")
def cohort_export_vectors(
    cohort: Annotated[Path, typer.Argument(exists=True, file_okay=False)],
    bundle: BundleOption,
    out_dir: Annotated[Path, typer.Option("--out", help="The cohort folder to write.")],
    device: DeviceOption = "auto",
    workers: WorkersOption = 2,
) -> None:
    """Write the cohort again with a view vector for each clip, by a bundle's echo encoder, and without clips.

    Training, evaluation and an index take it where they would take the clips. ECGs stay where they are.
    """
    from cli.import_report import print_import
    from cohorts.adapters import VECTORS
    from embedding.export_views import export_views
    from models.device import Machine

    with progress("Embedding") as report:
        machine = Machine.named(device, workers=workers, progress=report)
        exported, unused = export_views(bundle, cohort, out_dir, machine)
    for reason, count in unused.items():
        err.print(f"left out {count} clips: {reason}")
    print_import(VECTORS, exported)


@cohort_app.command("check")
def cohort_check(
    cohort: Annotated[Path, typer.Argument(exists=True, file_okay=False)],
    json_file: Annotated[Path | None, typer.Option("--json", help="Also write it here, with every row number.")] = None,
    read_files: Annotated[bool, typer.Option("--read-files", help="Also read every ECG and every clip.")] = False,
    workers: WorkersOption = 2,
) -> None:
    """List everything that contradicts itself in a cohort folder, with counts and row numbers.

    Rows count from 1, the header not counted. Ends with 1 for a cohort that contradicts itself or, where files are
    read, has one that cannot be; with 0 for a sound one, also where training would refuse it: that is said as well.
    Stills and spectra among the clips are named, and are no fault: whatever reads clips skips them.
    """
    from cli.cohort_report import print_cohort_report, read_every_file, write_cohort_report
    from cohorts import examine_cohort
    from inputs.echo.kinds import NO_CLIPS
    from training.outlook import training_outlook

    report, opened = examine_cohort(cohort)
    unreadable = read_every_file(opened, workers) if read_files and opened is not None else None
    outlook = None if opened is None else training_outlook(opened)
    print_cohort_report(report, outlook, unreadable)
    if read_files and opened is None:
        err.print("No file was read: mend first what contradicts itself.")
    if json_file is not None:
        write_cohort_report(json_file, report, outlook, unreadable)
    if report.problems or any(finding.code not in NO_CLIPS for finding in unreadable or ()):
        raise typer.Exit(1)
