"""LaTeX: every value in its column, gaps, counts, and text that prints as it is."""

import re
from dataclasses import replace

import pytest
from made import pair, results, row

from artv_eval.report.latex import comment, latex, tabular, tex


def lines(said):
    """Rows of the tables as cells of LaTeX without the braces around them."""
    rows = [line.removesuffix(r" \\") for line in said.splitlines() if line.endswith(r" \\")]
    return [[cell[1:-1] for cell in line.split(" & ")] for line in rows]


def test_heads_values_gaps_and_counts():
    rows = [row("on", "fvd", 18.6, spread=2.0, seeds=4), row("off", "fvd", 26.4, spread=2.0, seeds=4),
            row("on", "a_b", 0.5, better=True), row("off", "a_b", None, better=True, status="failed: x")]  # fmt: skip
    assert lines(latex()(results(rows, [pair("fvd", -7.8, 3.2, a="on", b="off")]))) == [
        ["", r"fvd\,$\downarrow$", r"a\_b\,$\uparrow$", "$n$"],
        ["on", r"$\mathbf{18.6}_{\scriptscriptstyle [16.6, 20.6]}$", r"$0.50_{\scriptscriptstyle [0.40, 0.60]}$",
         r"$4 \times 20$"],
        ["off", r"$\underline{26.4}^{*}_{\scriptscriptstyle [24.4, 28.4]}$", "--", r"$4 \times 20$"],
    ]  # fmt: skip


def test_a_value_without_an_interval_has_no_subscript():
    bare = replace(row("on", "seconds", 1.25, better=None), ci_low=None, ci_high=None)
    assert lines(latex()(results([bare]))) == [["", "seconds", "$n$"], ["on", "$1.2$", "20"]]


def test_two_ablations_are_two_tables_with_their_protocols():
    said = latex()(results([row("a", "fvd", 1.0, ablation="x"), row("a", "fvd", 1.0, ablation="y%")]))
    assert said.count(r"\begin{tabular}{lrr}") == said.count(r"\end{tabular}}") == 2
    assert "% x; protocol toy@1 abc" in said and "% y%; protocol toy@1 abc" in said


def test_columns_of_text_come_first():
    assert tabular(["a", "b", "c"], [], left=2)[1] == r"\begin{tabular}{llr}"


@pytest.mark.parametrize(
    ("text", "printed"),
    [
        ("mask=on", "mask=on"),
        ("50 % & #1 $x$ {y} a_b", r"50 \% \& \#1 \$x\$ \{y\} a\_b"),
        ("\\", r"\textbackslash{}"),  # in one pass: its braces are not escaped again
        ("x^2~y", r"x\textasciicircum{}2\textasciitilde{}y"),
        ('<a|"b">', r"\textless{}a\textbar{}\textquotedbl{}b\textquotedbl{}\textgreater{}"),
        ("a\tb\x00c", "a b c"),
    ],
)
def test_text_is_printed_as_it_is(text, printed):
    assert tex(text) == printed


def test_a_comment_is_one_line():
    assert comment("a\nb\r\\input{x}\u2028c") == r"% a b \input{x} c"
    assert not re.search(r"[\r\n\u2028]", comment("a\r\n\u2028"))
