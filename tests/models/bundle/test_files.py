"""A bundle on disk: whole, exact and readable, or refused in one sentence that names the file."""

from __future__ import annotations

import copy
import hashlib
import json
import os
import stat

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from ground.errors import Refusal
from inputs.records import STANDARD_LEADS
from inputs.specs import EcgSpec
from models.architecture import demo
from models.bundle import Bundle, BundleDraft, BundleError, read_manifest, read_self_test, verify_bundle, write_bundle
from models.probes import PROBES_SCHEMA_VERSION, Probes
from models.towers import EchoTower

FILES = (
    "README.md",
    "ecg_tower.safetensors",
    "echo_encoder.safetensors",
    "echo_tower.safetensors",
    "manifest.json",
    "probes.json",
)


def rewritten(bundle_dir, name, change):
    """Change one weight file and make its hash agree again: what a careless tool would leave behind."""
    weights = load_file(bundle_dir / name)
    change(weights)
    save_file(weights, bundle_dir / name)
    sealed(bundle_dir, lambda fields: fields["files"].update({name: sha256(bundle_dir / name)}))


def sealed(bundle_dir, change):
    """Change the manifest and give it a hash that fits."""
    file = bundle_dir / "manifest.json"
    fields = json.loads(file.read_text())
    change(fields)
    fields["manifest_sha256"] = "0" * 64
    blank = json.dumps(fields)
    file.write_text(blank.replace("0" * 64, hashlib.sha256(blank.encode()).hexdigest()))


def sha256(file):
    return hashlib.sha256(file.read_bytes()).hexdigest()


def test_a_written_bundle_verifies_and_says_what_it_is(bundle_dir, draft):
    verify_bundle(bundle_dir)
    assert sorted(file.name for file in bundle_dir.iterdir()) == sorted(FILES)
    bundle = Bundle.load(bundle_dir, device="cpu")
    assert (bundle.id, bundle.embedding_dim) == ("test-bundle", 128)
    assert bundle.manifest.model_dump(include=set(BundleDraft.model_fields)) == draft.model_dump()
    assert bundle.sha256 == sha256(bundle_dir / "manifest.json")
    assert bundle.echo_encoder_sha256 == sha256(bundle_dir / "echo_encoder.safetensors")


def test_everyone_may_read_a_bundle(bundle_dir):
    assert stat.S_IMODE(bundle_dir.stat().st_mode) == 0o755
    assert {stat.S_IMODE(file.stat().st_mode) for file in bundle_dir.iterdir()} == {0o644}


@pytest.mark.parametrize("name", FILES)
def test_a_flipped_bit_in_any_file_is_refused_by_the_name_of_the_file(bundle_dir, name):
    file, rng = bundle_dir / name, np.random.default_rng(len(name))
    whole = file.read_bytes()
    for position in [0, len(whole) - 1, *rng.integers(0, len(whole), 6).tolist()]:
        damaged = bytearray(whole)
        damaged[position] ^= 1 << int(rng.integers(0, 8))
        file.write_bytes(damaged)
        with pytest.raises(BundleError, match=name.replace(".", r"\.")) as refusal:
            verify_bundle(bundle_dir)
        assert str(bundle_dir) not in str(refusal.value)
    file.write_bytes(whole)
    verify_bundle(bundle_dir)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("damage", ["missing", "empty", "half"])
