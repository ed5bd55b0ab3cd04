#!/usr/bin/env bash
# Tries the Slurm path for real: a coordinator, two workers, a sweep of eight short jobs. Leaves nothing running.
#
#   GRADSWEEP=/path/to/gradsweep deploy/test-slurm.sh [sbatch flags, such as --partition=debug]
#
# Start it from a folder on a file system that the nodes and this machine share. It waits for as long as the queue does.
set -euo pipefail

scripts=$(cd "$(dirname "$0")/slurm" && pwd)
export GRADSWEEP=${GRADSWEEP:-gradsweep}
GRADSWEEP_DIR=$(mktemp -d "$PWD/gradsweep-test-XXXXXX")
export GRADSWEEP_DIR GRADSWEEP_CONNECTION=$GRADSWEEP_DIR/connection.json
cd "$GRADSWEEP_DIR"

cat >sweep.toml <<'SWEEP'
name = "slurm-test"
[axes]
"model.width" = [8, 16]
seed = { start = 0, count = 4 }
[model]
kind = "mlp"
depth = 1
[data]
kind = "sphere"
samples = 64
dim = 16
[train]
loss = "squared"
steps = 20000
step_size = 0.05
[measure]
at = { log = 5 }
confusion = [{ scope = "samples", count = 64 }]
SWEEP

coordinator=$(sbatch --parsable --job-name=gradsweep-test --time=10 --mem=500M "$@" "$scripts/coordinator.sbatch")
trap 'scancel "$coordinator" ${workers-}' EXIT
workers=$(sbatch --parsable --array=0-1 --cpus-per-task=1 --mem-per-cpu=500M --time=10 "$@" "$scripts/workers.sbatch")

echo "waiting for job $coordinator to write $GRADSWEEP_CONNECTION"
until [[ -s $GRADSWEEP_CONNECTION ]]; do
    [[ $(squeue --noheader --jobs "$coordinator") ]] || { cat ./*.log; exit 1; }
    sleep 1
done
"$GRADSWEEP" submit sweep.toml --watch
segments=$(find results/jobs -name '*.parquet' | wc -l)
echo "$segments Parquet file(s) of jobs below $GRADSWEEP_DIR/results; delete $GRADSWEEP_DIR when you have looked"
((segments > 0))
