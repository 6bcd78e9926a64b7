"The report: everything is made at a tiny budget, and the paper is built only from what fits its results."
import json
import os
import re
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from sgan_nb.measuring.benchmark import read_all_results
from sgan_nb.measuring.fresh_draws import error_rows
from sgan_nb.measuring.results_table import with_spread
from sgan_nb.report import build
from sgan_nb.report.build import REPORT_FIGURES
from sgan_nb.report.experiments import CORE, SPINE
from sgan_nb.report.fresh_results import read_fresh
from sgan_nb.report.manifest import read_manifest, report_problems
from sgan_nb.report.tables import TABLES, write_tables
from sgan_nb.report.work import Work

ROOT = Path(__file__).resolve().parent.parent
REPORT = ROOT / "report"
MADE = ["report.tex", "results", "ablations", "evidence", "one_network", "wrong_modes", "pseudo_labels", "figures",
        "tables", "manifest.json"]
OF_OTHER_RUNS = {"label_counts", "fresh_mistakes", "ingredients", "wrong_modes"}  # Figures that no plan's runs make
HIDDEN = "import sys; sys.modules.update(dict.fromkeys(('IPython', 'fastcore', 'nbdev', 'execnb', 'jupyterlab')))"
PROGRAM = f"{HIDDEN}; import runpy; sys.argv = ['gpu_run.py']; runpy.run_path('report/gpu_run.py', run_name='__main__')"


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
    made = [f for kind in ("figures/*.pdf", "tables/*.tex") for f in REPORT.glob(kind)]
    assert {f.relative_to(REPORT).as_posix() for f in made} <= set(read_manifest(REPORT))


def test_every_figure_and_table_is_a_row():
    assert {f.stem for f in (REPORT / "figures").glob("*.pdf")} <= set(REPORT_FIGURES)
    assert {f.stem for f in (REPORT / "tables").glob("*.tex")} - {"numbers"} <= set(TABLES)


def test_the_whole_plan_draws_every_figure():
    notebook = json.loads((ROOT / "nbs/99_gpu_run.ipynb").read_text(encoding="utf-8"))
    source = "".join(line for cell in notebook["cells"] if cell["cell_type"] == "code" for line in cell["source"])
    assert sorted(re.findall(r'draw_figure\(work, "([\w-]+)"\)', source)) == sorted(REPORT_FIGURES)


def test_committed_tables_are_those_of_the_results(copy):
    write_tables(Work("none", copy / "runs", copy))
    for table in sorted((REPORT / "tables").glob("*.tex")):
        written = (copy / "tables" / table.name).read_text()
        assert written == table.read_text(), f"{table.name} is out of date: SGAN_PLAN=none make gpu"


def not_on_the_page(results):
    "Rows of `error_rows` that RESULTS.md has not or with other draws, mean or deviation."
    lines = (ROOT / "RESULTS.md").read_text(encoding="utf-8").splitlines()
    cells = [[cell.strip() for cell in line.split("|")[1:]] for line in lines if line.startswith("| [")]
    said = {(re.match(r"\[([^]]+)", method)[1], *place): (draws, error)
            for method, *place, _, _, draws, error in (row[:8] for row in cells)}
    wanted = {(r["method"], r["data"], f"{r['labels']} {r['strategy']}".removesuffix(" random"), str(r["seed"])):
              (str(r["runs"]), with_spread(r["error"], r["std"])) for r in error_rows(results)}
    return [row for row, text in wanted.items() if said.get(row) != text]


def test_results_page_is_that_of_the_fresh_draws():
    results = read_fresh(REPORT)
    assert all(abs(r["accuracy"] - 100 + 100 * r["errors"] / r["n"]) < 1e-6 for r in results)
    assert not_on_the_page(results) == [], "run make outputs NB=nbs/results.ipynb, then make book"
    last = results[-1]
    assert len(not_on_the_page([*results[:-1], last | {"errors": last["errors"] + 100}])) == 1


def test_deleted_result_is_named(copy):
    lost = sorted(copy.glob("results/mnist-100/sgan/draw-*/results.json"))[-1]
    lost.unlink()
    problems = report_problems(copy)
    missing = f"results/mnist-100/sgan/{lost.parent.name}/results.json is missing"
    assert problems and all(missing in line for line in problems)


