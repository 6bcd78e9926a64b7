"""Time a step of every method whose runs the report has, as results/step_times.json: `python report/step_times.py`.

With names of methods after it, only these; all others keep the time that they have.
One thread, on a core that does nothing else; some minutes. Needs MNIST, and for methods that were run on photographs
alone their folder as CATS_VS_DOGS; without it these keep the time that they have.
"""
import os
import sys
from dataclasses import replace
from pathlib import Path

REPORT = Path(__file__).resolve().parent
FILE = REPORT / "results/step_times.json"
sys.path.insert(0, str(REPORT.parent))

from sgan_nb.report.settings_tables import read_configs
from sgan_nb.report.tables import timed_runs
from sgan_nb.report.work import Work
from sgan_nb.runs.devices import environment, use_bfloat16, use_device
from sgan_nb.runs.run_folder import read_record, save_json
from sgan_nb.runs.threads import use_threads
from sgan_nb.speed.step_cost import budget_milliseconds


def main():
    work, folder = Work("none", REPORT.parent / "runs/results", REPORT), os.environ.get("CATS_VS_DOGS")
    kept = {"ms": {}, "environments": {}} | (read_record(FILE, "") if FILE.is_file() else {})
    device, named = use_device("auto"), sys.argv[1:]
    with use_threads(1):
        for method, saved in read_configs(timed_runs(work)).items():
            if named and method not in named: continue
            config, looks = saved["config"], {}
            if config.data.startswith("folder:"):
                if not folder: continue
                config, looks = replace(config, data=f"folder:{folder}"), dict(n=5, looks=2) # slow steps
            kept["ms"][method] = budget_milliseconds(config, **looks)
            kept["environments"][method] = environment(device) | {
                "precision": "bfloat16" if use_bfloat16(config.precision, device, saved["image_shape"]) else "float32"}
            print(f"{method}: {kept['ms'][method]:.1f} ms a step", flush=True)
            save_json(FILE, kept)


if __name__ == "__main__": main()
