"""The commands of model bundles. Each imports what it needs only when it runs."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from cli.console import out, progress
from cli.options import DeviceOption, WorkersOption

bundle_app = typer.Typer(no_args_is_help=True, help="Model bundles.")


@bundle_app.command("import")
def bundle_import(
    out_dir: Annotated[Path, typer.Option("--out", help="Bundle folder to write.")],
    otis: Annotated[
        Path | None, typer.Option(help="OTiS checkpoint: an ECG encoder to start from.", exists=True, dir_okay=False)
    ] = None,
    echoprime: Annotated[
        Path | None, typer.Option(help="EchoPrime's echo_prime_encoder.pt.", exists=True, dir_okay=False)
    ] = None,
    echo2ecg: Annotated[
        Path | None, typer.Option(help="The single-file Echo2ECG checkpoint.", exists=True, dir_okay=False)
    ] = None,
    components: Annotated[
        Path | None, typer.Option(help="Folder of Echo2ECG's component checkpoints.", exists=True, file_okay=False)
    ] = None,
    vectors_of: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Without an echo encoder: whose view vectors it takes, such as EchoPrime."),
    ] = None,
) -> None:
    """Published weights to a bundle. Where two of them give the same part, the later option in this list counts."""
    from models.bundle import read_manifest
    from models.lacking import NO_PREDICTIONS_YET
    from models.published.importer import import_bundle

    if not (otis or echoprime or echo2ecg or components):
        raise typer.BadParameter("give at least one of --otis, --echoprime, --echo2ecg and --components")
    files = {"otis": otis, "echoprime": echoprime, "echo2ecg": echo2ecg, "components": components}
    lines = import_bundle(out_dir, **files, vectors_of=vectors_of)
    for line in lines:
        out.print(line, soft_wrap=True)
    out.print(f"Bundle written: {out_dir}")
    if read_manifest(out_dir)[0].gives("probe_features"):
        out.print(NO_PREDICTIONS_YET)


@bundle_app.command("fit")
def bundle_fit(
    bundle: Annotated[Path, typer.Argument(metavar="BUNDLE", exists=True, file_okay=False)],
    cohort: Annotated[Path, typer.Argument(metavar="COHORT", exists=True, file_okay=False)],
    out_dir: Annotated[Path, typer.Option("--out", help="Bundle folder to write.")],
    label: Annotated[
        list[str] | None,
        typer.Option(help="A column that you added to ecgs or studies: yes or no, or a number. May come again."),
    ] = None,
    device: DeviceOption = "auto",
    workers: WorkersOption = 2,
) -> None:
    """Fit probes on a cohort's patients to the encoders of a bundle, as they are, and write another bundle.

    Whatever the cohort's labels allow: LVEF, SHD, its findings, and the columns named by --label. What they do not
    allow is said and left out.
    """
    from models.device import Machine
    from training.refit import refit

    said: list[str] = []
    with progress("Fitting probes") as report:
        machine = Machine.named(device, workers=workers, progress=report)
        refit(bundle, cohort, out_dir, machine, labels=label or (), say=said.append)
    for sentence in said:
        out.print(sentence, soft_wrap=True)
    out.print(f"Bundle written: {out_dir}")


@bundle_app.command("show")
def bundle_show(bundle: Annotated[Path, typer.Argument(exists=True, file_okay=False)]) -> None:
    """The manifest of a bundle, as JSON."""
    from models.bundle import read_manifest

    manifest, _ = read_manifest(bundle)
    out.print_json(manifest.model_dump_json())


@bundle_app.command("card")
def bundle_card(
    bundle: Annotated[Path, typer.Argument(exists=True, file_okay=False)],
    style: Annotated[
        Literal["markdown", "tripod", "chai"],
        typer.Option("--format", help="The card; TRIPOD+AI's items as Markdown; CHAI's model card as XML."),
    ] = "markdown",
    report: Annotated[
        Path | None,
        typer.Option(help="An evaluation (evaluate --json) for tripod and chai.", exists=True, dir_okay=False),
    ] = None,
) -> None:
    """What a bundle is, how well it does and what it does not know."""
    from cli.bundle_card import card_text

    sys.stdout.write(card_text(bundle, style, report))  # as it is, for a file: nothing folded, no colours


@bundle_app.command("verify")
def bundle_verify(
    bundle: Annotated[Path, typer.Argument(exists=True, file_okay=False)],
    self_test: Annotated[
        bool, typer.Option("--self-test", help="Also ask it a known ECG, and compare what this machine answers.")
    ] = False,
    device: DeviceOption = "auto",
) -> None:
    """Check every file of a bundle against its manifest."""
    from models.bundle import verify_bundle

    verify_bundle(bundle)
    out.print("The bundle verifies.")
    if self_test:
        from cli.self_test import print_self_test

        if not print_self_test(bundle, device):
            raise typer.Exit(1)
