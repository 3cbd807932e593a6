"""What each lead has of a map."""

from outputs.patches import PatchWeight, lead_shares


def test_leads_share_the_sizes_whatever_their_sign():
    weights = [PatchWeight("I", 0.0, 0.1, 0.5), PatchWeight("V2", 0.0, 0.1, -1.0), PatchWeight("I", 0.1, 0.1, -0.5)]
    assert lead_shares([*weights, PatchWeight("V2", 0.1, 0.1, 1.0)]) == [("V2", 2 / 3), ("I", 1 / 3)]
    assert lead_shares([PatchWeight("I", 0.0, 0.1, 0.0)]) == []
