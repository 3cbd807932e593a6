"""Published weights find their places, or the sentence says which does not; what counts and what is missing is told.

The layout of the files does not depend on sizes, so these tests use small ones.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from published_files import COMPONENT_FILES, OTIS_EXTRAS, otis_content, save, save_component, save_single_file, seeded

from models.architecture import Architecture, EcgArchitecture, EchoArchitecture, EchoBlock
from models.echo_encoder import EchoEncoder
from models.published import components as pretrained
from models.published.checkpoints import CheckpointError
from models.published.components import (
    assemble,
    read_components,
    read_echo2ecg,
    read_echoprime,
    read_otis,
)
from models.towers import EcgTower, EchoTower

LEADS, PATCHES, DIM = 12, 42, 96
SIZES = Architecture(
    ecg=EcgArchitecture(embed_dim=DIM, depth=2),
    echo=EchoArchitecture(
        frames=4,
        size=16,
        stem_dim=8,
        patch_kernel=(3, 7, 7),
        patch_stride=(2, 8, 8),
        blocks=(EchoBlock(dim=8, heads=1),),
    ),
    view_dim=16,
    projection_dim=32,
    embedding_dim=24,
)
RNG = np.random.default_rng(3)


@pytest.fixture(autouse=True)
def _small_sizes(monkeypatch):
    monkeypatch.setattr(pretrained, "paper", lambda: SIZES)


@pytest.fixture(scope="module")
def weights() -> dict[str, dict[str, torch.Tensor]]:
    """Every component's weights by name."""
    sizes = SIZES
    with torch.device("meta"):
        modules = dict(EcgTower(sizes).named_children()) | dict(EchoTower(sizes).named_children())
        modules["echo_encoder"] = EchoEncoder(sizes.echo, sizes.view_dim)
    return {name: seeded(module, f"{name}.") for name, module in modules.items()}


