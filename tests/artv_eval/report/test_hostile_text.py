"""Names that mean something to a terminal, a spreadsheet, LaTeX, a plot or a browser are text in all of them."""

import csv
import html.parser
import io
import json
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest
from made import pair, row

from artv_eval.plugins.manager import PluginManager
from artv_eval.plugins.recipe import build, recipe
from artv_eval.report.html import page
from artv_eval.report.pareto import Trade
from artv_eval.report.plots import curves_over_frames, forest, quality_against_cost, svg
from artv_eval.results.per_clip import as_csv, read_csv
from artv_eval.results.rows import ClipValues, Curve, Results

HOSTILE = {
    "terminal: title": "\x1b]0;owned\x07",
    "terminal: colour": "\x1b[31mred\x1b[0m",
    "terminal: C1": "\x9b2J",
    "terminal: direction": "abc\u202egnp.exe",
    "rich markup": "[bold]x[/bold] [/nothing]",
    "csv: formula": "=HYPERLINK(1)",
    "csv: formula after a space": " +1+1",
    "csv: quotes and lines": 'a",b\n"c',
    "latex: input": "x\n\\input{/etc/passwd}",
    "latex: optional": "[1em]",
    "latex: star": "*",
    "latex: signs": "<>|\"&%#_^~$\\",
    "mathematics": r"$\frac{1$",
    "two dollars": "a$b$c^{",
    "html": "<script>alert(1)</script><img src=x onerror=alert(1)>",
    "html: ends the script": "</script><!--",
    "json: line separators": "\u2028\u2029",
    "no UTF-8": "\udcff",
}  # fmt: skip


def results_named(name):
    rows = [row("plain", "fvd", 1.0), row(name, "fvd", 2.0), row(name, "seconds", 1.0), row("plain", "seconds", 3.0)]
    return Results(
        run=None,
        rows=rows,
        comparisons=[pair("fvd", -1.0, 0.5, a="plain", b=name)],
        curves=[Curve(ablation="mask", cell=name, metric="fvd", values=(1.0, 2.0))],
        notes=[f"a note on {name}"],
    )


def rendered(reporter, name):
    manager = PluginManager()
    return build(manager, recipe(manager, "reporters", reporter))(results_named(name))


def controls(text):
    return [c for c in text if not c.isprintable() and c != "\n"]


hostile = pytest.mark.parametrize("name", HOSTILE.values(), ids=HOSTILE)


@hostile
@pytest.mark.parametrize("reporter", ["table", "long", "markdown", "latex", "csv", "csv-comparisons", "json"])
def test_nothing_that_a_terminal_obeys_is_printed(reporter, name):
    text = rendered(reporter, name)
    assert not controls(text) and "1.0" in text
    text.encode("utf-8")


@hostile
def test_a_spreadsheet_computes_nothing_and_a_row_stays_a_row(name, tmp_path):
    for reporter, lines in (("csv", 4), ("csv-comparisons", 1)):
        cells = [*csv.reader(io.StringIO(rendered(reporter, name)), strict=True)]
        assert len(cells) == lines + 1 and len({len(line) for line in cells}) == 1
        texts = [cell for line in cells for cell in line if not re.fullmatch(r"-?[\d.e-]+", cell)]
        assert not [cell for cell in texts if cell.lstrip()[:1] in tuple("=+-@")]
    (tmp_path / "v.csv").write_text(
        as_csv([ClipValues(ablation=None, cell=name, metric="m", values={0: -0.5})]), encoding="utf-8"
    )
    (read,) = read_csv(tmp_path / "v.csv")
    assert read.values == {0: -0.5} and (read.cell == name or not name.isprintable())


@hostile
def test_a_latex_table_has_its_columns_and_runs_no_command_of_a_name(name):
    body = rendered("latex", name)
    for line in (line for line in body.splitlines() if line.endswith(r" \\")):
        assert len(re.findall(r"(?<!\\)&", line)) == 3  # cell, fvd, seconds, n
        assert re.match(r"[{\\$]", line)  # never [ or *, which the line before would take
    ours = {"textbackslash", "textasciitilde", "textasciicircum", "textless", "textgreater", "textquotedbl", "textbar"}
    names = [cell.split("&")[0] for cell in body.splitlines() if cell.startswith("{") and cell.endswith(r" \\")]
    assert {command for cell in names for command in re.findall(r"\\([a-z]+)", cell)} <= ours


@hostile
def test_plots_show_names_as_they_are(name):
    found = results_named(name)
    quality, cost = found.rows[:2], [found.rows[3], found.rows[2]]
    trade = Trade(ablation="mask", metric="fvd", cost=cost, quality=quality, front=[name])
    drawings = (curves_over_frames(found.curves), forest(found.rows, found.comparisons), quality_against_cost(trade))
    for picture in map(svg, drawings):
        drawn = "".join(ElementTree.fromstring(picture).itertext())
        letters = "".join(c for c in name if c.isprintable() and not c.isspace())[:20]
        assert letters in "".join(drawn.split())


class Tags(html.parser.HTMLParser):
    """Elements of a page, with their attributes."""

    def __init__(self, text):
        super().__init__()
        self.found = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))


@hostile
def test_a_page_has_the_elements_that_it_has_with_a_harmless_name(name):
    def elements(text):
        return [tag for tag, _ in Tags(text).found if tag in ("script", "img", "iframe", "object", "link", "a")]

    text = page(results_named(name))
    assert elements(text) == elements(page(results_named("harmless")))
    assert not [tag for tag, attributes in Tags(text).found for key in attributes if key.startswith("on")]


def test_json_is_the_document_that_a_run_keeps(toy):
    toy("--ablation", "noise", "--out", "run")
    kept = json.loads(Path("run/results.json").read_text(encoding="utf-8"))
    shown = json.loads(toy("--ablation", "noise", "--out", "run", "--format", "json").out)
    of_the_file = {name: kept[name] for name in ("sha256", "of", "per_clip_sha256")}
    assert shown | of_the_file == kept
    lines = list(csv.DictReader(io.StringIO(Path("run/comparisons.csv").read_text(encoding="utf-8"))))
    assert [(line["a"], float(line["difference"])) for line in lines] == [
        (item["a"], item["difference"]) for item in kept["comparisons"]
    ]
