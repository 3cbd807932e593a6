#!/usr/bin/env bash
# PTB-XL, from the folder that it was downloaded to, to a bundle that answers its five diagnostic superclasses.
#
#   examples/ptb_xl.sh DOWNLOAD OUT [BUNDLE]
#
# DOWNLOAD  the folder with ptbxl_database.csv, scp_statements.csv and records500; nothing is written there.
# OUT       a folder for all that is made. Run again, the script goes on where it stopped.
# BUNDLE    a bundle whose ECG encoder is used as it is, such as one of imported published weights. Without it an
#           encoder is trained on these ECGs, for which a GPU is wanted.
set -euo pipefail
download=$1 out=$2 encoder=${3:-}
mkdir -p "$out"

# Say what the folder holds as a cohort: folds 1 to 8 train, 9 val, 10 test; a yes/no column for each superclass.
[ -d "$out/cohort" ] || echo2ecg cohort import ptb-xl "$download" "$out/cohort"

# Look whether anything contradicts itself.
echo2ecg cohort check "$out/cohort"

# Where no bundle was named, let an ECG encoder learn to fill in hidden patches of the train patients' ECGs.
if [ -z "$encoder" ]; then
    encoder=$out/encoder
    [ -d "$encoder" ] || echo2ecg train "$out/cohort" --recipe "${RECIPE:-ecg_only}" --out "$encoder"
fi

# Fit a probe for each superclass to that encoder's features. PTB-XL knows no echo: no LVEF, no SHD, no index.
labels=(--label NORM --label MI --label STTC --label CD --label HYP)
[ -d "$out/bundle" ] || echo2ecg bundle fit "$encoder" "$out/cohort" --out "$out/bundle" "${labels[@]}"

# Measure them on the patients of fold 10, who taught nothing.
echo2ecg evaluate "$out/bundle" "$out/cohort" --split test --json "$out/test.json"

echo "Serve it with: echo2ecg serve --bundle $out/bundle"
