"""The paper's numbers, tables and figures, and their reproduction."""
