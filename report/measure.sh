#!/usr/bin/env bash
# Makes the results committed in report/results, on a CPU: about ten hours on two cores. Finished runs are skipped.
# Cats vs dogs is measured only if CATS_VS_DOGS names a folder with one subfolder of pictures per class.
set -euo pipefail
out="${1:-runs/results}"

run() { sgan_benchmark --draws 0 1 2 --test-curve --workers "${WORKERS:-2}" --out "$out" "$@"; }

# Budgets that differ from a method's own are named: improved-gan and complement have 300 epochs, odena 10
for data in mnist fashion-mnist; do
    run --data "$data" --methods baseline augmented sgan sgan-plain sgan-uda
    run --data "$data" --methods petrova petrova-supervised
    run --data "$data" --methods uda uda-simple fixmatch
    run --data "$data" --methods improved-gan complement --epochs 20
    run --data "$data" --methods odena --epochs 5
done
run --data fashion-mnist --labels 1000 --methods augmented sgan
for strategy in random representative; do
    run --data mnist --methods augmented sgan --strategy "$strategy"
    if [ -n "${CATS_VS_DOGS:-}" ]; then
        run --data "folder:$CATS_VS_DOGS" --methods petrova petrova-supervised --augmentation flip-affine --strategy "$strategy"
    fi
done

# What is committed: numbers, not weights
(cd "$out" && for folder in */*/draw-*; do
    if [ -f "$folder/results.json" ]; then
        mkdir -p "$OLDPWD/report/results/$folder"
        cp "$folder"/{results,config,environment}.json "$folder/history.csv" "$OLDPWD/report/results/$folder/"
    fi
done)
