#!/usr/bin/env bash
# Alula beside its peers on this machine: accuracy of int8 against f32, then latency and memory in interleaved rounds.
# Writes benchmarks/results/*.json and prints Markdown tables. Python is used for the peers only.
#
#   benchmarks/run.sh [--rounds 6] [--runs 15]
#
# ALULA_BENCH_PYTHON names a Python that has benchmarks/peers/requirements.txt; by default a virtual environment is made (about 3 GB).
set -euo pipefail
cd "$(dirname "$0")/.."
python=${ALULA_BENCH_PYTHON:-.venv-bench/bin/python}
models=${ALULA_BENCH_MODELS:-benchmarks/models}
generator=../shared/fixtures/make
photos=../shared/data/imagenet-sample
if [ ! -x "$python" ]; then
    python3 -m venv .venv-bench
    .venv-bench/bin/pip install -q --no-deps -r benchmarks/peers/requirements.txt
fi
for path in "$generator" "$photos"; do
    if [ ! -d "$path" ]; then
        echo "SKIPPED benchmarks against peers: $path is missing"
        exit 0
    fi
done
if [ ! -d "$models/efficientformer_l1_seed0" ]; then
    PYTHONPATH=$generator "$python" "$generator/full_size.py" "$models" efficientformer_l1 --no-tf
fi
if [ ! -d "$models/peers/efficientformer_l1_seed0" ]; then
    "$python" benchmarks/peers/quantize.py --models-dir "$models" --photos "$photos"
fi
"$python" benchmarks/peers/sqnr.py --models-dir "$models" --photos "$photos" --alula .build/release/alula
"$python" benchmarks/peers/bench.py --models-dir "$models" --photos "$photos" --alula .build/release/alula "$@"
