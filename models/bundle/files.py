"""A model on disk: a folder a person can read, checked byte by byte when it is loaded. No pickle, no code.

    manifest.json                what this is: sizes, preparation, labels, metrics, and the sha256 of every other file
    ecg_tower.safetensors        ECG encoder, token aggregator, alignment
    echo_encoder.safetensors     one clip to one view vector
    echo_tower.safetensors       view projection, pooling, alignment
    probes.json                  features to LVEF and SHD probabilities
    self_test.safetensors        a known ECG, and what this bundle says of it
    README.md                    the model card

A bundle may lack parts (without probes it gives features only); what it has is strict. This file knows the folder;
`models/bundle/loaded.py` knows what to do with its contents.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar

import torch
from pydantic import ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn

from ground.disk import flush_file, flush_folder, held_folder, sha256, sha256_of
from ground.errors import Refusal
from ground.schema import NEWER, is_newer, is_newer_json
from inputs.specs import EcgSpec
from models.bundle.known_ecg import SelfTest
from models.bundle.manifest import (
    _BLANK,
    CARD,
    ECG_TOWER,
    ECHO_ENCODER,
    ECHO_TOWER,
    MANIFEST,
    PART_FILES,
    PROBES,
    SCHEMA_VERSION,
    SELF_TEST,
    BundleDraft,
    BundleError,
    BundleManifest,
    Use,
)
from models.compare import first_difference
from models.ecg_shape import SHAPE_SIZES, describable
from models.echo_encoder import EchoEncoder
from models.ood import OutOfDistribution
from models.probes import PROBES_SCHEMA_VERSION, Probes
from models.towers import EcgTower, EchoTower

_Module = TypeVar("_Module", bound=nn.Module)


def read_manifest(path: Path) -> tuple[BundleManifest, str]:
    """The manifest and the sha256 of its file. BundleError when it is missing, changed or of another schema."""
    try:
        raw = (path / MANIFEST).read_bytes()
    except OSError as error:
        raise BundleError(f"this is no model bundle: {MANIFEST} is missing or unreadable") from error
    try:
        fields = json.loads(raw)
        if is_newer(fields, SCHEMA_VERSION):  # first: its other fields may be others
            raise BundleError(f"{MANIFEST} {NEWER}: {_versions(fields['schema_version'])}")
        version, claimed = fields["schema_version"], str(fields["manifest_sha256"])
    except (ValueError, KeyError, TypeError) as error:
        raise BundleError(f"{MANIFEST} is damaged") from error
    if version not in (1, SCHEMA_VERSION):
        raise BundleError(f"{MANIFEST} is of another version of this software: {_versions(version)}")
    if sha256(raw.replace(claimed.encode(), _BLANK.encode())).hexdigest() != claimed:
        raise BundleError(f"{MANIFEST} is damaged or was changed by hand: it does not match its own sha256")
    try:
        return BundleManifest.model_validate(fields), sha256(raw).hexdigest()
    except ValidationError as error:
        raise BundleError(f"{MANIFEST} does not fit its schema: {_first_problem(error)}") from error


def check_card(path: Path, manifest: BundleManifest) -> None:
    """BundleError when the model card is not the one the bundle was written with."""
    _check_file(path, manifest, CARD)


def read_probes(path: Path, manifest: BundleManifest) -> Probes | None:
    """The probes, or None in a bundle that has none."""
    if PROBES not in manifest.files:
        return None
    _check_file(path, manifest, PROBES)
    content = (path / PROBES).read_bytes()
    if is_newer_json(content, PROBES_SCHEMA_VERSION):
        raise BundleError(f"{PROBES} {NEWER}")
    try:
        probes = Probes.model_validate_json(content)
    except ValidationError as error:
        raise BundleError(f"{PROBES} does not fit its schema: {_first_problem(error)}") from error
    problem = _probe_problem(probes, manifest)
    if problem:
        raise BundleError(f"{PROBES} does not fit the bundle: {problem}")
    return probes


def read_self_test(path: Path, manifest: BundleManifest) -> SelfTest | None:
    """The known ECG and what the bundle said of it, or None in a bundle written before there was one."""
    if SELF_TEST not in manifest.files:
        return None
    _check_file(path, manifest, SELF_TEST)
    try:
        with safe_open(path / SELF_TEST, framework="pt", device="cpu") as file:
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - not a dict
            return SelfTest.read(tensors, file.metadata() or {})
    except (SafetensorError, KeyError, ValueError) as error:
        raise BundleError(f"{SELF_TEST} is damaged") from error


def read_ecg_tower(path: Path, manifest: BundleManifest) -> EcgTower:
    """The ECG tower as trained (attention not folded), on the CPU, without the manifest's absent components."""
    with torch.device("meta"):
        tower = without(EcgTower(manifest.architecture), manifest.absent)
    return _read_weights(path, manifest, ECG_TOWER, tower)