def test_a_missing_or_cut_file_is_refused_by_name(bundle_dir, name, damage):
    file = bundle_dir / name
    if damage == "missing":
        file.unlink()
    else:
        os.truncate(file, 0 if damage == "empty" else file.stat().st_size // 2)
    for load in (verify_bundle, lambda path: Bundle.load(path, device="cpu")):
        with pytest.raises(BundleError, match=name.replace(".", r"\.")):
            load(bundle_dir)


def test_a_missing_key_is_refused_with_its_shape(bundle_dir):
    rewritten(bundle_dir, "echo_tower.safetensors", lambda w: w.pop("echo_alignment_global_token.weight"))
    with pytest.raises(BundleError, match=r"echo_alignment_global_token.weight \(128, 256\) is missing"):
        Bundle.load(bundle_dir, device="cpu")


def test_an_extra_key_is_refused_by_name(bundle_dir):
    rewritten(bundle_dir, "ecg_tower.safetensors", lambda w: w.update({"decoder.weight": torch.zeros(2, 3)}))
    with pytest.raises(BundleError, match=r"decoder.weight \(2, 3\) is not expected"):
        verify_bundle(bundle_dir)


def test_weights_of_another_size_are_refused_with_both_shapes(bundle_dir):
    def widen(weights):
        weights["norm.weight"] = torch.zeros(200)

    rewritten(bundle_dir, "echo_encoder.safetensors", widen)
    with pytest.raises(BundleError, match=r"norm.weight is \(200,\) instead of \(192,\)"):
        Bundle.load(bundle_dir, device="cpu")


def test_bytes_that_are_no_weights_are_refused_even_when_the_hash_fits(bundle_dir):
    file = bundle_dir / "ecg_tower.safetensors"
    file.write_bytes(b"\xff" * 100)
    sealed(bundle_dir, lambda fields: fields["files"].update({file.name: sha256(file)}))
    with pytest.raises(BundleError, match=r"ecg_tower\.safetensors is damaged"):
        Bundle.load(bundle_dir, device="cpu")


def test_a_manifest_changed_by_hand_is_refused(bundle_dir):
    file = bundle_dir / "manifest.json"
    file.write_text(file.read_text().replace('"shd_auroc": 0.8', '"shd_auroc": 0.9'))
    with pytest.raises(BundleError, match="changed by hand"):
        Bundle.load(bundle_dir, device="cpu")


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda f: f.update(schema_version=3), "schema version 3, but this code reads version 2"),
        (lambda f: f["files"].update({"../secrets": "0"}), "does not belong in a bundle"),
        (lambda f: f["ecg"].update(window_samples=2000), "other windows than the ECG encoder takes"),
        (lambda f: f["echo"].update(size=224), "other clips than the echo encoder takes"),
        (lambda f: f.update(surprise=1), "surprise"),
        (lambda f: f.pop("labels"), "labels"),
        (lambda f: f["labels"]["lvef"].update(labels=["a", "b"], edges_percent=[40], edge_belongs_below=[True]),
         "3 classes, the label definitions 2"),
    ],
)  # fmt: skip
def test_a_manifest_that_contradicts_code_or_itself_is_refused(bundle_dir, change, named):
    sealed(bundle_dir, change)
    with pytest.raises(BundleError, match=named):
        Bundle.load(bundle_dir, device="cpu")


def test_a_bundle_from_before_there_was_a_self_test_is_read(bundle_dir):
    sealed(bundle_dir, lambda fields: fields.update(schema_version=1))
    verify_bundle(bundle_dir)
    assert read_self_test(bundle_dir, read_manifest(bundle_dir)[0]) is None


def test_a_folder_that_is_no_bundle_is_refused(tmp_path):
    with pytest.raises(BundleError, match="no model bundle"):
        Bundle.load(tmp_path / "nowhere", device="cpu")


def test_a_part_that_a_bundle_does_not_have_is_refused_when_asked_for(tmp_path, draft, demo_modules):
    parts = {**demo_modules, "echo_encoder": None, "echo_tower": None}
    write_bundle(tmp_path / "b", draft, **parts, card="# ECG only\n")
    verify_bundle(tmp_path / "b")
    with pytest.raises(BundleError, match="no echo part"):
        Bundle.load(tmp_path / "b", device="cpu")


def test_writing_weights_that_do_not_fit_leaves_nothing_behind(tmp_path, draft, demo_modules):
    wrong = {**demo_modules, "echo_tower": EchoTower(demo().model_copy(update={"view_dim": 64}))}
    with pytest.raises(ValueError, match=r"echo_projection_for_agg.weight is \(256, 64\) instead of \(256, 128\)"):
        write_bundle(tmp_path / "b", draft, **wrong, card="#")
    assert list(tmp_path.iterdir()) == []


def test_writing_a_folded_encoder_is_refused_because_it_cannot_be_trained_further(tmp_path, draft, demo_modules):
    tower = copy.deepcopy(demo_modules["ecg_tower"])
    tower.ecg_encoder = tower.ecg_encoder.folded()
    parts = {**demo_modules, "ecg_tower": tower}
    with pytest.raises(ValueError, match=r"blocks.0.attn.qkv.weight \(288, 96\) is missing"):
        write_bundle(tmp_path / "b", draft, **parts, card="#")
    assert list(tmp_path.iterdir()) == []


