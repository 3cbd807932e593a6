"""Published weights, by the layout of the files they are published in, as components under our own names.

    source      file                                what it gives
    OTiS        `--otis`, 'model'                   ecg_encoder, as a training start
    EchoPrime   `--echoprime`, a plain state dict   echo_encoder
    Echo2ECG    `--echo2ecg`, one entry each        ecg_encoder, token_aggregator and whatever else it has
    Echo2ECG    `--components`, one file each       every component

Where two of them give the same component, the one further down counts. Parameter names are the published ones
everywhere, so there is nothing to translate. Reading the files safely is `models/published/checkpoints.py`'s business.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - the name everyone uses

from models.architecture import paper
from models.bundle import without
from models.compare import first_difference
from models.echo_encoder import EchoEncoder
from models.published.checkpoints import CheckpointError, read_checkpoint, state_dict
from models.towers import EcgTower, EchoTower

COMPONENT_FILES = {
    "ecg_encoder": "ecg_multimodal.ckpt",
    "token_aggregator": "token_aggregator.ckpt",
    "ecg_alignment_global_token": "ecg_alignment_global_token.ckpt",
    "echo_encoder": "echo_multimodal.ckpt",
    "echo_projection_for_agg": "echo_projection_for_agg.ckpt",
    "echo_view_aggregator": "echo_view_aggregator.ckpt",
    "echo_alignment_global_token": "echo_alignment_global_token.ckpt",
}
"""The published file of each component."""

USES: dict[str, tuple[str, ...]] = {
    "ECG features": ("ecg_encoder", "token_aggregator"),
    "ECG embeddings": ("ecg_encoder", "token_aggregator", "ecg_alignment_global_token"),
    "echo clip embeddings": ("echo_encoder",),
    "echo study embeddings": ("echo_projection_for_agg", "echo_view_aggregator", "echo_alignment_global_token"),
    "retrieval": tuple(COMPONENT_FILES),
    "training start": ("ecg_encoder", "echo_encoder"),
}
"""What each use needs. Training makes the other components anew."""

# What masked-autoencoder pre-training leaves beside the encoder. The final norm is part of it: Echo2ECG has none.
_OTIS_EXTRAS = (
    "mask_token", "mask_token_encoder", "decoder_", "norm.", "fc_norm.", "mlp.", "mlp_norm.", "mlp_pred.", "head.",
)  # fmt: skip

_SWIGLU = re.compile(r"(^|\.)blocks\.\d+\.mlp\.(w12|w1|w2|w3|fc1_g|fc1_x)\.")
"""Names of the gated layers that some OTiS checkpoints have in place of `mlp.fc1` and `mlp.fc2`."""

Weights = Mapping[str, Tensor]
_Tower = TypeVar("_Tower", EcgTower, EchoTower)


@dataclass(frozen=True)
class Contribution:
    """What one file gave, what in it was ignored, and what had to be done to it."""

    source: str
    file: str
    sha256: str
    components: Mapping[str, Weights]
    ignored: tuple[str, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Assembled:
    """The components that count, as modules with gaps, and where each is from.

    absent: components that a tower with at least one of its components lacks.
    """

    ecg_tower: EcgTower | None
    echo_encoder: EchoEncoder | None
    echo_tower: EchoTower | None
    origin: Mapping[str, Contribution]
    absent: tuple[str, ...]
    notes: tuple[str, ...]

    def missing_for(self, use: str) -> tuple[str, ...]:
        """Components that one of `USES` needs and nothing gave. OTiS's encoder is a start for training only."""
        given = {name for name in self.origin if use == "training start" or not _is_otis_start(name, self.origin)}
        return tuple(f"{name} of Echo2ECG" if name in self.origin else name for name in USES[use] if name not in given)


def read_otis(file: Path) -> Contribution:
    """The ECG encoder of an OTiS checkpoint: ECG rows of its lead table, no masked-autoencoder parts."""
    content, sha256 = read_checkpoint(file)
    if isinstance(content, dict) and set(_blank_echo_encoder().state_dict()) <= set(content):
        sentence = f"{file.name} looks like EchoPrime's: its weights are those of an echo encoder."
        raise CheckpointError("not_otis", sentence, hint="Use --echoprime for it.")
    weights = state_dict(content, file.name, "model")
    _refuse_swiglu(weights, file.name)
    extras = tuple(key for key in weights if key.startswith(_OTIS_EXTRAS))
    kept = {key: tensor for key, tensor in weights.items() if key not in extras}
    kept, note = _ecg_leads(kept, content, file.name)
    components, notes = _checked({"ecg_encoder": kept}, file.name)
    ignored = (*_other_entries(content, ("model", "domain_offsets")), *extras)
    return Contribution("OTiS", file.name, sha256, components, ignored, (note, *notes))


