"""Measured figures: one file a row of docs/performance.md; ratios, never only times."""
