"""Writes Markdown tables."""

from collections.abc import Sequence


def markdown_table(
    header: Sequence[str], rows: Sequence[Sequence[str]], text_columns: int | None = None
) -> list[str]:
    """Write the lines of a table.

    Args:
        header: Names of the columns.
        rows: Cells of each row.
        text_columns: How many columns from the left hold text; the others hold numbers and are
            aligned on the right. None treats all as text.
    """
    text = len(header) if text_columns is None else text_columns
    rule = ['---'] * text + ['--:'] * (len(header) - text)
    return ['| ' + ' | '.join(line) + ' |' for line in (header, rule, *rows)]
