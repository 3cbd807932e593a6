"""Where a clip shows pictures passes from the child as it is, within limits, and nothing else does in its place."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from inputs.guarded.messages import pack_clip, unpack_clip
from inputs.records import EchoClip

CLIP = EchoClip(np.zeros((2, 3, 4, 3), np.uint8), 30.0, "dicom", regions=((0, 1, 2, 3), (-5, 0, 900, 4)))


def answered(**changes: Any) -> tuple[dict[str, Any], list[bytearray]]:
    header, blocks = pack_clip(CLIP)
    return json.loads(json.dumps(header | changes)), [bytearray(block) for block in blocks]


def test_regions_come_through():
    assert unpack_clip(answered()).regions == CLIP.regions


@pytest.mark.parametrize(
    "regions", [None, 3, ["abcd"], [[0, 1, 2]], [[0, 1, 2, 3.5]], [[0, 1, 2, True]], [[0, 0, 1, 1]] * 17]
)
def test_what_are_no_regions_is_refused(regions: Any):
    with pytest.raises(ValueError, match="no region"):
        unpack_clip(answered(regions=regions))
