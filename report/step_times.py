"""Time a step of every method whose runs the report has, as results/step_times.json: `python report/step_times.py`.

One thread, on a machine that does nothing else; a few minutes. Needs MNIST.
"""
import sys
from pathlib import Path

REPORT = Path(__file__).resolve().parent
sys.path.insert(0, str(REPORT.parent))

from sgan_nb.report.settings_tables import read_configs
from sgan_nb.report.work import Work
from sgan_nb.runs.devices import environment, use_device
from sgan_nb.runs.run_folder import save_json
from sgan_nb.runs.threads import use_threads
from sgan_nb.speed.step_cost import budget_milliseconds


def main():
    work, ms = Work("none", REPORT.parent / "runs/results", REPORT), {}
    with use_threads(1):
        for method, saved in read_configs(work.main + work.fresh).items():
            ms[method] = budget_milliseconds(saved["config"])
            print(f"{method}: {ms[method]:.1f} ms a step", flush=True)
        hardware = environment(use_device("auto"))["hardware"]
    save_json(REPORT / "results/step_times.json", {"hardware": hardware, "ms": ms})


if __name__ == "__main__": main()
