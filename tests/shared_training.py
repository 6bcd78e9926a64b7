"Train a few configurations, alone or by torchrun, and keep the losses of every step: a script for test_distributed.py."
import hashlib
import sys
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import torch

from sgan_nb import training
from sgan_nb.data import load_data
from sgan_nb.methods.methods import METHODS
from sgan_nb.runs import step_losses
from sgan_nb.runs.data_parallel import join_processes

QUIET = dict(data="digits", device="cpu", precision="float32", input_noise=0.0, hidden_noise=0.0, dropout=0.0,
             augmentation="none", epochs=2, epsilon=1e-2)  # at 1e-8 Adam blows up rounding errors
STILL = QUIET | dict(augmentation="affine", augmentation_strength=0.0)
CASES = {  # equal in any number of processes: random are only batches and latent vectors, and those are alike
    "sgan": replace(METHODS["sgan"], **QUIET, epoch_steps=15),
    "pull-away": replace(METHODS["improved-gan"].with_terms("pull-away=0.1"), **QUIET, learning_rate=3e-4,
                         generator_learning_rate=3e-4, epoch_steps=5),
    "batch-norm": replace(METHODS["petrova"], **QUIET | {"discriminator": "deep-cnn", "epoch_steps": 3}),
    "annealed": replace(METHODS["uda"], **STILL | {"batch_size": 40, "labeled_batch_size": 20, "epoch_steps": 3},
                        annealing="log", confidence=0.0, learning_rate=1e-4),
    "propagation": replace(METHODS["sgan-propagation"], **QUIET | {"epochs": 1, "epoch_steps": 5},
                           propagation_start=0.0),
}
REAL = replace(METHODS["sgan"], data="digits", device="cpu", epochs=8)
WHOLE = replace(METHODS["sgan"], data="digits", device="cpu", epochs=10, epoch_steps=4)


def record(config, data):
    "Losses of all steps, weights and accuracy."
    rows, one_step = [], training.one_step

    def kept(*arguments):
        rows.append(one_step(*arguments))
        return rows[-1]

    with patch.object(training, "one_step", kept):
        state = training.train(config, data, progress=False)
    weights = {f"{name} {key}": hashlib.sha256(tensor.numpy().tobytes()).hexdigest()
               for name, network in state.networks.items() for key, tensor in network.state_dict().items()}
    return dict(losses={name: torch.stack([row[name] for row in rows]) for name in rows[0]}, weights=weights,
                accuracy=state.results["accuracy"], processes=state.environment["processes"],
                hardware=state.environment["hardware"])


def main(folder):
    group, data = join_processes("cpu"), load_data("digits")
    results = {"real": record(REAL, data)}
    for name, config in CASES.items():
        latent = torch.Generator().manual_seed(0)

        def alike(processes, rng, seed, epoch):
            return torch.Generator().manual_seed(epoch)

        def shared(n, size, rng, source=latent):
            return group.share(torch.rand(n * group.count, size, generator=source), 0)

        with ExitStack() as stack:
            stack.enter_context(patch.object(training, "epoch_rng", alike))
            stack.enter_context(patch.object(step_losses, "sample_latent", shared))
            results[name] = record(config, data)
    if group.count == 2:
        training.train(WHOLE, data, folder / "whole", progress=False)
    torch.save(results, folder / f"{group.count}-{group.rank}.pt")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
