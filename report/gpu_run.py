"""Run the cells of nbs/99_gpu_run.ipynb without Jupyter.

It trains what SGAN_PLAN says and writes the figures and tables of the report.
"""
import json
import sys
import types
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = {  # module -> package, of what is imported on the way
    "torch": "torch", "torchvision": "torchvision", "matplotlib": "matplotlib", "seaborn": "seaborn",
    "sklearn": "scikit-learn", "tqdm": "tqdm", "filelock": "filelock", "platformdirs": "platformdirs",
    "tabulate": "tabulate", "mlxtend": "mlxtend", "faiss": "faiss-cpu"}


def show(*figures):
    "Stand in for IPython's display: figures are in files, text is printed."
    for figure in figures:
        if isinstance(figure, str):
            print(figure)


def cells():
    "Sources of the notebook's code cells, without IPython's own lines."
    notebook = json.loads((ROOT / "nbs/99_gpu_run.ipynb").read_text(encoding="utf-8"))
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            yield "".join(line for line in cell["source"] if not line.startswith("%"))


def main():
    missing = [package for module, package in PACKAGES.items() if find_spec(module) is None]
    if missing:
        return f"missing packages: pip install {' '.join(missing)}"
    import torch
    sys.modules["IPython.display"] = types.ModuleType("IPython.display")
    sys.modules["IPython.display"].display = show
    names = {"__name__": "__main__"}
    try:
        for source in cells():
            exec(compile(source, "99_gpu_run.ipynb", "exec"), names)
    except KeyboardInterrupt:
        return "stopped: finished epochs are kept, the same command continues"
    except (ValueError, OSError, FloatingPointError, torch.OutOfMemoryError) as e:
        return f"error: {' '.join(str(e).split())}"


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    sys.exit(main())
