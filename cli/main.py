"""The table of commands. Each imports what it needs only when it runs, so that `--help` is quick.

Exit codes: 0 done, 1 failed (one sentence on standard error), 2 wrong usage.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from pydantic import JsonValue

from cli.bundle_commands import bundle_app
from cli.cohort_commands import cohort_app
from cli.console import CommandTable, err, out, progress
from cli.embed_commands import embed_app
from cli.examples import show_examples
from cli.keys_commands import keys_app
from cli.options import (
    BundleOption,
    CohortOption,
    DeviceOption,
    IndexOption,
    WorkersOption,
    device_name,
)
from cli.predict_commands import predict
from cli.query_commands import query

if TYPE_CHECKING:
    from training.recipes import Recipe

app = typer.Typer(
    cls=CommandTable,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
index_app = typer.Typer(no_args_is_help=True, help="The index life cycle.")
app.add_typer(embed_app, name="embed")
app.add_typer(index_app, name="index")
app.add_typer(bundle_app, name="bundle")
app.add_typer(cohort_app, name="cohort")
app.add_typer(keys_app, name="keys")


def _show_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        out.print(f"echo2ecg {version('echo2ecg')}")
        raise typer.Exit


@app.callback()
def every_command(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and end.")
    ] = False,
) -> None:
    """A 12-lead ECG in, the most similar echo studies out. Research software, not a medical device."""


def _named_folder(pair: str) -> tuple[str, Path]:
    name, separator, folder = pair.partition("=")
    if not (name and separator and folder):
        raise typer.BadParameter(f"NAME=FOLDER is wanted, not {pair!r}")
    return name, Path(folder)


def _recipe(named: str, settings: Sequence[str] = (), options: Mapping[str, JsonValue] | None = None) -> Recipe:
    """A recipe by its name or file, changed; wrong usage where there is none of that name."""
    from training.changed_recipe import recipe_of
    from training.recipes import RECIPES

    if not named.endswith(".toml") and named not in RECIPES:
        raise typer.BadParameter(f"{named!r} is no recipe: name {', '.join(RECIPES)} or a file.toml")
    return recipe_of(named, settings, options)


@app.command()
def demo(
    exit_: Annotated[bool, typer.Option("--exit", help="End after printing the answer.")] = False,
    folder: Annotated[Path, typer.Option(help="Where the demo's cohort and index are kept.")] = Path(".demo"),
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port; the next free one when it is taken.")] = 8000,
) -> None:
    """Simulate a cohort, index it, serve it, send a real ECG file and print the answer."""
    from cli.demo import run_demo

    run_demo(folder, port=port, keep_serving=not exit_)


@app.command()
def simulate(
    out_dir: Annotated[Path, typer.Argument(metavar="OUT", help="Folder to write.")],
    patients: Annotated[int, typer.Option(min=1, help="How many.")] = 100,
    seed: Annotated[int, typer.Option(min=0, help="Another one makes other patients.")] = 1,
    prepared_for: Annotated[
        str | None,
        typer.Option(
            metavar="RECIPE", help="Draw clips only as this recipe reads them: far quicker, and for it alone."
        ),
    ] = None,
    workers: WorkersOption = 2,
) -> None:
    """Write a cohort of invented patients as ordinary files: ECGs, echo clips, tables and the truth.

    A finished cohort of the same size and seed is found again and left as it is; an unfinished one is begun anew. A
    folder with another simulated cohort, or with anything else in it, is refused.
    """
    from simulator.cohort import simulate_cohort

    spec = None if prepared_for is None else _recipe(prepared_for).echo.prepared_for
    with progress("Simulating") as report:
        result = simulate_cohort(
            out_dir, patients=patients, seed=seed, workers=workers, prepared_for=spec, progress=report
        )
    out.print(
        f"{result.patients} invented patients, {result.ecgs} ECGs, {result.studies} studies, {result.clips} clips "
        f"and {result.stills} spectral stills."
    )


@app.command()
def train(
    cohort: Annotated[Path, typer.Argument(metavar="COHORT", exists=True, file_okay=False)],
    out_dir: Annotated[Path, typer.Option("--out", help="Bundle folder to write.")],
    recipe: Annotated[
        str,
        typer.Option(
            help="demo, paper, masked_ecg, ecg_only, own_beat, vectors or tiny; or a file.toml with a base and what to "
            "change."
        ),
    ] = "demo",
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="Change a field of the recipe: epochs=5. May come again."),
    ] = None,
    start: Annotated[
        Path | None,
        typer.Option(
            help="Bundle whose echo encoder, and nothing else, is used; `paper` needs one.",
            exists=True,
            file_okay=False,
        ),
    ] = None,
    ecg_start: Annotated[
        Path | None,
        typer.Option(help="Bundle whose ECG encoder the alignment starts from.", exists=True, file_okay=False),
    ] = None,
    device: DeviceOption = "auto",
    workers: WorkersOption = 2,
    resume: Annotated[bool, typer.Option(help="Go on from the last checkpoint.")] = True,
    seed: Annotated[
        int | None, typer.Option(min=0, max=2**63 - 1, help="Of weights, batches and augmentation.")
    ] = None,
    bf16: Annotated[
        bool | None, typer.Option("--bf16/--fp32", help="Towers in bfloat16 autocast, or all in float32.")
    ] = None,
    compile_: Annotated[
        bool | None, typer.Option("--compile/--no-compile", help="The ECG tower through torch.compile.")
    ] = None,
    chunk_size: Annotated[
        int | None, typer.Option(min=1, help="Pairs embedded at once, for small memories; the loss sees the batch.")
    ] = None,
) -> None:
    """Train aligned encoders on a cohort and write a bundle.

    What --set, --seed, --bf16/--fp32, --compile and --chunk-size leave out is as the recipe has it. `tiny` ends within
    about a minute on a cohort of 60 simulated patients.

    On several GPUs: torchrun --nproc-per-node N -m cli.main train ...
    """
    from models.bundle import read_manifest
    from models.device import Machine
    from training.engine.ranks import torchrun_ranks
    from training.train import train as run

    given = {"seed": seed, "alignment.bf16": bf16, "alignment.compile": compile_, "alignment.chunk_size": chunk_size}
    options = {name: value for name, value in given.items() if value is not None}
    chosen = _recipe(recipe, settings or (), options)
    with torchrun_ranks(device) as (ranks, own_device), progress("Training", goes_on=True) as report:
        if ranks.is_main and start and not ecg_start and read_manifest(start)[0].gives("ecg_encoder"):
            sentence = "The ECG encoder starts from random weights; {0}'s is used with --ecg-start {0}."
            err.print(sentence.format(start.name), soft_wrap=True)
        run(
            cohort,
            chosen,
            out_dir,
            Machine.named(own_device, workers=workers, progress=report),
            start=start,
            ecg_start=ecg_start,
            resume=resume,
            ranks=ranks,
            say=lambda sentence: err.print(sentence, soft_wrap=True),
        )
    if ranks.is_main:
        out.print(f"Bundle written: {out_dir}")


@app.command()
def evaluate(
    bundle: Annotated[Path, typer.Argument(metavar="BUNDLE", exists=True, file_okay=False)],
    cohort: Annotated[Path, typer.Argument(metavar="COHORT", exists=True, file_okay=False)],
    split: Annotated[
        Literal["val", "calibration", "test"], typer.Option(help="The patients that it is measured on.")
    ] = "test",
    json_file: Annotated[Path | None, typer.Option("--json", help="Also write the whole report here.")] = None,
    plots: Annotated[Path | None, typer.Option(help="Also draw the report here, as PNG.", file_okay=False)] = None,
    work: Annotated[
        Path | None,
        typer.Option(help="Keep prepared ECGs and view vectors here for another time.", file_okay=False),
    ] = None,
    against: Annotated[
        Path | None,
        typer.Option(help="Another bundle: differences on the same patients.", exists=True, file_okay=False),
    ] = None,
    features: Annotated[
        Path | None,
        typer.Option(
            help="NPZ of another encoder: ids (ECG ids) and features, a row each.", exists=True, dir_okay=False
        ),
    ] = None,
    device: DeviceOption = "auto",
    workers: WorkersOption = 2,
) -> None:
    """Probes, decisions, subgroups, few labels, calibration and retrieval of a bundle on one split of a cohort."""
    from cli.evaluation_report import print_evaluation_report
    from ground.extras import require
    from models.device import Machine
    from training.evaluation.evaluate import evaluate as run

    if plots is not None:
        require("matplotlib", "Drawing the report")  # now, and not after an hour of measuring
    with progress("Evaluating") as report:
        machine = Machine.named(device, workers=workers, progress=report)
        drawn = plots is not None
        result = run(bundle, cohort, split, machine, work=work, with_map=drawn, against=against, features=features)
    print_evaluation_report(result)  # first: it survives a report that cannot be written
    if json_file is not None:
        from ground.disk import write_whole

        json_file.parent.mkdir(parents=True, exist_ok=True)
        write_whole(json_file, result.model_dump_json(indent=2) + "\n")
    if plots is not None:
        from training.evaluation.plots import draw_plots

        for path in draw_plots(result, plots):
            out.print(f"{path}", soft_wrap=True)


@index_app.command("rebuild")
def index_rebuild(
    bundle: BundleOption,
    cohort: CohortOption,
    index: IndexOption,
    device: DeviceOption = "auto",
    workers: WorkersOption = 2,
    style: Annotated[
        Literal["auto", "json"], typer.Option("--progress", help="json: lines for another program.")
    ] = "auto",
) -> None:
    """Embed a folder of studies and write a new generation of the index."""
    from index.rebuild import main as rebuild_as_a_program
    from index.rebuild import rebuild_index
    from models.device import Machine

    if style == "json":
        options = {"bundle": bundle, "cohort": cohort, "index": index, "device": device, "workers": workers}
        code = rebuild_as_a_program([f"--{name}={value}" for name, value in options.items()])
        raise typer.Exit(code)
    with progress("Embedding studies", goes_on=True) as report:
        result = rebuild_index(bundle, cohort, index, Machine.named(device, workers=workers, progress=report))
    for skip in result.skipped:
        err.print(f"skipped {skip.study_id} {skip.view_id}: {skip.reason}")
    out.print(
        f"Generation {result.generation}: {result.studies} studies, {result.views} views "
        f"({result.embedded} embedded, {result.reused} reused, {len(result.skipped)} skipped), {result.seconds:.0f} s."
    )


@index_app.command("info")
def index_info(index: IndexOption) -> None:
    """What the current generation holds, as JSON."""
    from index.store import IndexStore

    out.print_json(data=IndexStore(index).info())


@index_app.command("verify")
def index_verify(index: IndexOption) -> None:
    """Check every file of every generation against its manifest."""
    from index.base import IndexMissing
    from index.store import IndexStore

    store = IndexStore(index)
    problems = store.verify()
    for sentence in problems:
        err.print(sentence)
    if problems:
        raise typer.Exit(1)
    if store.current_id() is None:
        raise IndexMissing("There is no index in that folder.")
    out.print("Every generation verifies.")


@app.command()
def serve(
    bundle: Annotated[Path | None, typer.Option("--bundle", help="Model bundle folder.")] = None,
    index: Annotated[Path | None, typer.Option("--index", help="Index folder.")] = None,
    host: Annotated[str | None, typer.Option(help="Address; only loopback without keys.")] = None,
    port: Annotated[int | None, typer.Option(min=1, max=65535, help="8000 unless the settings say so.")] = None,
    device: Annotated[str | None, typer.Option(callback=device_name, help="auto, cpu, cuda or cuda:N.")] = None,
    cohort: Annotated[
        list[str] | None,
        typer.Option("--cohort", metavar="NAME=FOLDER", help="A source that rebuilds may name."),
    ] = None,
) -> None:
    """Run the service. Options left out come from ECHO2ECG_* or the settings file."""
    from cli.serve import run_service

    cohorts = dict(_named_folder(pair) for pair in cohort or [])
    run_service(bundle=bundle, index=index, host=host, port=port, device=device, cohorts=cohorts)


app.command("query")(query)
app.command("predict")(predict)


@app.command()
def doctor() -> None:
    """What this machine can do, and how to mend what is missing."""
    from cli.doctor import examine, print_findings

    findings = examine()
    print_findings(findings)
    if any(finding.state == "missing" for finding in findings):
        raise typer.Exit(1)


@app.command()
def reproduce(
    out_dir: Annotated[Path, typer.Argument(metavar="OUT", help="Folder of the comparison; found again after a kill.")],
    size: Annotated[
        Literal["small", "protocol", "full"],
        typer.Option(
            help="small: about 20 minutes of two CPU cores; protocol: all arms of docs/protocol.md, about three hours; "
            "full: the same with the paper's sizes, for a GPU."
        ),
    ] = "small",
    seeds: Annotated[int, typer.Option(min=1, help="How often each arm is trained.")] = 3,
    cohort: Annotated[
        Path | None,
        typer.Option(help="A cohort of your own instead of a simulated one.", exists=True, file_okay=False),
    ] = None,
    ecg_start: Annotated[
        Path | None,
        typer.Option(help="A bundle whose ECG encoder every trained arm starts from.", exists=True, file_okay=False),
    ] = None,
    device: DeviceOption = "auto",
    workers: WorkersOption = 2,
) -> None:
    """The paper's comparison: multi-view, single-view and ECG-only encoders in one table.

    On a cohort that is simulated for it, or on one of your own.
    """
    from cli.reproduce import print_comparison, run_reproduction
    from models.device import Machine
    from training.reproduce.sizes import SIZES

    with progress("Reproducing", goes_on=True) as report:
        machine = Machine.named(device, workers=workers, progress=report)
        comparison = run_reproduction(
            out_dir, SIZES[size](), machine, seeds=seeds, cohort_dir=cohort, ecg_start=ecg_start
        )
    print_comparison(comparison)
    out.print(f"Table written: {out_dir / 'table.md'}")


show_examples(app)


def main() -> None:
    """Run a command; an expected failure is one sentence and exit code 1."""
    try:
        app()
    except Exception as error:
        from cli.failures import sentence_of

        sentence = sentence_of(error)
        if sentence is None:
            raise
        err.print(sentence, soft_wrap=True)
        raise SystemExit(1) from None


if __name__ == "__main__":
    main()
