"""Files of the structure in which weights are published, configuration objects and optimiser states included.

The configuration's classes exist only while a file is written, so that reading it cannot import them.
"""

from __future__ import annotations

import argparse
import sys
import types
from collections import OrderedDict, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from published_implementation import Published, seeded_weight
from torch import Tensor

COMPONENT_FILES = {
    "ecg_encoder": "ecg_multimodal.ckpt",
    "token_aggregator": "token_aggregator.ckpt",
    "ecg_alignment_global_token": "ecg_alignment_global_token.ckpt",
    "echo_encoder": "echo_multimodal.ckpt",
    "echo_projection_for_agg": "echo_projection_for_agg.ckpt",
    "echo_view_aggregator": "echo_view_aggregator.ckpt",
    "echo_alignment_global_token": "echo_alignment_global_token.ckpt",
}
CONFIGURATION = {
    "omegaconf.dictconfig": "DictConfig",
    "omegaconf.listconfig": "ListConfig",
    "omegaconf.base": "Metadata ContainerMetadata",
    "omegaconf.nodes": "AnyNode",
}
OTIS_EXTRAS = ("mask_token", "decoder_embed.weight", "decoder_pos_embed_x", "decoder_norm.bias", "norm.weight")

StateDict = dict[str, Tensor]


def save(content: object, file: Path) -> Path:
    torch.save(content, file)
    return file


def save_component(weights: StateDict, file: Path) -> Path:
    with configuration() as cfg:
        return save({"model": OrderedDict(weights), "cfg": cfg, "epoch": 49}, file)


def save_single_file(components: dict[str, StateDict], file: Path) -> Path:
    with configuration() as cfg:
        return save({**components, "cfg": cfg, "epoch": 49}, file)


def otis_content(encoder: StateDict, *, lead_rows: Tensor, offset: int = 4) -> dict[str, Any]:
    """An OTiS checkpoint: the encoder with a lead table over all domains, masked-autoencoder parts and optimiser."""
    parameter = torch.nn.Parameter(torch.zeros(2))
    parameter.grad = torch.ones(2)
    optimizer = torch.optim.AdamW([parameter], lr=1e-4)
    optimizer.step()
    extras = {name: torch.ones(3) for name in OTIS_EXTRAS}
    return {
        "model": OrderedDict({**encoder, "pos_embed_y.weight": lead_rows, **extras}),
        "optimizer": optimizer.state_dict(),
        "epoch": 99,
        "args": argparse.Namespace(model="vit_baseDeep_patchX", patch_size=(1, 24), lr=3e-4),
        "domains": OrderedDict([("audio", (1, 4, 1008)), ("ecg", (1, 12, 1008))]),
        "domain_offsets": {"audio": 0, "ecg": offset, "eeg": 16},
    }


def save_published_components(published: Published, folder: Path) -> None:
    """All seven components at the published sizes, with the weights that the stored numbers were made with."""
    folder.mkdir()
    for component, name in COMPONENT_FILES.items():
        save_component(published.weights(component), folder / name)


def seeded(module: torch.nn.Module, prefix: str = "") -> StateDict:
    """Weights for every parameter and buffer of a module, by name."""
    return {
        key: torch.from_numpy(seeded_weight(f"{prefix}{key}", tuple(w.shape))) for key, w in module.state_dict().items()
    }


@contextmanager
def configuration() -> Iterator[object]:
    """A configuration object, pickled by the names that hydra's are pickled by."""
    modules, classes = {}, {}
    for module_name, names in {"omegaconf": "", **CONFIGURATION}.items():
        modules[module_name] = types.ModuleType(module_name)
        for name in names.split():
            classes[name] = type(name, (), {"__module__": module_name})
            setattr(modules[module_name], name, classes[name])

    def made(kind: str, **state: object) -> object:
        instance = classes[kind]()
        instance.__dict__.update(state)
        return instance

    metadata = made("ContainerMetadata", ref_type=Any, object_type=dict, element_type=list, key_type=int)
    node = made("AnyNode", _val=42, _metadata=made("Metadata", resolver_cache=defaultdict(dict)))
    sizes = made("ListConfig", _content=[node], _metadata=metadata)
    sys.modules.update(modules)
    try:
        yield made("DictConfig", _content={"seed": node, "input_size": sizes}, _metadata=metadata, _parent=None)
    finally:
        for name in modules:
            del sys.modules[name]
