"""OTiS files with gated blocks are refused by what they are; and what the page on weights says of sizes is counted."""

import re
from pathlib import Path

import pytest
import torch
from published_files import otis_content, save

from models.architecture import paper
from models.echo_encoder import EchoEncoder
from models.published.checkpoints import CheckpointError
from models.published.importer import import_bundle
from models.towers import EcgTower, EchoTower

ROOT = Path(__file__).resolve().parents[3]
GATED = {"timm": ("fc1_g", "fc1_x"), "packed": ("w12",)}


@pytest.mark.parametrize("kind", GATED)
def test_swiglu_blocks_are_named_and_nothing_is_written(published, tmp_path, kind):
    encoder = {k: v for k, v in published.weights("ecg_encoder").items() if ".mlp.fc1." not in k}
    encoder |= {f"blocks.0.mlp.{name}.weight": torch.ones(2, 2) for name in GATED[kind]}
    file = save(otis_content(encoder, lead_rows=torch.ones(39, 96)), tmp_path / "otis.pth")
    with pytest.raises(
        CheckpointError, match=r"otis\.pth is an OTiS encoder with SwiGLU blocks \(blocks\.0\.mlp"
    ) as caught:
        import_bundle(tmp_path / "out", otis=file)
    assert caught.value.code == "swiglu_blocks"
    assert not (tmp_path / "out").exists()


def test_the_sizes_on_the_page_are_those_of_the_components():
    said = re.search(r"numbers of 4 bytes: (.*?)\.\n\n", (ROOT / "docs/weights.md").read_text(), re.DOTALL).group(1)
    with torch.device("meta"):
        ecg, echo = EcgTower(paper()), EchoTower(paper())
        modules = [*ecg.children(), EchoEncoder(paper().echo, paper().view_dim), *echo.children()]
    counts = [sum(w.numel() for w in module.state_dict().values()) for module in modules]
    assert [int(number.replace(",", "")) for number in re.findall(r"\d[\d,]*\d", said)] == counts
