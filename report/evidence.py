"""Run what is missing on fresh draws and keep its records: `make evidence`, again and again.

Frozen settings on draws 3 to 12, most important cells first, two workers of one thread: the first part of the
evidence plan, then the runs on one network, those whose mistakes are counted by kind (on a draw of the development)
and those whose pseudo-labels are counted, then the other parts. What is finished is skipped, what was interrupted
continues from its last epoch.
"""
import os
import shutil
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
REPORT = ROOT / "report"
RUNS = Path(os.environ.get("SGAN_EVIDENCE", ROOT / "runs"))  # Has a folder for each of PARTS
PARTS = "evidence", "one_network"
TARGETS = REPORT / "one_network/test_targets.npy"


def put_records_back(part):
    "Place the committed records of a part where their runs were, so that these count as finished."
    for record in sorted(path.parent for path in (REPORT / part).rglob("results.json")):
        run = RUNS / part / record.relative_to(REPORT / part)
        if not run.exists(): shutil.copytree(record, run)


def run_all():
    "Everything that is not there yet."
    from sgan_nb.report.experiments import run_plan
    from sgan_nb.report.one_network import run_variants
    from sgan_nb.report.pseudo_labels import follow_all
    from sgan_nb.report.wrong_modes import follow_modes
    run_plan("evidence", RUNS / "evidence", 1)
    run_variants(RUNS / "one_network", workers=int(os.environ.get("WORKERS", 2)))
    follow_modes(REPORT / "wrong_modes", [100])
    follow_all(REPORT / "pseudo_labels")
    run_plan("evidence", RUNS / "evidence")


def keep_targets():
    "Keep the classes of the test images, which the predictions in the records are compared with."
    import numpy as np
    from sgan_nb.data import load_data
    if TARGETS.is_file(): return
    TARGETS.parent.mkdir(parents=True, exist_ok=True)
    np.save(TARGETS, load_data("mnist").test_targets.numpy().astype(np.uint8))


def main():
    from sgan_nb.report.experiments import collect_results
    status = None
    for part in PARTS: put_records_back(part)
    try:
        keep_targets()
        run_all()
    except KeyboardInterrupt: status = "stopped: finished epochs are kept, the same command continues"
    except (ValueError, OSError, FloatingPointError) as e: status = f"error: {' '.join(str(e).split())}"
    for part in PARTS: print(f"{collect_results(RUNS / part, REPORT / part)} finished runs are kept in report/{part}")
    return status


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    sys.exit(main())
