PYTHON ?= python3
VENV = PATH="$(CURDIR)/.venv/bin:$$PATH"
TEXLIVE = texlive-latex-base texlive-latex-recommended texlive-fonts-recommended
CORES := $(shell getconf _NPROCESSORS_ONLN 2>/dev/null || echo 1)
GENERATED = nbs sgan_nb report README.md RESULTS.md GUIDE.md pyproject.toml

# Python keeps what it compiles, or each process that the tests start compiles all of torch anew
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help install run gpu results evidence report test check house export outputs book docs lab

help: ## list the targets
	@sed -n 's/^\([a-z]*\):.*## /  make \1\t/p' Makefile

install: .venv/.installed ## create .venv with the package and its development tools

.venv/.installed: settings.ini setup.py
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.x")'
	@$(PYTHON) -m venv .venv || { echo "No virtual environment: on Debian and Ubuntu, apt-get install python3-venv" >&2; exit 1; }
	.venv/bin/python -m pip install --quiet uv
	.venv/bin/uv pip install --python .venv/bin/python -e ".[dev]"
	@touch $@

run: install ## compare a plain classifier with a semi-supervised GAN on 100 labels
	$(VENV) sgan_benchmark --methods baseline sgan-graph-14 --data auto --labels 100 --draws 0 --figures --out runs

gpu: ## train what the report shows (SGAN_PLAN=gpu, cpu, tiny or none), then write its figures, tables and numbers
	$(VENV) "$$(command -v .venv/bin/python || command -v $(PYTHON))" report/gpu_run.py

results: evidence ## run on a CPU what is missing on fresh draws, then redo draws 0 to 2: days, and about ten hours
	SGAN_PLAN=cpu $(MAKE) --no-print-directory gpu

evidence: install ## run what is missing of the frozen settings on fresh draws; stop it and go on at any time
	$(VENV) python report/evidence.py

report: ## build report/report_neurips.pdf from the committed results
	@command -v latexmk >/dev/null && command -v pdflatex >/dev/null && kpsewhich natbib.sty mathptmx.sty microtype.sty >/dev/null || \
	{ echo "LaTeX is missing: on Debian and Ubuntu, apt-get install latexmk $(TEXLIVE)" >&2; exit 1; }
	$(PYTHON) report/check.py
	cd report && SOURCE_DATE_EPOCH=0 latexmk -pdf -silent -halt-on-error -jobname=report_neurips report.tex || { grep -A3 '^!' report_neurips.log >&2; exit 1; }

# One thread per worker: workers that share cores slow each other down tenfold
test: install ## run every notebook, then the tests, on all cores
	$(VENV) OMP_NUM_THREADS=1 OMP_WAIT_POLICY=passive nbdev_test --n_workers $(CORES) --timing
	$(VENV) pytest -q -n $(CORES) --dist worksteal --durations 10 tests

check: install ## fail if the generated files are out of date, or ruff finds a mistake
	@saved=$$(mktemp -d) && trap 'rm -rf "$$saved"' EXIT && cp -r $(GENERATED) "$$saved" && \
	$(MAKE) --no-print-directory export book && \
	for path in $(GENERATED); do diff -rq -x __pycache__ -x .ipynb_checkpoints "$$saved/$$path" $$path || stale=1; done && \
	test -z "$$stale" || { echo "Generated files were out of date and have been renewed: review and commit them" >&2; exit 1; }
	$(VENV) ruff check

house: install ## print the figures of the house: long lines, long functions, missing comments, by notebook
	$(VENV) python tests/house.py

export: install ## write the package from the notebooks and clean the notebooks
	$(VENV) nbdev_export
	$(VENV) nbdev_clean

outputs: install ## run notebooks (NB="nbs/00_data.ipynb"; default all) and store their outputs
	$(VENV) python report/run_notebooks.py $(NB)

book: install ## write the links to the next notebook, the tables of notebooks, README.md, RESULTS.md and GUIDE.md
	$(VENV) python report/book.py

docs: .venv/.docs-installed ## build the notebooks and the API reference as a site: _docs/site/index.html
	$(VENV) python report/docs.py

.venv/.docs-installed: .venv/.installed
	.venv/bin/uv pip install --python .venv/bin/python -e ".[docs]"
	@touch $@

lab: install ## open the notebooks
	$(VENV) jupyter lab nbs
