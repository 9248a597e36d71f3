"""The user's folders for what outlives a run (XDG base directories 0.8)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path


def state_folder(environment: Mapping[str, str]) -> Path:
    """The folder for what runs leave behind; a relative ``XDG_STATE_HOME`` does not count."""
    return _below(environment.get("XDG_STATE_HOME"), ".local/state")


def cache_folder(environment: Mapping[str, str]) -> Path:
    """The folder for what can be had again; a relative ``XDG_CACHE_HOME`` does not count."""
    return _below(environment.get("XDG_CACHE_HOME"), ".cache")


def _below(given: str | None, usual: str) -> Path:
    base = Path(given or "")
    if not base.is_absolute():
        base = Path.home() / usual
    return base / "pytest-multinet"
