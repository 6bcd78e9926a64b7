"What may not be imported: slow libraries by what trains and predicts, PyTorch by what answers --help."
import ast
import configparser
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
HEAVY = ["matplotlib", "seaborn", "sklearn", "scipy", "uvicorn", "fastapi", "onnx", "torchvision"]
SLOW = ["torch", "numpy", "PIL", *HEAVY]
LIGHT = ["methods.settings", "methods.methods", "use.options", "use.commands", "use.train_command",
         "use.predict_commands", "use.measuring_commands", "use.labelling_command"]


def console_scripts():
    "Module and function by the name of the command, from settings.ini."
    settings = configparser.ConfigParser(delimiters=["="])
    settings.read(ROOT / "settings.ini", encoding="utf-8")
    lines = settings["DEFAULT"]["console_scripts"].split()
    return {name: place.split(":") for name, place in (line.split("=") for line in lines)}


COMMANDS = console_scripts()


def imported(code, names):
    "Which of the libraries a program has imported when it ends, and what it wrote to standard error."
    report = f"lambda: print('IMPORTED', *(n for n in {names} if n in sys.modules))"
    program = f"import atexit, sys\natexit.register({report})\n{code}"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    return result.stdout.rpartition("IMPORTED")[2].split(), result.stderr


def first_to_import(pieces, names):
    "Of pieces of code by name, run one after the other: those after which a library is there that was not before."
    report = f"n for n in {names} if n in sys.modules"
    lines = [f"{code}\nprint('AFTER', {name!r}, *({report}), flush=True)" for name, code in pieces.items()]
    result = subprocess.run([sys.executable, "-c", "\n".join(["import sys", *lines])], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    after = [line.split()[1:] for line in result.stdout.splitlines() if line.startswith("AFTER ")]
    assert [name for name, *_ in after] == list(pieces)
    before = [[], *(libraries for _, *libraries in after)]
    return {name: new for (name, *found), old in zip(after, before) if (new := set(found) - set(old))}


def test_what_is_not_to_be_imported_is_installed_and_would_be_seen():
    assert [name for name in SLOW if find_spec(name) is None] == []
    assert imported("import numpy", SLOW)[0] == ["numpy"]
    assert first_to_import({"a": "import ast", "b": "import numpy", "c": "import re"}, SLOW) == {"b": {"numpy"}}


def test_training_and_prediction_import_nothing_heavy():
    code = "import torch, sgan_nb.training, sgan_nb.runs.trained_model, sgan_nb.use.picture_input"
    assert imported(code, [*HEAVY, "torch"])[0] == ["torch"]


def test_settings_and_commands_import_no_torch():
    assert first_to_import({module: f"import sgan_nb.{module}" for module in LIGHT}, SLOW) == {}


def test_help_imports_nothing_slow():
    calls = {}
    for name, (module, function) in COMMANDS.items():
        assert module in [f"sgan_nb.{light}" for light in LIGHT]
        calls[name] = (f"from {module} import {function}; sys.argv = [{name!r}, '--help']\n"
                       f"try: {function}()\nexcept SystemExit as e: assert not e.code")
    assert first_to_import(calls, SLOW) == {}


@pytest.mark.parametrize("options, text", [("--beta1 2", "beta1 must be"), ("--method sgam", "did you mean 'sgan'"),
                                           ("--terms consistency=much", "cannot read the term")])
def test_a_mistyped_setting_is_told_before_anything_slow(options, text):
    call = f"train_command('--out run {options}'.split())"
    code = f"import sys; from sgan_nb.use.train_command import train_command; assert {call} == 1; sys.stderr.flush()"
    found, error = imported(code, SLOW)
    assert found == [] and text in error and error.count("\n") == 1


def test_predicting_a_picture_imports_nothing_heavy_but_what_labels_its_strokes(tmp_path):
    from PIL import Image, ImageDraw
    picture = Image.new("L", (28, 28))
    ImageDraw.Draw(picture).line((14, 4, 14, 24), 255, 3)
    picture.save(tmp_path / "one.png")
    arguments = [str(ROOT / "sgan_nb" / "pretrained"), str(tmp_path / "one.png"), "--json"]
    code = f"from sgan_nb.use.predict_commands import predict_command; assert predict_command({arguments}) == 0"
    assert imported(code, [*HEAVY, "torch"])[0] == ["scipy", "torch"]


def test_modules_of_commands_import_what_is_slow_inside_functions():
    for module in LIGHT:
        path = ROOT / "sgan_nb" / f"{module.replace('.', '/')}.py"
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if not isinstance(node, ast.Import | ast.ImportFrom): continue
            names = [getattr(node, "module", None) or "", *(alias.name for alias in node.names)]
            assert not {name.split(".")[0] for name in names} & set(SLOW), f"{module}, line {node.lineno}"
