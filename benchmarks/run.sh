#!/usr/bin/env bash
# Alula beside its peers on this machine: accuracy of int8 against f32, then latency and memory in interleaved rounds, then pictures.
# Writes benchmarks/results/*.json, *.md and *.svg, and prints Markdown tables. Python is used for the peers only.
#
#   benchmarks/run.sh [--rounds 6] [--runs 15]
#
# MSW-Transformer follows with ONNX Runtime and OpenVINO on the graph that Alula exports.
#
# ALULA_BENCH_MODELS lists the models; by default all six, which takes an hour the first time, half of it to make and quantize them.
# ALULA_BENCH_PYTHON names a Python that has benchmarks/peers/requirements.txt; by default a virtual environment is made (about 3 GB).
# ALULA_BENCH_FOLDER is where the models are kept (about 4 GB).
set -euo pipefail
cd "$(dirname "$0")/.."
python=${ALULA_BENCH_PYTHON:-.venv-bench/bin/python}
folder=${ALULA_BENCH_FOLDER:-benchmarks/models}
models=${ALULA_BENCH_MODELS:-efficientformer_l1 efficientformer_l3 efficientformer_l7 edgevit_xxs edgevit_xs edgevit_s}
peers=benchmarks/peers
generator=../shared/fixtures/make
photos=../shared/data/imagenet-sample
for path in "$generator" "$photos"; do
    if [ ! -d "$path" ]; then
        echo "SKIPPED benchmarks against peers: $path is missing"
        exit 0
    fi
done
if [ ! -x "$python" ]; then
    python3 -m venv .venv-bench
    .venv-bench/bin/pip install -q --no-deps -r $peers/requirements.txt
fi
names=()
for model in $models; do
    name=${model}_seed0
    names+=("$name")
    if [ ! -f "$folder/$name/model_ts17_static.onnx" ]; then
        PYTHONPATH=$generator "$python" "$generator/full_size.py" "$folder" "$model" --no-tf
    fi
    if [ ! -f "$folder/peers/$name/report.json" ]; then
        "$python" $peers/quantize.py --models-dir "$folder" --photos "$photos" --model "$name"
    fi
done
"$python" $peers/sqnr.py --models-dir "$folder" --photos "$photos" --models "${names[@]}" --alula .build/release/alula
for name in "${names[@]}"; do
    "$python" $peers/bench.py --models-dir "$folder" --photos "$photos" --model "$name" --alula .build/release/alula "$@"
done
"$python" $peers/msw.py --models-dir "$folder" --alula .build/release/alula "$@"
"$python" $peers/plot.py