def read_echoprime(file: Path) -> Contribution:
    """The echo encoder of EchoPrime: a plain state dict."""
    content, sha256 = read_checkpoint(file)
    components, notes = _checked({"echo_encoder": state_dict(content, file.name)}, file.name)
    return Contribution("EchoPrime", file.name, sha256, components, (), notes)


def read_echo2ecg(file: Path) -> Contribution:
    """Every component that the single Echo2ECG file has."""
    content, sha256 = read_checkpoint(file)
    entries = content if isinstance(content, dict) else {}
    found = {name: state_dict(content, file.name, name) for name in COMPONENT_FILES if name in entries}
    if not found:
        single = "model" in entries and "domain_offsets" not in entries
        raise CheckpointError(
            "no_state_dict",
            f"{file.name} has none of the components {', '.join(COMPONENT_FILES)}.",
            hint="It looks like the file of one component: --components takes the folder of those." if single else "",
        )
    components, notes = _checked(found, file.name)
    return Contribution("Echo2ECG", file.name, sha256, components, _other_entries(content, tuple(found)), notes)


def read_components(folder: Path) -> list[Contribution]:
    """Every component file of a folder, by the names they are published under; other files are left alone."""
    contributions = []
    for component, name in COMPONENT_FILES.items():
        if (folder / name).exists():
            content, sha256 = read_checkpoint(folder / name)
            components, notes = _checked({component: state_dict(content, name, "model")}, name)
            ignored = _other_entries(content, ("model",))
            contributions.append(Contribution("Echo2ECG", name, sha256, components, ignored, notes))
    if not contributions:
        expected = ", ".join(COMPONENT_FILES.values())
        raise CheckpointError("no_checkpoint", f"The components folder holds none of {expected}.")
    return contributions


def assemble(contributions: Sequence[Contribution]) -> Assembled:
    """Put components together; of two for the same place the later one counts."""
    origin: dict[str, Contribution] = {}
    notes = []
    for contribution in contributions:
        for component, weights in contribution.components.items():
            earlier = origin.get(component)
            if earlier is not None:
                same = all(torch.equal(weights[key], tensor) for key, tensor in earlier.components[component].items())
                how = "the same numbers" if same else "other numbers"
                notes.append(f"{component} of {earlier.file} gave way to that of {contribution.file} ({how}).")
            origin[component] = contribution
    if "ecg_encoder" in origin and "token_aggregator" not in origin:
        notes.append("Without a token_aggregator, probes are fitted on the plain mean of the encoder's tokens.")
    if _is_otis_start("ecg_encoder", origin):
        file = origin["ecg_encoder"].file
        notes.append(f"ecg_encoder is the start from {file}: for training, not for published features or retrieval.")
    ecg_tower, ecg_absent = _filled(_blank(EcgTower), origin)
    echo_tower, echo_absent = _filled(_blank(EchoTower), origin)
    echo_encoder = _blank_echo_encoder() if "echo_encoder" in origin else None
    if echo_encoder is not None:
        echo_encoder.load_state_dict(dict(origin["echo_encoder"].components["echo_encoder"]), assign=True)
    return Assembled(ecg_tower, echo_encoder, echo_tower, origin, (*ecg_absent, *echo_absent), tuple(notes))


def _is_otis_start(component: str, origin: Mapping[str, Contribution]) -> bool:
    return component == "ecg_encoder" and component in origin and origin[component].source == "OTiS"


def _refuse_swiglu(weights: Weights, file_name: str) -> None:
    """An encoder of another kind of block would else be told by the first key that is missing."""
    gated = next((key for key in weights if _SWIGLU.search(key)), None)
    if gated is not None:
        raise CheckpointError(
            "swiglu_blocks",
            f"{file_name} is an OTiS encoder with SwiGLU blocks ({gated}); Echo2ECG's encoder has GELU blocks, and no "
            "others are read.",
            hint="Take an OTiS checkpoint whose blocks have mlp.fc1 and mlp.fc2.",
        )


