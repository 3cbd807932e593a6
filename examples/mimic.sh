#!/usr/bin/env bash
# MIMIC-IV-ECG and MIMIC-IV-ECHO, from the folders that they were downloaded to, to an index that can be served.
#
#   examples/mimic.sh ECG ECHO OUT [BUNDLE]
#
# ECG       the folder with record_list.csv; nothing is written there.
# ECHO      the folder with echo-record-list.csv, of 0.1 or of 1.x, whose structured-measurement.csv.gz has LVEF and
#           the findings; nothing is written there.
# OUT       a folder for all that is made. Run again, the script goes on where it stopped.
# BUNDLE    a bundle that is used as it is, such as one of imported published weights. Without it one is trained on
#           these pairs (RECIPE, by default paper), for which a GPU is wanted.
set -euo pipefail
ecg=$1 echo=$2 out=$3 bundle=${4:-}
mkdir -p "$out"

# Say what both folders hold as one cohort: ECGs, clips, studies with LVEF and findings. No file is copied.
roots=(--root "ecg=$ecg" --root "echo=$echo")
[ -d "$out/cohort" ] || echo2ecg cohort import mimic-iv "$ecg" "$out/cohort" "${roots[@]}"

# Look whether anything contradicts itself, how many ECGs have a study within days, and what training would leave out.
echo2ecg cohort check "$out/cohort"

# Where no bundle was named, train one on the pairs of the train patients.
if [ -z "$bundle" ]; then
    bundle=$out/bundle
    [ -d "$bundle" ] || echo2ecg train "$out/cohort" --recipe "${RECIPE:-paper}" --out "$bundle"
fi

# Embed every study. Stills among the clips are skipped and named; what is embedded already is not embedded again.
echo2ecg index rebuild --bundle "$bundle" --cohort "$out/cohort" --index "$out/index"

# Read back every byte of the index.
echo2ecg index verify --index "$out/index"

echo "Serve it with: echo2ecg serve --bundle $bundle --index $out/index"
