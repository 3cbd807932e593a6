#!/usr/bin/env bash
# EchoNext, from the folder that it was downloaded to, to a bundle that answers LVEF and structural heart disease.
#
#   examples/echonext.sh DOWNLOAD OUT [BUNDLE]
#
# DOWNLOAD  the folder with echonext_metadata_100k.csv and the EchoNext_*_waveforms.npy; nothing is written there.
# OUT       a folder for all that is made. Run again, the script goes on where it stopped.
# BUNDLE    a bundle whose ECG encoder is used as it is, such as one of imported published weights. Without it an
#           encoder is trained on these ECGs, for which a GPU is wanted.
#
# EchoNext's arrays have no unit. LEAD_SCALE=FILE names its authors' waveform_normalization_params.json, and
# LEAD_SCALE_UNIT what one of its numbers is (uV, mV, or of counts such as 4.88uV): the ECGs are millivolts then. A
# BUNDLE that was made from millivolts needs them; an encoder that is trained here does without.
set -euo pipefail
download=$1 out=$2 encoder=${3:-}
mkdir -p "$out"

# Say what the folder holds as a cohort: the four splits' rows, labels, what was left out. No array is copied.
scale=()
if [ -n "${LEAD_SCALE:-}" ]; then
    scale=(--lead-scale "$LEAD_SCALE" --lead-scale-unit "$LEAD_SCALE_UNIT")
fi
[ -d "$out/cohort" ] || echo2ecg cohort import echonext "$download" "$out/cohort" "${scale[@]}"

# Look whether anything contradicts itself, and how many ECGs with labels each split has.
echo2ecg cohort check "$out/cohort"

# Where no bundle was named, let an ECG encoder learn to fill in hidden patches of the train patients' ECGs.
if [ -z "$encoder" ]; then
    encoder=$out/encoder
    [ -d "$encoder" ] || echo2ecg train "$out/cohort" --recipe "${RECIPE:-ecg_only}" --out "$encoder"
fi

# Fit LVEF, SHD and its findings to that encoder's features; half of the val patients calibrate them.
[ -d "$out/bundle" ] || echo2ecg bundle fit "$encoder" "$out/cohort" --out "$out/bundle"

# Measure them on the test patients, who taught nothing.
echo2ecg evaluate "$out/bundle" "$out/cohort" --split test --json "$out/test.json"

# EchoNext has no clips, so there is no index to search. This answers ECGs with predictions:
echo "Serve it with: echo2ecg serve --bundle $out/bundle"