def _ecg_leads(weights: Weights, content: object, file_name: str) -> tuple[dict[str, Tensor], str]:
    """Keep the ECG's rows of a lead table over all of OTiS's domains, with a row of zeros for padding in front."""
    offsets = content.get("domain_offsets") if isinstance(content, dict) else None
    offset = offsets.get("ecg") if isinstance(offsets, dict) else None
    if type(offset) is not int or offset < 0:
        raise CheckpointError(
            "not_otis", f"{file_name} does not say where its ECG leads are: no domain_offsets['ecg']."
        )
    key, leads = "pos_embed_y.weight", paper().ecg.leads
    table = weights.get(key)
    if table is None or table.ndim != 2:
        raise CheckpointError("other_architecture", f"{file_name} has no lead table: {key} is missing.")
    if len(table) < offset + 1 + leads:
        raise CheckpointError(
            "not_otis", f"{key} of {file_name} has {len(table)} rows, but its ECG leads would end at {offset + leads}."
        )
    rows = table[offset + 1 : offset + 1 + leads]
    note = f"rows {offset + 1} to {offset + leads} of {key} are the ECG's {leads} leads"
    return {**weights, key: F.pad(rows, (0, 0, 1, 0))}, note


def _time_table(weights: Weights, file_name: str) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    """Bring a table of time positions to the encoder's length: cut a longer one, interpolate a shorter one.

    The first row belongs to CLS and stays as it is. As published: linear, sample centres aligned, corners not.
    """
    key, patches, half = "pos_embed_x", paper().ecg.patches_per_lead, paper().ecg.embed_dim // 2
    table = weights.get(key)
    if table is None or table.ndim != 3 or (len(table), table.shape[2]) != (1, half) or table.shape[1] == 1 + patches:
        return dict(weights), ()  # where it is anything else, the comparison of shapes says so
    found = table.shape[1] - 1
    if found > patches:
        table, how = table[:, : 1 + patches], f"the first {1 + patches} of {1 + found} rows of {key} are used"
    elif found >= 1 and table.is_floating_point():
        stretched = F.interpolate(table[:, 1:].transpose(1, 2).float(), patches, mode="linear", align_corners=False)
        table = torch.cat([table[:, :1].float(), stretched.transpose(1, 2)], dim=1)
        how = f"{found} rows of {key} were linearly interpolated to {patches}"
    else:
        raise CheckpointError("other_architecture", f"{key} of {file_name} has no row for any patch.")
    return {**weights, key: table}, (how,)


def _checked(components: Mapping[str, Weights], file_name: str) -> tuple[dict[str, Weights], tuple[str, ...]]:
    """Components whose names, shapes and numbers are those of the published architecture, in float32."""
    expected = dict(_components())
    checked: dict[str, Weights] = {}
    notes: tuple[str, ...] = ()
    for component, weights in components.items():
        if component == "ecg_encoder":
            _refuse_swiglu(weights, file_name)
            weights, notes = _time_table(weights, file_name)
        difference = first_difference(expected[component], {key: tuple(w.shape) for key, w in weights.items()})
        if difference:
            raise CheckpointError(
                "other_architecture", f"{file_name} does not fit the published {component}: {difference}."
            )
        for key, tensor in weights.items():
            if not tensor.is_floating_point() or not tensor.isfinite().all():
                raise CheckpointError("bad_numbers", f"{key} in {component} of {file_name} holds no finite numbers.")
        checked[component] = {key: tensor.to(torch.float32) for key, tensor in weights.items()}
    return checked, notes


def _other_entries(content: object, used: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(str(key) for key in content if key not in used) if isinstance(content, dict) else ()


def _components() -> Iterator[tuple[str, nn.Module]]:
    """Every component by name, without memory."""
    yield from _blank(EcgTower).named_children()
    yield from _blank(EchoTower).named_children()
    yield "echo_encoder", _blank_echo_encoder()


def _blank(tower: type[_Tower]) -> _Tower:
    with torch.device("meta"):
        return tower(paper())


def _blank_echo_encoder() -> EchoEncoder:
    with torch.device("meta"):
        return EchoEncoder(paper().echo, paper().view_dim)


def _filled(tower: _Tower, origin: Mapping[str, Contribution]) -> tuple[_Tower | None, tuple[str, ...]]:
    """A tower with the components that were given and without the others, and the names of those."""
    absent = tuple(name for name, _ in tower.named_children() if name not in origin)
    if len(absent) == len(list(tower.children())):
        return None, ()
    for name, component in without(tower, absent).named_children():
        component.load_state_dict(dict(origin[name].components[name]), assign=True)
    return tower, absent
