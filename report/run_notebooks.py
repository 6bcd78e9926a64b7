"""Run notebooks from top to bottom, store what their cells draw and print: `make outputs NB=nbs/00_data.ipynb`.

Each runs in a process and in the folder of its own. Cells flagged `slow`, `gpu` or `notest` are not run and keep the
outputs they have. Pictures are stored with 128 to 256 colors. A notebook with a failing cell is left as it was.
"""
import argparse
import base64
import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
NOT_RUN = re.compile(r"(?m)^#\| *(slow|gpu|notest|eval: *false)\b")
FEWEST, MOST = 128, 256 # colors of a stored picture


def most_frequent(picture):
    "The picture with its 256 most frequent colors: thin lines of a plot keep theirs."
    pixels = np.asarray(picture).reshape(-1, 3)
    colors, counts = np.unique(pixels, axis=0, return_counts=True)
    palette = Image.new("P", (1, 1))
    palette.putpalette(colors[np.argsort(-counts, kind="stable")[:MOST]].astype(np.uint8).tobytes())
    return picture.quantize(MOST, palette=palette, dither=Image.Dither.NONE)


def error(picture, quantized):
    "Mean fourth power of the difference: one curve in a wrong color counts more than many small shifts."
    difference = np.asarray(picture, float) - np.asarray(quantized.convert("RGB"), float)
    return (difference ** 4).mean()


def encode(picture):
    "Bytes of a PNG file."
    file = io.BytesIO()
    picture.save(file, "PNG", optimize=True)
    return file.getvalue()


def shrink(png):
    "The smallest of: a PNG file as it is, written again, and with a palette of 128 to 256 colors."
    picture = Image.open(io.BytesIO(png))
    if "A" in picture.getbands():
        if picture.getchannel("A").getextrema()[0] < 255: return png
        picture = picture.convert("L" if picture.mode == "LA" else "RGB")
    versions = [png, encode(picture)]
    if picture.mode == "RGB" and len(picture.getcolors(picture.width * picture.height)) >= FEWEST:
        quantized = [most_frequent(picture), picture.quantize(MOST, kmeans=3, dither=Image.Dither.NONE)]
        enough = [version for version in quantized if len(version.getcolors()) >= FEWEST]
        if enough: versions.append(encode(min(enough, key=lambda version: error(picture, version))))
    return min(versions, key=len)


def stored(output):
    "An output as it is kept: pictures shrunk."
    data = output.get("data", {})
    if "image/png" in data:
        data["image/png"] = base64.b64encode(shrink(base64.b64decode(data["image/png"]))).decode()
    return output


def run_notebook(path):
    "Run the cells of a notebook in this process and write it; exits with the failing cell's number and error."
    from execnb.nbio import write_nb
    from execnb.shell import CaptureShell, format_exc
    from nbdev.clean import clean_nb
    notebook = json.loads(path.read_text(encoding="utf-8"))
    os.chdir(path.parent)
    sys.path[0] = str(path.parent)
    shell = CaptureShell(mpl_format="png")
    for number, cell in enumerate(notebook["cells"]):
        source = "".join(cell["source"])
        if cell["cell_type"] != "code" or NOT_RUN.search(source): continue
        outputs = shell.run(source, stderr=False) # progress bars and warnings are shown here, not stored
        if shell.exc:
            print("".join(format_exc(shell.exc)), file=sys.stderr)
            sys.exit(f"{path.relative_to(ROOT)}, cell {number}: {type(shell.exc).__name__}: {shell.exc}\n"
                     f"Nothing was written to this notebook.")
        cell["outputs"] = [stored(output) for output in outputs]
    clean_nb(notebook)
    write_nb(notebook, path)


def main():
    "Run one notebook here, or several one after the other, each in a process of its own; stop at the first failure."
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("notebooks", nargs="*", type=Path, help="default: all but nbs/99_gpu_run.ipynb")
    paths = [path.resolve() for path in parser.parse_args().notebooks]
    if not paths:
        paths = sorted(path for path in (ROOT / "nbs").rglob("*.ipynb")
                       if ".ipynb_checkpoints" not in path.parts and not path.name.startswith("99_"))
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    if len(paths) == 1: return run_notebook(paths[0])
    for path in paths:
        print(path.relative_to(ROOT), flush=True)
        if subprocess.run([sys.executable, __file__, str(path)]).returncode: sys.exit(1)


if __name__ == "__main__":
    main()