def test_number_typed_by_hand_is_named(copy):
    paper = copy / "report.tex"
    text = paper.read_text().replace("\\section{Introduction}", "\\section{Introduction}\nWe reach 98.7\\%.")
    paper.write_text(text)
    assert [line.partition(":")[2].split()[0] for line in report_problems(copy)] == ["98.7"]


def test_every_number_of_the_text_has_a_result():
    "Keys outside of conditions; LaTeX stops at the others only when their branch is taken."
    tex = (REPORT / "report.tex").read_text().replace(r"\here{", r"\val{mnist-100/")
    both = r"\\val{difference/\1/\2/points}\\val{difference/\1/\2/interval}"
    tex = re.sub(r"\\points\{([^#}]+)\}\{([^}]+)\}", both, tex)
    keys = set(re.findall(r"\\val\{([^#}]+)\}", tex))
    conditions = {condition.partition("/")[0] for condition in re.findall(r"\\ifval\{([^}]+)\}", tex)}
    guarded = {key for key in keys if key.partition("/")[0] in conditions}
    defined = set(re.findall(r"\\defval\{([^}]+)\}", (REPORT / "tables/numbers.tex").read_text()))
    assert keys - defined <= guarded | {"mnist-100/best"}


LATEX = all(map(shutil.which, ("latexmk", "pdflatex", "bibtex")))


BUILD = ["latexmk", "-pdf", "-silent", "-halt-on-error", "report.tex"]


def build_paper(folder):
    "Build the paper in a copy; its references are there, its lines within the margins, its body on 6 to 10 pages."
    for name in "sgan_nips.sty", "references.bib":
        shutil.copy(REPORT / name, folder)
    subprocess.run(BUILD, cwd=folder, check=True, capture_output=True)
    log = (folder / "report.log").read_text(errors="replace")
    assert "undefined" not in log
    assert not [points for points in re.findall(r"Overfull \\hbox \((\d+)\.", log) if int(points) > 2]
    pages = int(re.search(r"\\newlabel\{end\}\{\{[^}]*\}\{(\d+)\}", (folder / "report.aux").read_text())[1])
    assert 6 <= pages <= 10


@pytest.mark.skipif(not LATEX, reason="LaTeX is not installed")
def test_paper_builds_with_fewer_fresh_draws(copy):
    "Two draws of each method; and what is guarded by a condition is left out without its runs."
    for method in (copy / "evidence/mnist-100").iterdir():
        if method.name not in SPINE: shutil.rmtree(method)
    for draw in (copy / "evidence/mnist-100").glob("*/draw-*"):
        if draw.name not in ("draw-3", "draw-4"): shutil.rmtree(draw)
    for folder in (copy / "evidence").glob("folder-*"): shutil.rmtree(folder)
    shutil.rmtree(copy / "one_network/mnist-100")
    write_tables(Work("none", copy / "runs", copy))
    build_paper(copy)
    numbers = (copy / "tables/numbers.tex").read_text()
    assert r"\defval{fresh/mnist-100/sgan/n}{2}" in numbers and "sgan-graph-16/" not in numbers


@pytest.mark.skipif(not LATEX, reason="LaTeX is not installed")
def test_paper_builds_and_stops_at_an_unknown_number(copy):
    build_paper(copy)
    numbers = copy / "tables/numbers.tex"
    numbers.write_text(re.sub(r"\\defval\{mnist-100/sgan/error\}.*\n", "", numbers.read_text()))
    failed = subprocess.run(BUILD, cwd=copy, capture_output=True)
    assert failed.returncode
    assert "no result gives mnist-100/sgan/error" in (copy / "report.log").read_text(errors="replace")


# The evidence, bit by bit

