"""What probes are fitted on: rows of one split that belong together."""

from types import SimpleNamespace

import numpy as np
import torch

from cohorts import derive_pairs, labels_and_flags, open_cohort, pairs_of_split
from ground.findings import SHD_FLAGS
from inputs.ecg.prepare import ecg_windows
from inputs.specs import EcgSpec
from models.bundle import EcgOutput
from models.device import Machine
from models.ecg_shape import describe_windows
from training.data.cohort_arrays import prepared_signals
from training.probes.data import probe_data

SPEC = EcgSpec()


def embed(windows_BWLN):
    """Three features that tell whose ECG it is."""
    features = windows_BWLN[:, 0, :3, 100]
    return EcgOutput(features, features, None, None)


def test_features_labels_flags_patients_and_shape_go_row_by_row(cohort_dir, tmp_path):
    cohort = open_cohort(cohort_dir).tables
    pairs = pairs_of_split(derive_pairs(cohort), cohort, "val")
    signals, _ = prepared_signals(cohort, pairs["ecg_id"], SPEC, tmp_path, Machine.named("cpu", workers=0))
    gone = pairs["ecg_id"].iloc[0]
    signals = {name: signal for name, signal in signals.items() if name != gone}
    bundle = SimpleNamespace(manifest=SimpleNamespace(ecg=SPEC, gives=lambda use: True), probes=None, embed_ecgs=embed)

    data = probe_data(bundle, labels_and_flags(cohort), pairs, signals)

    assert len(data.patients) == len(pairs) - 1
    assert set(data.flags) == set(SHD_FLAGS)
    for row, patient in enumerate(data.patients):
        study = cohort.studies.set_index("patient_id").loc[patient]
        windows = ecg_windows(signals[f"e-{patient}"], SPEC)
        assert data.lvef_percent_N[row] == study["lvef_percent"]
        assert data.flags["lvef_lte_45_flag"][row] == data.shd_N[row] == (study["lvef_percent"] <= 45)
        assert np.array_equal(data.features_NF[row], windows[0, :3, 100])
        alone = describe_windows(torch.from_numpy(windows)[None], SPEC)
        assert all(torch.equal(all_[row], one[0]) for all_, one in zip(data.shape, alone, strict=True))
