#!/bin/sh
# Repeats the training of models/demo on one GPU with 16 CPU cores and 64 GB of disk, in about 50 minutes.
# Usage: tools/demo_model/train_all.sh FOLDER    (run from the repository's root; all seeds are fixed)
# models/demo/README.md says how far the shipped weights got: they had much less time than this gives.
set -eu
work=${1:?a folder for pictures and weights}
run="python3 -m tools.demo_model"
data="--data $work/first $work/more"

$run.make_tokenizers --out "$work/tokenizers"
$run.draw_dataset --out "$work/ink" --count 3000 --seed 3 --style ink
$run.draw_dataset --out "$work/first" --count 12000 --seed 1
$run.draw_dataset --out "$work/more" --count 50000 --seed 2
$run.train_judge --data "$work/more" --out tools/demo_model/judge.safetensors --minutes 2.5
$run.train_vae --data "$work/first" "$work/ink" --out "$work/vae" --minutes 9 --sharpen-minutes 6 --pictures 15000
$run.train_flow $data --vae "$work/vae" --tokenizers "$work/tokenizers" --out "$work/flow" \
    --minutes 24 --distil-minutes 3 --small 3
$run.train_lora --data "$work/ink" --vae "$work/vae" --tokenizers "$work/tokenizers" \
    --network "$work/flow/network.safetensors" --out "$work/ink.safetensors" --minutes 2
$run.export --network "$work/flow/network.safetensors" --vae "$work/vae/vae.safetensors" \
    --tokenizers "$work/tokenizers" --lora "$work/ink.safetensors"
$run.evaluate --captions 500
