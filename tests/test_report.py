"The report: everything is made at a tiny budget, and the paper is built only from what fits its results."
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from sgan_nb.benchmark import read_results
from sgan_nb.manifest import read_manifest, report_problems
from sgan_nb.plans import CORE
from sgan_nb.work import Work, write_tables

ROOT = Path(__file__).resolve().parent.parent
REPORT = ROOT / "report"
MADE = ["report.tex", "results", "ablations", "figures", "tables", "manifest.json"]
HIDDEN = "import sys; sys.modules.update(dict.fromkeys(('IPython', 'fastcore', 'nbdev', 'execnb', 'jupyterlab')))"


@pytest.fixture
def copy(tmp_path):
    "A copy of what the paper is built from."
    for name in MADE:
        source = REPORT / name
        shutil.copytree(source, tmp_path / name) if source.is_dir() else shutil.copy(source, tmp_path / name)
    return tmp_path


# The committed files

def test_committed_files_fit_their_results():
    assert report_problems(REPORT) == []
    assert {f.relative_to(REPORT).as_posix() for kind in ("figures/*.pdf", "tables/*.tex") for f in REPORT.glob(kind)} <= set(read_manifest(REPORT))


def test_committed_tables_are_those_of_the_results(copy):
    write_tables(Work("none", copy / "runs", copy))
    for table in sorted((REPORT / "tables").glob("*.tex")):
        assert (copy / "tables" / table.name).read_text() == table.read_text(), f"{table.name} is out of date: SGAN_PLAN=none make gpu"


def test_deleted_result_is_named(copy):
    lost = sorted(copy.glob("results/mnist-100/sgan/draw-*/results.json"))[-1]
    lost.unlink()
    problems = report_problems(copy)
    assert problems and all(f"results/mnist-100/sgan/{lost.parent.name}/results.json is missing" in line for line in problems)


def test_number_typed_by_hand_is_named(copy):
    paper = copy / "report.tex"
    paper.write_text(paper.read_text().replace("\\section{Introduction}", "\\section{Introduction}\nWe reach 98.7\\%."))
    assert [line.partition(":")[2].split()[0] for line in report_problems(copy)] == ["98.7"]


def test_every_number_of_the_text_has_a_result():
    "Keys outside of conditions; LaTeX stops at the others only when their branch is taken."
    tex = (REPORT / "report.tex").read_text().replace(r"\here{", r"\val{mnist-100/")
    keys = set(re.findall(r"\\val\{([^#}]+)\}", tex))
    guarded = {key for key in keys if any(key.rpartition("/")[0].partition("/")[0] == g.partition("/")[0] for g in re.findall(r"\\ifval\{([^}]+)\}", tex))}
    defined = set(re.findall(r"\\defval\{([^}]+)\}", (REPORT / "tables/numbers.tex").read_text()))
    assert keys - defined <= guarded | {"mnist-100/best"}


@pytest.mark.skipif(not all(map(shutil.which, ("latexmk", "pdflatex", "bibtex"))), reason="LaTeX is not installed")
def test_paper_builds_and_stops_at_an_unknown_number(copy):
    for name in "sgan_nips.sty", "references.bib":
        shutil.copy(REPORT / name, copy)
    build = ["latexmk", "-pdf", "-silent", "-halt-on-error", "report.tex"]
    subprocess.run(build, cwd=copy, check=True, capture_output=True)
    log = (copy / "report.log").read_text(errors="replace")
    assert "undefined" not in log and not [pt for pt in re.findall(r"Overfull \\hbox \((\d+)\.", log) if int(pt) > 2]
    pages = int(re.search(r"\\newlabel\{end\}\{\{[^}]*\}\{(\d+)\}", (copy / "report.aux").read_text())[1])
    assert 6 <= pages <= 10
    numbers = copy / "tables/numbers.tex"
    numbers.write_text(re.sub(r"\\defval\{mnist-100/sgan/result\}.*\n", "", numbers.read_text()))
    failed = subprocess.run(build, cwd=copy, capture_output=True)
    assert failed.returncode and "no result gives mnist-100/sgan/result" in (copy / "report.log").read_text(errors="replace")


# The notebook as a script

def test_tiny_plan_makes_every_figure_and_table(tmp_path):
    "Without the packages of notebooks; a second time nothing is trained."
    script = f"{HIDDEN}; import runpy; sys.argv = ['gpu_run.py']; runpy.run_path('report/gpu_run.py', run_name='__main__')"
    environment = {**os.environ, "SGAN_PLAN": "tiny", "SGAN_RUNS": str(tmp_path / "runs"), "SGAN_REPORT": str(tmp_path / "report")}
    result = subprocess.run([sys.executable, "-c", script], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert "hardware" in result.stdout.split("part 1")[0]
    made, committed = tmp_path / "report", {f.name.replace("sgan-uda", "best") for f in (REPORT / "figures").glob("*.pdf")}
    best = Work("none", tmp_path / "runs", made).best
    assert committed - {"learning-best.pdf"} <= {f.name for f in (made / "figures").glob("*.pdf")}
    assert (made / f"figures/learning-{best}.pdf").is_file() and (made / "figures/strategies.pdf").is_file()
    assert {f.name for f in (REPORT / "tables").glob("*.tex")} | {"cases.tex"} == {f.name for f in (made / "tables").glob("*.tex")}
    results = read_results(made / "results")
    assert {r["draw"] for r in results if r["method"] in CORE} == {0, 1} and all(r["environment"]["hardware"] for r in results)
    for figure in (made / "figures").glob("*.pdf"):
        assert re.search(rb"/Subject \(\d+ runs? on ", figure.read_bytes()), figure.name
    again = subprocess.run([sys.executable, "-c", script], cwd=ROOT, env=environment | {"SGAN_PLAN": "none"}, capture_output=True, text=True)
    assert again.returncode == 0 and "part 1" not in again.stdout


def test_unknown_plan_is_one_line(tmp_path):
    environment = {**os.environ, "SGAN_PLAN": "gpus", "SGAN_RUNS": str(tmp_path), "SGAN_REPORT": str(tmp_path)}
    result = subprocess.run([sys.executable, "report/gpu_run.py"], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert result.returncode == 1 and result.stderr.splitlines() == ["error: unknown plan 'gpus', did you mean 'gpu'? Known: tiny, cpu, gpu, none"]
