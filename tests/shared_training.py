"Train a few configurations, alone or started by torchrun, and keep the losses of every step: a script for test_distributed.py."
import hashlib
import sys
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import torch

from sgan_nb import steps, training
from sgan_nb.config import METHODS
from sgan_nb.data import load_data
from sgan_nb.processes import join_processes

QUIET = dict(data="digits", device="cpu", precision="float32", input_noise=0.0, hidden_noise=0.0, dropout=0.0, augmentation="none", epochs=2,
             epsilon=1e-2)  # with the usual 1e-8 Adam blows rounding errors up: a hundredfold every few steps
STILL = QUIET | dict(augmentation="affine", augmentation_strength=0.0)
CASES = {  # equal in any number of processes: nothing is random but batches and latent vectors, and those are alike
    "sgan": replace(METHODS["sgan"], **QUIET, epoch_steps=15),
    "pull-away": replace(METHODS["improved-gan"], **QUIET, pull_away_weight=0.1, learning_rate=3e-4, generator_learning_rate=3e-4, epoch_steps=5),
    "batch-norm": replace(METHODS["petrova"], **QUIET | {"discriminator": "deep-cnn", "epoch_steps": 3}),
    "annealed": replace(METHODS["uda"], **STILL | {"batch_size": 40, "labeled_batch_size": 20, "epoch_steps": 3}, annealing="log", confidence=0.0, learning_rate=1e-4),
    "simultaneous": replace(METHODS["sgan"], **QUIET, simultaneous=True, epoch_steps=15),
    "propagation": replace(METHODS["sgan-propagation"], **QUIET | {"epochs": 1, "epoch_steps": 5}, propagation_start=0.0),
}
REAL = replace(METHODS["sgan"], data="digits", device="cpu", epochs=8)
WHOLE = replace(METHODS["sgan"], data="digits", device="cpu", epochs=40, epoch_steps=4)


def record(config, data):
    "Losses of all steps, weights and accuracy."
    rows, one_step = [], steps.one_step

    def kept(*arguments):
        rows.append(one_step(*arguments))
        return rows[-1]

    with patch.object(training, "one_step", kept):
        state = training.train(config, data, progress=False)
    weights = {f"{name} {key}": hashlib.sha256(tensor.numpy().tobytes()).hexdigest() for name in ("discriminator", "average", "generator") if getattr(state, name) is not None
               for key, tensor in getattr(state, name).state_dict().items()}
    return dict(losses={name: torch.stack([row[name] for row in rows]) for name in rows[0]}, weights=weights,
                accuracy=state.results["accuracy"], processes=state.environment["processes"], hardware=state.environment["hardware"])


def main(folder):
    group, data = join_processes("cpu"), load_data("digits")
    results = {"real": record(REAL, data)}
    for name, config in CASES.items():
        latent = torch.Generator().manual_seed(0)
        with ExitStack() as stack:
            stack.enter_context(patch.object(steps, "batch_rng", lambda processes, rng, seed, epoch: torch.Generator().manual_seed(epoch)))
            stack.enter_context(patch.object(steps, "sample_latent", lambda n, size, rng: group.share(torch.rand(n * group.count, size, generator=latent), 0)))
            results[name] = record(config, data)
    if group.count == 2:
        training.train(WHOLE, data, folder / "whole", progress=False)
    torch.save(results, folder / f"{group.count}-{group.rank}.pt")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