def test_evidence_goes_on_where_it_stopped(copy, monkeypatch, capsys):
    "Committed records count as finished runs; what came before a stop is kept; the variants follow the first part."
    monkeypatch.syspath_prepend(str(REPORT))
    import evidence
    from sgan_nb.report import experiments, one_network
    asked, before = [], {f: f.read_bytes() for f in copy.rglob("draw-*/*")}
    runs = copy / "runs"

    def plan(name, out, n_parts=None):
        asked.append((name, out.name, n_parts))
        if n_parts is None: raise KeyboardInterrupt

    def variants(out, workers):
        asked.append(("variants", out.name, workers))
        source = next((runs / "evidence").glob("mnist-100/*/draw-*"))
        shutil.copytree(source, out / "mnist-100/made-up/draw-3")

    monkeypatch.setattr(evidence, "REPORT", copy)
    monkeypatch.setattr(evidence, "RUNS", runs)
    monkeypatch.setattr(experiments, "run_plan", plan)
    monkeypatch.setattr(one_network, "run_variants", variants)
    assert evidence.main().startswith("stopped")
    assert asked == [("evidence", "evidence", 1), ("variants", "one_network", 2), ("evidence", "evidence", None)]
    n, m = (len(list((copy / part).rglob("results.json"))) for part in evidence.PARTS)
    assert f"{n} finished runs are kept in report/evidence\n{m} finished runs are kept in" in capsys.readouterr().out
    assert (copy / "one_network/mnist-100/made-up/draw-3/results.json").is_file()
    assert before == {f: f.read_bytes() for f in before}


# The notebook as a script

def run_program(plan, folder):
    "Run the notebook as a script in a new interpreter, without the packages of notebooks."
    folders = {"SGAN_RUNS": str(folder / "runs"), "SGAN_REPORT": str(folder / "report")}
    return subprocess.run([sys.executable, "-c", PROGRAM], cwd=ROOT, env=os.environ | folders | {"SGAN_PLAN": plan},
                          capture_output=True, text=True)


@pytest.fixture
def run_here(monkeypatch):
    "The same in this process, with what its exit says; the circles are trained once, one epoch."
    def run(plan, runs, report):
        for name, value in ("PLAN", plan), ("RUNS", runs), ("REPORT", report):
            monkeypatch.setenv(f"SGAN_{name}", str(value))
        monkeypatch.chdir(ROOT)
        monkeypatch.setitem(sys.modules, "IPython.display", None)  # put back afterwards
        planes = build.train_planes(1)
        monkeypatch.setattr(build, "train_planes", lambda epochs, repeat: planes)
        with pytest.raises(SystemExit) as ended:
            runpy.run_path("report/gpu_run.py", run_name="__main__")
        return ended.value.code
    return run


def test_tiny_plan_makes_every_figure_and_table(tmp_path, run_here, capsys):
    "Without the packages of notebooks; a second time, with records but no weights, nothing is trained or lost."
    result = run_program("tiny", tmp_path)
    assert result.returncode == 0, result.stderr
    assert "hardware" in result.stdout.split("part 1")[0]
    made = tmp_path / "report"
    assert {f.stem for f in (made / "figures").glob("*.pdf")} == set(REPORT_FIGURES) - OF_OTHER_RUNS
    without = {"flagships", "fresh", "other_cases", "tests", "times"}
    assert {f.stem for f in (made / "tables").glob("*.tex")} == {*TABLES, "numbers"} - without
    results = read_all_results(made / "results")
    assert {r["draw"] for r in results if r["method"] in CORE} == {0, 1}
    assert all(r["environment"]["hardware"] for r in results)
    for figure in (made / "figures").glob("*.pdf"):
        assert re.search(rb"/Subject \(\d+ records?: ", figure.read_bytes()), figure.name
    assert run_here("none", tmp_path / "no-runs", made) is None
    out = capsys.readouterr().out
    assert "part 1" not in out
    assert "confusions: not drawn, its runs or their weights are not here, that of earlier runs stays" in out
    assert {f.stem for f in (made / "figures").glob("*.pdf")} == set(REPORT_FIGURES) - OF_OTHER_RUNS


def test_unknown_plan_is_one_line(tmp_path, run_here, capsys):
    "A text as exit code is printed to standard error, and the exit code is 1."
    known = "Known: tiny, cpu, evidence, gpu, none"
    said = run_here("gpus", tmp_path / "runs", tmp_path / "report")
    assert said == f"error: unknown plan 'gpus', did you mean 'gpu'? {known}"
    assert capsys.readouterr().err == ""
