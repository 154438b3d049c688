"""What was found: rows, comparisons and curves, and the run folder that keeps them."""

from artv_eval.results.rows import BadFile, Comparison, Curve, Flaw, Results, Row

__all__ = ["BadFile", "Comparison", "Curve", "Flaw", "Results", "Row"]
