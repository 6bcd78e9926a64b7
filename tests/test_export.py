"Every discriminator and generator as files for other programs; exports without data or packages, on a full disk."
import shutil
from dataclasses import replace

import numpy as np
import onnxruntime
import pytest
import torch
from PIL import Image
from started import Started

from sgan_nb.data import load_data, normalize
from sgan_nb.generator import GENERATORS
from sgan_nb.methods.methods import METHODS
from sgan_nb.methods.networks import DISCRIMINATORS
from sgan_nb.methods.settings import TrainConfig
from sgan_nb.runs.trained_model import classify, load_run
from sgan_nb.training import train
from sgan_nb.use.commands import export_command
from sgan_nb.use.export import FORMATS, export_run

PAIRS = {"baseline": "none", "conv": "conv", "strided": "conv-small", "mlp": "mlp", "conv-128": "none",
         "residual": "none", "strided-wide": "conv-small", "simple-cnn": "none",
         "deep-cnn": "conv-small", "resnet18": "dcgan", "mlp-small": "mlp-small"}
NOISY = dict(input_noise=0.3, hidden_noise=0.5, dropout=0.3, augmentation="none", epochs=1, epoch_steps=3, device="cpu")


def test_every_network_is_tested():
    assert set(PAIRS) == set(DISCRIMINATORS)
    assert set(PAIRS.values()) == {*GENERATORS, "none"}


@pytest.mark.parametrize("discriminator", PAIRS)
def test_network_exports(discriminator, tmp_path):
    small = discriminator == "mlp-small"
    data = load_data("circles" if small else "digits")
    alone = {"terms": "supervised=1"} if PAIRS[discriminator] == "none" else {}
    config = TrainConfig(
        data=data.name, n_labels=8 if small else 50, discriminator=discriminator, generator=PAIRS[discriminator],
        unsupervised="logsumexp" if discriminator in ("mlp", "conv-128") else "softmax", **alone, **NOISY)
    train(config, data, tmp_path / "run", progress=False)
    rows = export_run(tmp_path / "run", ["onnx"], tmp_path / "out")
    assert len(rows) == 1 + (config.generator != "none")
    session = onnxruntime.InferenceSession(tmp_path / "out/classifier.onnx")
    names = [output.name for output in session.get_outputs()]
    p_fake = [] if config.generator == "none" else ["p_fake"]
    assert names == ["probabilities", *p_fake, "features"]
    images = data.test_images[:3]
    found = dict(zip(names, session.run(None, {"images": normalize(images).numpy()})))
    for i, row in enumerate(classify(load_run(tmp_path / "run"), images)):
        np.testing.assert_allclose(found["probabilities"][i], list(row["probabilities"].values()), rtol=0, atol=1e-5)
        if config.generator != "none":
            assert abs(found["p_fake"][i] - row["p_fake"]) < 1e-5


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    "A run on pictures that are gone afterwards."
    folder = tmp_path_factory.mktemp("gone")
    rng = np.random.default_rng(0)
    for name in "a b", "c|d":
        (folder / "pictures" / name).mkdir(parents=True)
        for i in range(10):
            pixels = rng.integers(0, 256, (16, 16, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / "pictures" / name / f"{i}.png")
    config = replace(METHODS["sgan"], data=f"folder:{folder / 'pictures'}", image_size=16, n_labels=4, batch_size=4,
                     labeled_batch_size=4, epochs=1, epoch_steps=2, device="cpu")
    train(config, folder=folder / "run", progress=False)
    shutil.rmtree(folder / "pictures")
    return folder / "run"


def test_without_data_the_card_leaves_out_what_needs_it(run, tmp_path, capsys):
    assert export_command([str(run), "--to", "torch-export", "--out", str(tmp_path)]) == 0
    assert "1,000 random images" in capsys.readouterr().out
    card = (tmp_path / "README.md").read_text()
    assert "There was no test set" in card and "not on disk" not in card
    assert "imagefolder" in card.split("---")[1]
    classifier = torch.export.load(tmp_path / "classifier.pt2").module()
    assert classifier(torch.zeros(5, 3, 16, 16))["probabilities"].shape == (5, 2)


def test_older_export_is_replaced_and_other_files_are_kept(run, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    for _ in range(2):
        weights = str(next(run.glob("best_discriminator*")))
        assert export_command([weights, "--to", "safetensors", "--out", str(tmp_path)]) == 0
    assert {path.name for path in tmp_path.iterdir()} == {"README.md", "model.safetensors", "notes.txt"}
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_unfinished_run_is_refused(run, tmp_path, capsys):
    shutil.copytree(run, tmp_path / "run")
    (tmp_path / "run/results.json").unlink()
    assert export_command([str(tmp_path / "run")]) == 1
    assert capsys.readouterr().err.count("\n") == 1
    assert not (tmp_path / "run/export").exists()


def test_missing_packages_are_one_line(run, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("sgan_nb.use.export.find_spec", lambda name: None if name == "onnxscript" else name)
    assert export_command([str(run), "--out", str(tmp_path / "out")]) == 1
    assert capsys.readouterr().err == 'error: exporting needs onnxscript: pip install "sgan_nb[export]"\n'
    assert not (tmp_path / "out").exists()


def test_full_disk_keeps_the_older_export(run, tmp_path):
    "A file size limit below that of the weights makes their write fail as on a full disk."
    assert export_command([str(run), "--to", "safetensors", "--out", str(tmp_path)]) == 0
    before = (tmp_path / "model.safetensors").read_bytes()
    assert len(before) > 1_024_000
    export = Started(export_command, [run, "--out", tmp_path, "--to", *FORMATS], largest=1_024_000)
    _, err = export.communicate()
    assert export.returncode == 1
    assert err.startswith("error: ") and err.count("\n") == 1, err
    assert (tmp_path / "model.safetensors").read_bytes() == before
    assert not list(tmp_path.glob("*.part"))
