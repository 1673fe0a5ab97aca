"""Tables as text."""


def text_table(rows, align="<>"):
    """Rows of cells as lines, each column as wide as its widest cell. align: "<" for a column that begins at the left,
    ">" for one that ends at the right; the last counts for all that follow."""
    rows = [[str(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    sides = align.ljust(len(widths), align[-1])
    forms = [f"{side}{width}" for side, width in zip(sides, widths, strict=False)]
    return "\n".join("  ".join(map(format, row, forms)).rstrip() for row in rows)
