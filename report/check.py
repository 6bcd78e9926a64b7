"Exit with one line per figure, table or number of the report that does not fit its results."
import sys
from pathlib import Path

REPORT = Path(__file__).resolve().parent
sys.path.insert(0, str(REPORT.parent))

from sgan_nb.report.manifest import report_problems

problems = report_problems(REPORT)
print("\n".join(problems), file=sys.stderr, end="\n" if problems else "")
sys.exit(bool(problems))
