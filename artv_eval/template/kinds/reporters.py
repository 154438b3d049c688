"""A reporter turns results into text for artv-eval's --format."""


def lines():
    """One line a value."""

    def render(results):
        return "".join(
            f"{row.cell} {row.metric} {row.value} [{row.ci_low}, {row.ci_high}] {row.protocol} {row.status}\n"
            for row in results.rows
        )

    return render