def read_echo_encoder(path: Path, manifest: BundleManifest) -> EchoEncoder:
    """The echo encoder, on the CPU."""
    with torch.device("meta"):
        encoder = EchoEncoder(manifest.architecture.echo, manifest.architecture.view_dim)
    return _read_weights(path, manifest, ECHO_ENCODER, encoder)


def read_echo_tower(path: Path, manifest: BundleManifest) -> EchoTower:
    """The view projection, pooling and alignment, on the CPU, without the manifest's absent components."""
    with torch.device("meta"):
        tower = without(EchoTower(manifest.architecture), manifest.absent)
    return _read_weights(path, manifest, ECHO_TOWER, tower)


def verify_bundle(path: Path) -> None:
    """Check every file of a bundle: hashes, keys, shapes and numbers. BundleError says what is wrong first."""
    manifest, _ = read_manifest(path)
    check_card(path, manifest)
    read_probes(path, manifest)
    read_self_test(path, manifest)
    for name, read in ((ECHO_TOWER, read_echo_tower), (ECG_TOWER, read_ecg_tower), (ECHO_ENCODER, read_echo_encoder)):
        if name in manifest.files:
            read(path, manifest)


def check_files_for(path: Path, manifest: BundleManifest, *uses: Use) -> None:
    """What some uses take is there, byte for byte; nothing is loaded. BundleError says what is missing or damaged."""
    lacking = dict.fromkeys(name for use in uses for name in manifest.lacks(use))
    if lacking:
        raise BundleError(f"this bundle has no {' and no '.join(lacking)}")
    for name in dict.fromkeys(name for use in uses for name in manifest.files_for(use)):
        _check_file(path, manifest, name)


def write_bundle(
    path: Path,
    draft: BundleDraft,
    *,
    ecg_tower: EcgTower | None = None,
    echo_encoder: EchoEncoder | None = None,
    echo_tower: EchoTower | None = None,
    probes: Probes | None = None,
    self_test: SelfTest | None = None,
    card: str,
) -> BundleManifest:
    """Write a bundle under a temporary name beside `path` and rename it, so that it is there whole or not at all.

    Refusal when `path` exists already, ValueError when weights or probes do not fit the architecture.
    """
    modules = {ECG_TOWER: ecg_tower, ECHO_ENCODER: echo_encoder, ECHO_TOWER: echo_tower}
    with torch.device("meta"):
        expected: dict[str, nn.Module] = {
            ECG_TOWER: without(EcgTower(draft.architecture), draft.absent),
            ECHO_ENCODER: EchoEncoder(draft.architecture.echo, draft.architecture.view_dim),
            ECHO_TOWER: without(EchoTower(draft.architecture), draft.absent),
        }

    def write_weights(folder: Path) -> None:
        for name, module in modules.items():
            if module is not None:
                weights = {k: v.detach().to("cpu", torch.float32).contiguous() for k, v in module.state_dict().items()}
                difference = first_difference(expected[name], {k: tuple(v.shape) for k, v in weights.items()})
                if difference:
                    raise ValueError(f"{name} would not fit the architecture: {difference}")
                save_file(weights, folder / name)

    return _write_folder(path, draft, write_weights, (probes, self_test), card)


def write_with_probes(
    path: Path,
    draft: BundleDraft,
    weights_from: Path,
    *,
    probes: Probes,
    self_test: SelfTest | None = None,
    card: str,
) -> BundleManifest:
    """Write a bundle of another one's weights, byte for byte, with probes of its own; see `write_bundle`.

    Refusal when `path` exists already, BundleError when a file of weights is not what its manifest says, ValueError
    when the draft is of other sizes or the probes do not fit.
    """
    source, _ = read_manifest(weights_from)
    if (draft.architecture, draft.absent) != (source.architecture, source.absent):
        raise ValueError("the draft describes other weights than those of the bundle that gives them")

    def copy_weights(folder: Path) -> None:
        for name in (file for files in PART_FILES.values() for file in files if file in source.files):
            shutil.copyfile(weights_from / name, folder / name)
            _check_file(folder, source, name)

    return _write_folder(path, draft, copy_weights, (probes, self_test), card)


