"""Rows on which the backends differ, and why; whatever differs and is not here is a bug."""

DIFFERENCES: dict[str, str] = {}
