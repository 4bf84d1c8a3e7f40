"""Other people's models, as programs of their own: trained and judged by the same code as ours."""