def _write_folder(
    path: Path,
    draft: BundleDraft,
    write_weights: Callable[[Path], None],
    beside: tuple[Probes | None, SelfTest | None],
    card: str,
) -> BundleManifest:
    probes, self_test = beside
    if path.exists():
        raise Refusal("bundle_exists", f"{path.name} exists already; a bundle is never changed in place")
    problem = None if probes is None else _probe_problem(probes, draft)
    if problem:
        raise ValueError(f"the probes do not fit the bundle: {problem}")
    path.parent.mkdir(parents=True, exist_ok=True)
    with held_folder(f".{path.name}.", suffix=".tmp", parent=path.parent) as temporary:
        write_weights(temporary)
        if probes is not None:
            (temporary / PROBES).write_text(probes.model_dump_json(indent=1) + "\n", encoding="utf-8")
        if self_test is not None:
            save_file(self_test.as_tensors(), temporary / SELF_TEST, metadata=self_test.as_metadata())
        (temporary / CARD).write_text(card, encoding="utf-8")
        files = {file.name: sha256_of(file) for file in sorted(temporary.iterdir())}
        fields = dict(draft) | {"schema_version": SCHEMA_VERSION}
        manifest = _write_manifest(temporary / MANIFEST, BundleManifest(**fields, files=files))
        # Temporary folders and safetensors files are for their owner only; a finished bundle is for every reader.
        temporary.chmod(0o755)
        for file in temporary.iterdir():
            file.chmod(0o644)
            flush_file(file)
        flush_folder(temporary)
        temporary.rename(path)
        flush_folder(path.parent)
    return manifest


def without(tower: _Module, absent: Iterable[str]) -> _Module:
    """The same tower with some components taken out; running into the gap is an AttributeError."""
    for name in absent:
        if hasattr(tower, name):
            delattr(tower, name)
    return tower


def _write_manifest(file: Path, manifest: BundleManifest) -> BundleManifest:
    blank = manifest.model_copy(update={"manifest_sha256": _BLANK}).model_dump_json(indent=1) + "\n"
    digest = sha256(blank.encode()).hexdigest()
    # The blank stands last in the file and in no other place: no file has a hash of zeros.
    file.write_text(blank.replace(_BLANK, digest), encoding="utf-8")
    return manifest.model_copy(update={"manifest_sha256": digest})


def _read_weights(path: Path, manifest: BundleManifest, name: str, module: _Module) -> _Module:
    """Fill a module built without memory (on the meta device), one tensor at a time: no second copy of the weights."""
    _check_file(path, manifest, name)
    try:
        with safe_open(path / name, framework="pt", device="cpu") as file:
            shapes = {key: tuple(file.get_slice(key).get_shape()) for key in file.keys()}  # noqa: SIM118 - not a dict
            difference = first_difference(module, shapes)
            if difference:
                raise BundleError(f"{name} does not fit the architecture: {difference}")
            # The tensors may be views of the mapped file; a loaded model must not change or fault when the file does.
            module.load_state_dict(
                {key: file.get_tensor(key).to(torch.float32, copy=True) for key in shapes}, assign=True
            )
    except SafetensorError as error:
        raise BundleError(f"{name} is damaged") from error
    return module.eval().requires_grad_(requires_grad=False)


def _probe_problem(probes: Probes, manifest: BundleDraft) -> str | None:
    features = len(probes.feature_mean_F)
    classes = len(manifest.labels.lvef.labels) if probes.lvef is None else len(probes.lvef.bias_C)
    if features != manifest.architecture.features_dim:
        return f"the probes take {features} features, the encoder gives {manifest.architecture.features_dim}"
    if classes != len(manifest.labels.lvef.labels):
        return f"the LVEF probe has {classes} classes, the label definitions {len(manifest.labels.lvef.labels)}"
    unnamed = sorted(set(probes.flags) - set(manifest.labels.shd_flags))
    if unnamed:
        return f"there is a probe for {unnamed[0]}, which is no SHD flag of the label definitions"
    return None if probes.ood is None else _ood_problem(probes.ood, manifest.ecg)


def _ood_problem(ood: OutOfDistribution, spec: EcgSpec) -> str | None:
    if not describable(spec):
        return "the out-of-distribution score needs longer windows of all twelve leads"
    found = {"leads": ood.leads.mean_S, "texture": ood.texture.mean_S, "direction": ood.direction.weight_S}
    for kind, numbers in found.items():
        if len(numbers) != SHAPE_SIZES[kind]:
            return f"the {kind} part of ood takes {len(numbers)} numbers, an ECG gives {SHAPE_SIZES[kind]}"
    return None


def _check_file(path: Path, manifest: BundleManifest, name: str) -> None:
    if name not in manifest.files:
        raise BundleError(f"this bundle has no {name}")
    try:
        found = sha256_of(path / name)
    except OSError as error:
        raise BundleError(f"{name} is missing or unreadable") from error
    if found != manifest.files[name]:
        raise BundleError(f"{name} is damaged or was changed: its sha256 is not the one in {MANIFEST}")


def _versions(theirs: object) -> str:
    return f"it has schema version {theirs}, but this code reads version {SCHEMA_VERSION}"


def _first_problem(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(map(str, first["loc"]))
    return f"{where}: {first['msg']}" if where else str(first["msg"])