@pytest.fixture
def otis(weights):
    """An OTiS checkpoint over 39 rows of leads, not yet saved."""
    rows = torch.from_numpy(RNG.normal(size=(39, DIM // 2)).astype(np.float32))
    return otis_content(weights["ecg_encoder"], lead_rows=rows)


def refused(read, file) -> str:
    with pytest.raises(CheckpointError) as caught:
        read(file)
    return str(caught.value)


def test_otis_gives_the_encoder_with_the_rows_of_the_ecg_behind_a_row_of_zeros(tmp_path, otis, weights):
    given = read_otis(save(otis, tmp_path / "otis.pth"))
    encoder = given.components["ecg_encoder"]
    table = encoder["pos_embed_y.weight"]
    assert len(table) == 1 + LEADS
    assert (table[0] == 0).all()
    assert torch.equal(table[1:], otis["model"]["pos_embed_y.weight"][5:17])
    others = [key for key in weights["ecg_encoder"] if key != "pos_embed_y.weight"]
    assert all(torch.equal(encoder[key], weights["ecg_encoder"][key]) for key in others)
    assert set(encoder) == set(weights["ecg_encoder"])


@pytest.mark.parametrize("offset", [0, 26])
def test_the_offset_in_the_file_says_where_the_ecg_is(tmp_path, otis, offset):
    otis["domain_offsets"]["ecg"] = offset
    table = read_otis(save(otis, tmp_path / "otis.pth")).components["ecg_encoder"]["pos_embed_y.weight"]
    assert torch.equal(table[1:], otis["model"]["pos_embed_y.weight"][offset + 1 : offset + 13])


def test_what_pre_training_left_in_otis_is_ignored_by_name_and_listed(tmp_path, otis):
    given = read_otis(save(otis, tmp_path / "otis.pth"))
    assert set(OTIS_EXTRAS) < set(given.ignored)
    assert {"optimizer", "args", "epoch"} < set(given.ignored)


def test_a_misspelt_or_missing_key_is_named(tmp_path, otis):
    model = otis["model"]
    model["blocks.1.norm1.wieght"] = model.pop("blocks.1.norm1.weight")
    sentence = refused(read_otis, save(otis, tmp_path / "otis.pth"))
    assert "blocks.1.norm1.weight (96,) is missing" in sentence
    model["blocks.1.norm1.weight"] = model["blocks.1.norm1.wieght"]
    sentence = refused(read_otis, save(otis, tmp_path / "otis.pth"))
    assert "blocks.1.norm1.wieght (96,) is not expected" in sentence
    del model["cls_token"], model["blocks.1.norm1.wieght"]
    assert "cls_token (1, 1, 96) is missing" in refused(read_otis, save(otis, tmp_path / "otis.pth"))


@pytest.mark.parametrize("offsets", [None, {}, {"eeg": 4}, {"ecg": -1}, {"ecg": "4"}, {"ecg": True}])
def test_otis_without_a_place_for_the_ecg_is_refused(tmp_path, otis, offsets):
    otis["domain_offsets"] = offsets
    assert "domain_offsets['ecg']" in refused(read_otis, save(otis, tmp_path / "otis.pth"))


def test_leads_that_would_end_outside_the_table_are_refused(tmp_path, otis):
    otis["domain_offsets"]["ecg"] = 27
    assert "has 39 rows, but its ECG leads would end at 39" in refused(read_otis, save(otis, tmp_path / "otis.pth"))
    del otis["model"]["pos_embed_y.weight"]
    assert "pos_embed_y.weight is missing" in refused(read_otis, save(otis, tmp_path / "otis.pth"))


def test_a_longer_time_table_counts_with_its_first_rows(tmp_path, otis):
    longer = torch.from_numpy(RNG.normal(size=(1, 101, DIM // 2)).astype(np.float32))
    otis["model"]["pos_embed_x"] = longer
    given = read_otis(save(otis, tmp_path / "otis.pth"))
    assert torch.equal(given.components["ecg_encoder"]["pos_embed_x"], longer[:, : 1 + PATCHES])
    assert any("of 101 rows of pos_embed_x" in note for note in given.notes)


def test_a_shorter_time_table_is_interpolated_linearly_apart_from_the_row_of_cls(tmp_path, otis):
    shorter = torch.from_numpy(RNG.normal(size=(1, 21, DIM // 2)).astype(np.float32))
    otis["model"]["pos_embed_x"] = shorter
    found = read_otis(save(otis, tmp_path / "otis.pth")).components["ecg_encoder"]["pos_embed_x"].numpy()[0]
    centres = (np.arange(PATCHES) + 0.5) * 20 / PATCHES - 0.5
    expected = [np.interp(centres, np.arange(20), column) for column in shorter[0, 1:].numpy().T]
    assert np.allclose(found[1:], np.stack(expected, axis=1), atol=1e-6)
    assert np.array_equal(found[0], shorter[0, 0].numpy())


def test_a_time_table_of_another_width_or_without_patches_is_refused(tmp_path, otis):
    otis["model"]["pos_embed_x"] = torch.ones(1, 40, 7)
    assert "pos_embed_x is (1, 40, 7) instead of (1, 43, 48)" in refused(read_otis, save(otis, tmp_path / "otis.pth"))
    otis["model"]["pos_embed_x"] = torch.ones(1, 1, 48)
    assert "no row for any patch" in refused(read_otis, save(otis, tmp_path / "otis.pth"))


def test_another_architecture_is_refused_by_the_first_key_and_both_shapes(tmp_path, otis):
    otis["model"] = {key: torch.ones([2 * n for n in tensor.shape]) for key, tensor in otis["model"].items()}
    sentence = refused(read_otis, save(otis, tmp_path / "big.pth"))
    assert sentence == "big.pth does not fit the published ecg_encoder: cls_token is (2, 2, 192) instead of (1, 1, 96)."


def test_echoprime_is_a_plain_state_dict(tmp_path, weights):
    given = read_echoprime(save(weights["echo_encoder"], tmp_path / "echo_prime_encoder.pt"))
    assert given.components.keys() == {"echo_encoder"}
    assert all(torch.equal(given.components["echo_encoder"][key], w) for key, w in weights["echo_encoder"].items())
    sentence = refused(read_otis, tmp_path / "echo_prime_encoder.pt")
    assert "looks like EchoPrime's" in sentence
    other = {**weights["echo_encoder"], "head.1.weight": torch.ones(400, 8), "head.1.bias": torch.ones(400)}
    sentence = refused(read_echoprime, save(other, tmp_path / "other.pt"))
    assert "head.1.weight is (400, 8) instead of (16, 8)" in sentence


def test_a_file_in_the_wrong_place_is_said_not_to_fit(tmp_path, otis, weights):
    file = save(otis, tmp_path / "otis.pth")
    assert "otis.pth is no state dict" in refused(read_echoprime, file)
    assert "none of the components" in refused(read_echo2ecg, file)
    component = save_component(weights["token_aggregator"], tmp_path / "token_aggregator.ckpt")
    assert "domain_offsets" in refused(read_otis, component)


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_numbers_that_are_not_finite_are_refused_by_key(tmp_path, weights, number):
    broken = {key: tensor.clone() for key, tensor in weights["token_aggregator"].items()}
    broken["ecg_layernorm_global.bias"][3] = number
    save_component(broken, tmp_path / "token_aggregator.ckpt")
    assert "ecg_layernorm_global.bias in token_aggregator" in refused(read_components, tmp_path)


def test_half_precision_weights_become_float32_and_integers_are_refused(tmp_path, weights):
    halves = {key: tensor.half() for key, tensor in weights["token_aggregator"].items()}
    save_component(halves, tmp_path / "token_aggregator.ckpt")
    given = read_components(tmp_path)[0].components["token_aggregator"]
    assert {tensor.dtype for tensor in given.values()} == {torch.float32}
    assert all(torch.equal(given[key], half.float()) for key, half in halves.items())
    save_component({key: half.long() for key, half in halves.items()}, tmp_path / "token_aggregator.ckpt")
    assert "holds no finite numbers" in refused(read_components, tmp_path)


def test_the_components_folder_gives_every_component_by_the_name_of_its_file(tmp_path, weights):
    for name, file in COMPONENT_FILES.items():
        save_component(weights[name], tmp_path / file)
    (tmp_path / "notes.txt").write_text("not a checkpoint")
    given = read_components(tmp_path)
    assert [contribution.file for contribution in given] == list(COMPONENT_FILES.values())
    assert all(contribution.ignored == ("cfg", "epoch") for contribution in given)
    assembled = assemble(given)
    assert assembled.absent == ()
    assert all(not assembled.missing_for(use) for use in pretrained.USES)
    for module in (assembled.ecg_tower, assembled.echo_tower):
        for name, component in module.named_children():
            assert all(torch.equal(w, weights[name][key]) for key, w in component.state_dict().items()), name
    assert all(torch.equal(w, weights["echo_encoder"][k]) for k, w in assembled.echo_encoder.state_dict().items())


def test_a_folder_without_any_component_is_refused_by_what_was_looked_for(tmp_path):
    assert "ecg_multimodal.ckpt" in refused(read_components, tmp_path)


def test_the_single_file_may_lack_components_and_says_for_which_use(tmp_path, weights):
    parts = {name: weights[name] for name in ("ecg_encoder", "token_aggregator")}
    given = read_echo2ecg(save_single_file(parts, tmp_path / "echo2ecg.ckpt"))
    assert given.ignored == ("cfg", "epoch")
    assembled = assemble([given])
    assert assembled.absent == ("ecg_alignment_global_token",)
    assert (assembled.echo_encoder, assembled.echo_tower) == (None, None)
    assert assembled.missing_for("ECG features") == ()
    assert assembled.missing_for("ECG embeddings") == ("ecg_alignment_global_token",)
    assert assembled.missing_for("training start") == ("echo_encoder",)
    assert len(assembled.missing_for("retrieval")) == 5


def test_the_file_of_one_component_in_place_of_the_single_file_is_told_where_it_belongs(tmp_path, otis, weights):
    def hint(file):
        with pytest.raises(CheckpointError, match="has none of the components") as caught:
            read_echo2ecg(file)
        return caught.value.hint

    assert "--components" in hint(save_component(weights["ecg_encoder"], tmp_path / "ecg_multimodal.ckpt"))
    assert hint(save(otis, tmp_path / "otis.pth")) == ""


def test_the_later_file_counts_and_the_difference_is_told(tmp_path, otis, weights):
    start = read_otis(save(otis, tmp_path / "otis.pth"))
    trained = {key: tensor + 0.5 for key, tensor in weights["ecg_encoder"].items()}
    whole = read_echo2ecg(save_single_file({"ecg_encoder": trained}, tmp_path / "echo2ecg.ckpt"))
    assembled = assemble([start, whole])
    assert assembled.origin["ecg_encoder"] is whole
    assert torch.equal(assembled.ecg_tower.ecg_encoder.cls_token, trained["cls_token"])
    assert assembled.notes[0] == "ecg_encoder of otis.pth gave way to that of echo2ecg.ckpt (other numbers)."
    assert "(the same numbers)" in assemble([whole, whole]).notes[0]


def test_the_start_of_otis_is_not_taken_for_the_published_encoder(tmp_path, otis, weights):
    save_component(weights["token_aggregator"], tmp_path / "token_aggregator.ckpt")
    assembled = assemble([read_otis(save(otis, tmp_path / "otis.pth")), *read_components(tmp_path)])
    assert assembled.missing_for("ECG features") == ("ecg_encoder of Echo2ECG",)
    assert assembled.missing_for("training start") == ("echo_encoder",)
    assert "for training, not for published features" in assembled.notes[0]
