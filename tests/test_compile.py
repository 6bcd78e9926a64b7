"Compiled networks compute what plain ones compute."
import shutil
from dataclasses import replace

import pytest
import torch
from torch.testing import assert_close

from sgan_nb.config import METHODS
from sgan_nb.data import load_data
from sgan_nb.state import start
from sgan_nb.steps import draw_batches, one_step

SMALL = dict(data="digits", discriminator="mlp-small", generator="mlp-small", device="cpu", precision="float32", batch_size=20, labeled_batch_size=10,
             input_noise=0.0, hidden_noise=0.0)


def losses(config, n=3):
    state = start(config, load_data("digits"))
    return [one_step(state, batch) for batch in draw_batches(state, n)]


@pytest.mark.skipif(not shutil.which("g++"), reason="torch.compile needs a C++ compiler on a CPU")
def test_compiled_steps_have_the_losses_of_plain_ones():
    plain = replace(METHODS["improved-gan"], **SMALL)
    compiled = replace(plain, compile=True)
    for a, b in zip(losses(plain), losses(compiled)): assert_close(a, b, atol=1e-4, rtol=1e-3)


def test_no_compiler_is_one_line(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(ValueError, match="install g\\+\\+"): start(replace(METHODS["improved-gan"], **SMALL, compile=True), load_data("digits"))
