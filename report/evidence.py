"""Run what is missing of the evidence plan and keep its records: `make evidence`, again and again.

Frozen settings on draws 3 to 12, most important cells first, two workers of one thread. What is finished is skipped,
what was interrupted continues from its last epoch.
"""
import os
import shutil
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
RECORDS = ROOT / "report/evidence"
RUNS = Path(os.environ.get("SGAN_EVIDENCE", ROOT / "runs/evidence"))


def put_records_back():
    "Place the committed records where their runs were, so that these count as finished."
    for record in sorted(path.parent for path in RECORDS.rglob("results.json")):
        run = RUNS / record.relative_to(RECORDS)
        if not run.exists(): shutil.copytree(record, run)


def main():
    from sgan_nb.report.experiments import collect_results, run_plan
    status = None
    put_records_back()
    try: run_plan("evidence", RUNS)
    except KeyboardInterrupt: status = "stopped: finished epochs are kept, the same command continues"
    except (ValueError, OSError, FloatingPointError) as e: status = f"error: {' '.join(str(e).split())}"
    print(f"{collect_results(RUNS, RECORDS)} finished runs are kept in report/evidence")
    return status


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    sys.exit(main())
