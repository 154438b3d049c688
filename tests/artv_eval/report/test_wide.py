"""One row a cell: what is marked, and the same table in a terminal, in Markdown and in LaTeX that compiles."""

import shutil
import subprocess
from dataclasses import replace

import pytest
from made import pair, results, row

from artv_eval.report.latex import latex, tex
from artv_eval.report.markdown import markdown
from artv_eval.report.terminal import table
from artv_eval.report.wide import wide

HOSTILE = ("[x]", "*", "a & b_c #1 50% $\\frac{1", "<img src=x onerror=alert(1)>", "\\input{/etc/passwd}", "~^{}|\"'",
           "line\nbreak", "\x1b[31mred")  # fmt: skip


def four():
    values = {"a": 2.0, "b": 1.0, "c": 1.05, "d": 5.0}
    rows = [row(cell, "fvd", value, ablation="x") for cell, value in values.items()]
    common = {"ablation": "x", "a": "a"}
    pairs = [pair("fvd", 1.0, 0.2, b="b", **common), pair("fvd", 0.95, 0.2, b="c", **common),
             pair("fvd", -3.0, 0.2, b="d", **common)]  # fmt: skip
    return [*rows, row("real", "fvd", 0.1, ablation="x", sanity=True)], pairs


def test_the_best_and_what_is_not_told_from_it_are_marked():
    shown = wide(*four())
    marks = {line.cell: line.entries[0].mark for line in shown.lines}
    assert marks == {"a": "", "b": "best", "c": "alike", "d": "", "real": ""}
    assert [line.cell for line in shown.lines if line.entries[0].second] == ["c"]
    assert [line.cell for line in shown.lines if line.entries[0].differs] == ["b", "c", "d"]
    assert shown.lines[-1].sanity


def test_a_value_of_fewer_clips_is_neither_best_nor_compared_with_it():
    rows, pairs = four()
    fewer = [replace(one, n=19) if one.cell == "b" else one for one in rows]
    entries = {line.cell: line.entries[0] for line in wide(fewer, pairs).lines}
    assert {cell: entry.mark for cell, entry in entries.items()} == {"a": "", "b": "", "c": "best", "d": "", "real": ""}
    assert entries["b"].differs and entries["b"].text == "1.00 ± 0.10" and entries["a"].second
    alone = [replace(one, n=19) if one.cell != "a" else one for one in rows]  # best of one is no best
    assert {line.entries[0].mark for line in wide(alone, pairs).lines} == {""}


def test_a_value_of_fewer_clips_than_its_line_says_so():
    """In every table: one column of counts cannot say it of each metric."""
    rows = [row(cell, "fvd", 1.0, n=12) for cell in ("a", "b")]
    rows += [row("a", "position_error", 2.0, n=8), row("b", "position_error", 3.0, n=4)]
    assert [[entry.text for entry in line.entries] for line in wide(rows, []).lines] == [
        ["1.00 ± 0.10", "2.00 ± 0.10 (n 8)"],
        ["1.00 ± 0.10", "3.00 ± 0.10 (n 4)"],
    ]
    made = results(rows)
    assert "3.00 ± 0.10 (n 4)" in table()(made) and "3.00 ± 0.10 (n 4)" in markdown()(made)
    assert "($n = 4$)" in latex()(made)


def test_a_metric_without_a_direction_has_no_best():
    rows = [row(cell, "motion", value, better=None) for cell, value in (("a", 1.0), ("b", 2.0))]
    assert {line.entries[0].mark for line in wide(rows, []).lines} == {""}


def test_the_terminal_says_the_finding_first_and_wraps_many_metrics(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    rows = [row(cell, f"metric{i}", 1.0 + i) for i in range(9) for cell in ("mask=on", "mask=off")]
    said = table()(results(rows, [pair("metric0", 0.0, 1.0)]))
    lines = said.splitlines()
    assert lines[0].startswith("mask: no metric tells mask=on from mask=off")
    assert max(map(len, lines)) <= 80
    assert all(f"metric{i} ↓" in said for i in range(9))
    assert said.count("mask=on ") >= 3  # once in each piece of the table


def test_markdown_has_a_row_a_cell():
    said = markdown()(results(*four()))
    assert "| b | **1.00 ± 0.10** | 20 |" in said and "| c | 1.05 ± 0.10 ≈ | 20 |" in said


def test_latex_marks_and_names_its_packages():
    said = latex()(results(*four()))
    assert r"{b} & {$\mathbf{1.00}^{*}_{\scriptscriptstyle [0.90, 1.10]}$} & {20} \\" in said
    assert r"\underline{1.05}" in said and "booktabs,graphicx" in said.splitlines()[0]
    assert said.index(r"\midrule", said.index("{d}")) < said.index("{real}")  # sanity rows below a line


def test_latex_marks_what_has_a_caveat_and_says_which():
    rows, (first, *others) = four()
    said = latex()(results(rows, [replace(first, caveat="few pairs"), *others]))
    assert r"\mathbf{1.00}^{*\dagger}_" in said and said.count(r"\dagger") == 2
    assert said.endswith("% $^{\\dagger}$: few pairs\n")


@pytest.mark.parametrize("cells", [1, 5, 40])
def test_latex_compiles(cells, tmp_path):
    if shutil.which("pdflatex") is None:
        pytest.skip("no LaTeX here (Debian: texlive-latex-recommended)")
    names = [*HOSTILE, *(f"cell={i}" for i in range(cells))][: max(cells, len(HOSTILE))]
    rows = [
        row(name, metric, 1.0 + i, ablation="$&") for i, name in enumerate(names) for metric in ("fvd", "a_b", "x^2")
    ]
    (tmp_path / "t.tex").write_text(
        "\\documentclass[twocolumn]{article}\\usepackage{booktabs,graphicx}\\usepackage[T1]{fontenc}\\begin{document}\n"
        "\\begin{table}\\centering\n" + latex()(results(rows)) + "\\end{table}\\end{document}\n", encoding="utf-8",
    )  # fmt: skip
    ran = subprocess.run(["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "t.tex"], cwd=tmp_path,
                         capture_output=True, text=True, errors="replace", timeout=60)  # fmt: skip
    assert ran.returncode == 0, ran.stdout[-800:]
    assert "Overfull \\hbox" not in ran.stdout


def test_no_name_ends_a_comment_of_latex():
    said = latex()(results([row("c", "fvd", 1.0, ablation="x\n\\input{/etc/passwd}")]))
    assert not [line for line in said.splitlines() if line.startswith("\\input")]
    assert tex("a\nb") == "a b"
