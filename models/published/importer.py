"""Published weights to a bundle, and a report of what each file gave and what is missing for which use."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from ground.disk import short_name_of
from ground.errors import Refusal
from ground.findings import SHD_FLAGS
from inputs.specs import EcgSpec, EchoSpec
from inputs.view_source import MEMBER, ViewSource
from models.architecture import paper
from models.bundle import BundleDraft, make_self_test, write_bundle
from models.labels import LabelDefinitions
from models.lacking import NO_PREDICTIONS_YET
from models.published.components import (
    COMPONENT_FILES,
    USES,
    Assembled,
    Contribution,
    assemble,
    read_components,
    read_echo2ecg,
    read_echoprime,
    read_otis,
)

LICENCES = """\
Echo2ECG's ECG encoder started from OTiS, and its echo encoder is EchoPrime's: the terms of all three matter.

- Echo2ECG: MIT.
- OTiS: MIT.
- EchoPrime: its README says MIT, while its LICENSE file is academic and non-commercial; ask its authors before using
  the echo encoder for anything else."""


def import_bundle(
    out_dir: Path,
    *,
    otis: Path | None = None,
    echoprime: Path | None = None,
    echo2ecg: Path | None = None,
    components: Path | None = None,
    vectors_of: str | None = None,
) -> list[str]:
    """Write a bundle of the published weights given; where two give the same component, the later argument counts.

    vectors_of: whose view vectors the study encoder takes, where no echo encoder is given that makes them. Returns the
    report, one sentence a line. CheckpointError for a file that is not what its argument asks for; Refusal when nothing
    is given, `out_dir` exists or nothing takes `vectors_of`.
    """
    if out_dir.exists():
        raise Refusal("bundle_exists", f"{out_dir.name} exists already; a bundle is never changed in place")
    contributions = [
        *([read_otis(otis)] if otis else []),
        *([read_echoprime(echoprime)] if echoprime else []),
        *([read_echo2ecg(echo2ecg)] if echo2ecg else []),
        *(read_components(components) if components else []),
    ]
    if not contributions:
        raise Refusal("nothing_to_import", "give at least one of --otis, --echoprime, --echo2ecg and --components")
    assembled = assemble(contributions)
    left_alone = (
        sorted(p.name for p in components.iterdir() if p.name not in COMPONENT_FILES.values()) if components else []
    )
    takes = _taken_vectors(assembled, vectors_of)
    report = [*(_gave(contribution) for contribution in contributions), *assembled.notes, *_uses(assembled)]
    report += _said_of_vectors(assembled, takes)
    if left_alone:
        report.append(f"Left alone in the components folder: {', '.join(left_alone)}.")
    hashes = [contribution.sha256 for contribution in contributions]
    bundle_id = f"published-{short_name_of(''.join(hashes))}"
    draft = BundleDraft(
        id=bundle_id,
        created=datetime.now(UTC),
        code_version=version("echo2ecg"),
        seeds={},
        architecture=paper(),
        ecg=EcgSpec(),
        echo=EchoSpec(mask_outside_sector=False),  # as these encoders were trained
        labels=LabelDefinitions(shd_flags=SHD_FLAGS),
        metrics={},
        training_data={
            "trained_here": False,
            "imported_files": [{"file": c.file, "source": c.source, "sha256": c.sha256} for c in contributions],
            **({} if takes is None else {MEMBER: takes.model_dump(mode="json")}),
        },
        absent=assembled.absent,
    )
    write_bundle(
        out_dir,
        draft,
        ecg_tower=assembled.ecg_tower,
        echo_encoder=assembled.echo_encoder,
        echo_tower=assembled.echo_tower,
        self_test=make_self_test(draft, assembled.ecg_tower, None),
        card=_card(bundle_id, contributions, assembled),
    )
    return report


def _taken_vectors(assembled: Assembled, vectors_of: str | None) -> ViewSource | None:
    if vectors_of is None:
        return None
    if assembled.echo_encoder is not None or assembled.echo_tower is None:
        why = "an echo encoder, which makes them" if assembled.echo_encoder is not None else "nothing that takes any"
        raise Refusal("vectors_not_taken", f"--vectors-of names view vectors, and the files give {why}.")
    if not vectors_of.strip() or len(vectors_of) > 200:
        raise Refusal("view_source_unfit", "--vectors-of takes a name of 1 to 200 letters, such as EchoPrime.")
    return ViewSource(name=vectors_of.strip(), width=paper().view_dim)


def _said_of_vectors(assembled: Assembled, takes: ViewSource | None) -> list[str]:
    """Of a study encoder alone: whose view vectors it takes, or how to say so."""
    if assembled.echo_tower is None or assembled.echo_encoder is not None:
        return []
    if takes is None:
        return ["No echo encoder: import again with --echoprime FILE, or with --vectors-of NAME for view vectors."]
    return [f"View vectors of {takes.words} are taken instead of clips."]


def _gave(contribution: Contribution) -> str:
    ignored = f"; ignored {', '.join(contribution.ignored)}" if contribution.ignored else ""
    notes = "".join(f"; {note}" for note in contribution.notes)
    return f"{contribution.file} ({contribution.source}) gave {', '.join(contribution.components)}{notes}{ignored}."


def _uses(assembled: Assembled) -> list[str]:
    missing = {use: assembled.missing_for(use) for use in USES}
    return [f"{use}: {'missing ' + ', '.join(names) if names else 'complete'}." for use, names in missing.items()]


def _card(bundle_id: str, contributions: Sequence[Contribution], assembled: Assembled) -> str:
    sections = [
        f"# {bundle_id}",
        (
            "Published weights of the Echo2ECG method (arXiv 2603.08505) or of what it starts from, converted. "
            "**These weights were not made here**: writing this bundle trained, tuned and evaluated nothing."
        ),
        "**Research software, not a medical device.** It must not inform decisions about a patient.",
        "## Where each component is from",
        "\n".join(
            ["| component | file | source |", "|---|---|---|"]
            + [f"| {name} | {given.file} | {given.source} |" for name, given in assembled.origin.items()]
        ),
        "## The files",
        "\n".join(f"- {_gave(given)} sha256 {given.sha256}" for given in contributions),
        *(["## To know", "\n".join(f"- {note}" for note in assembled.notes)] if assembled.notes else []),
        "## What it can be used for",
        "\n".join(f"- {line}" for line in _uses(assembled)),
        *([NO_PREDICTIONS_YET] if assembled.ecg_tower is not None and "ecg_encoder" in assembled.origin else []),
        "## Licences",
        LICENCES,
    ]
    return "\n\n".join(sections) + "\n"
