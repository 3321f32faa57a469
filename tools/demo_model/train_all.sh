#!/bin/sh
# Repeats the training of models/demo: on one GPU with 16 CPU cores and 100 GB of disk in about 50 minutes,
# on four in about 25. Usage, from the repository's root: tools/demo_model/train_all.sh FOLDER
# Seeds are fixed; how far it gets depends on the machine. Each figure can be set, as in FLOW_MINUTES=10.
set -eu
work=${1:?a folder for pictures and weights}
cards=$(python3 -c 'import torch; print(torch.cuda.device_count())')
first=0; last=$((cards > 1 ? cards - 1 : 0))
python="python3 -m tools.demo_model"
# The last of several cards is for the judge, the others are for the flow.
flow_cards=$((cards > 2 ? cards - 1 : cards))
team() { # team CARDS PROGRAM ARGUMENTS…
    count=$1; shift
    if [ "$count" -gt 1 ]; then python3 -m torch.distributed.run --standalone --nproc-per-node "$count" -m "tools.demo_model.$@"
    else python3 -m "tools.demo_model.$@"; fi
}
more=${PICTURES:-45000} small=${SMALL_PICTURES:-90000} tokens=${TOKENS:-64000} workers=${WORKERS:-8}
model=${OUT_FOLDER:-models/demo}
mkdir -p "$work"

$python.make_tokenizers --out "$work/tokenizers"
if [ ! -f "$work/text.safetensors" ]; then
    $python.train_text --tokenizers "$work/tokenizers" --out "$work/text.safetensors" --minutes "${TEXT_MINUTES:-4}"
fi
$python.draw_dataset --out "$work/first" --count "${FIRST_PICTURES:-12000}" --seed 1
( nice $python.draw_dataset --out "$work/small" --count "$small" --seed 4 --only 256x256
  nice $python.draw_dataset --out "$work/more" --count "$more" --seed 2
  nice $python.draw_dataset --out "$work/ink" --count "${INK_PICTURES:-3000}" --seed 3 --style ink ) &
drawing=$!
# What the flow compiles is ready, then, when its turn comes.
if [ "$cards" -gt 0 ]; then
    CUDA_VISIBLE_DEVICES=$last nice $python.train_flow --only-warm-up --tokens "$tokens" &
fi
team "$cards" train_vae --data "$work/first" --out "$work/vae" --minutes "${VAE_MINUTES:-14}" ${VAE_ARGUMENTS:-}
wait $drawing

( export CUDA_VISIBLE_DEVICES=$last
  $python.train_judge --data "$work/more" --out "$work/judge.safetensors" --minutes "${JUDGE_MINUTES:-4}" ) &
beside=$!
team "$flow_cards" train_flow --data "$work/small" "$work/first" "$work/more" --vae "$work/vae" \
    --tokenizers "$work/tokenizers" --text "$work/text.safetensors" --out "$work/flow" --tokens "$tokens" \
    --workers "$workers" --minutes "${FLOW_MINUTES:-24}" --distil-minutes "${DISTIL_MINUTES:-2}" ${FLOW_ARGUMENTS:-}
wait $beside
CUDA_VISIBLE_DEVICES=$first $python.train_lora --data "$work/ink" --vae "$work/vae" --tokenizers "$work/tokenizers" \
    --network "$work/flow/network.safetensors" --out "$work/ink.safetensors" --workers "$workers" \
    --minutes "${LORA_MINUTES:-1}"
cp "$work/judge.safetensors" tools/demo_model/judge.safetensors
$python.export --network "$work/flow/network.safetensors" --vae "$work/vae/vae.safetensors" \
    --tokenizers "$work/tokenizers" --lora "$work/ink.safetensors" --out "$model"
$python.fit_preview --model "$model"
$python.evaluate --model "$model" --captions "${CAPTIONS:-500}"