def test_a_kill_while_writing_leaves_no_bundle_under_the_name(tmp_path, draft, demo_modules, monkeypatch):
    def killed(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("ground.disk.os.fsync", killed)
    with pytest.raises(KeyboardInterrupt):
        write_bundle(tmp_path / "b", draft, **demo_modules, card="#")
    assert not (tmp_path / "b").exists()


def test_what_a_kill_left_of_a_bundle_goes_when_it_is_written_again(tmp_path, draft, demo_modules):
    for name in (".b.abcdefgh.tmp", ".c.abcdefgh.tmp"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "ecg_tower.safetensors").write_bytes(b"half")
    write_bundle(tmp_path / "b", draft, **demo_modules, card="#")
    assert sorted(path.name for path in tmp_path.iterdir()) == [".c.abcdefgh.tmp", "b"]


def test_an_existing_bundle_is_never_overwritten(bundle_dir, draft, demo_modules):
    before = sha256(bundle_dir / "manifest.json")
    with pytest.raises(Refusal, match="exists already"):
        write_bundle(bundle_dir, draft, **demo_modules, card="#")
    assert sha256(bundle_dir / "manifest.json") == before


def shorter(distance):
    return distance.model_copy(update={"mean_S": distance.mean_S[:-1], "factor": distance.factor[:-1]})


MISFITS = {
    "leads": "the leads part of ood takes 9 numbers, an ECG gives 10",
    "texture": "the texture part of ood takes 8 numbers, an ECG gives 9",
    "direction": "the direction part of ood takes 21 numbers, an ECG gives 22",
    "flags": "a probe for no_such_flag, which is no SHD flag",
    "spec": "longer windows of all twelve leads",
}


def misfitting(probes, kind):
    """Probes that agree with themselves, but not with the bundle."""
    ood = probes.ood
    if kind in ("leads", "texture"):
        ood = ood.model_copy(update={kind: shorter(getattr(ood, kind))})
    elif kind == "direction":
        weights = ood.direction.weight_S[:-1]
        ood = ood.model_copy(update={"direction": ood.direction.model_copy(update={"weight_S": weights})})
    flags = {"no_such_flag": probes.shd} if kind == "flags" else probes.flags
    return Probes.model_validate(probes.model_copy(update={"ood": ood, "flags": flags}).model_dump())


@pytest.mark.parametrize("kind", MISFITS)
def test_probes_that_do_not_fit_the_bundle_are_not_written(tmp_path, draft, demo_modules, judging_probes, kind):
    spec = EcgSpec(leads=(*STANDARD_LEADS[:11], "V7")) if kind == "spec" else EcgSpec()
    with pytest.raises(ValueError, match=MISFITS[kind]):
        write_bundle(
            tmp_path / "b",
            draft.model_copy(update={"ecg": spec}),
            **demo_modules,
            probes=misfitting(judging_probes, kind),
            card="#",
        )
    assert not (tmp_path / "b").exists()


@pytest.mark.parametrize("kind", ["leads", "texture", "direction", "flags"])
def test_probes_that_do_not_fit_the_bundle_are_not_read_either(bundle_dir, judging_probes, kind):
    (bundle_dir / "probes.json").write_text(misfitting(judging_probes, kind).model_dump_json())
    sealed(bundle_dir, lambda fields: fields["files"].update({"probes.json": sha256(bundle_dir / "probes.json")}))
    for refuse in (verify_bundle, Bundle.load):
        with pytest.raises(BundleError, match=MISFITS[kind]):
            refuse(bundle_dir)


def test_parts_of_a_newer_version_are_called_so_before_anything_else_is_asked_of_them(bundle_dir):
    probes = bundle_dir / "probes.json"
    probes.write_text(json.dumps({"schema_version": PROBES_SCHEMA_VERSION + 1, "lvef": "told otherwise"}))
    sealed(bundle_dir, lambda fields: fields["files"].update({probes.name: sha256(probes)}))
    with pytest.raises(BundleError, match=r"^probes\.json was written by a newer version of this software$"):
        verify_bundle(bundle_dir)
    (bundle_dir / "manifest.json").write_text('{"schema_version": 3}')
    with pytest.raises(BundleError, match=r"^manifest\.json was written by a newer version of this software: "):
        verify_bundle(bundle_dir)
