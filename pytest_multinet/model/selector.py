"""Label selectors (Kubernetes, ``kubectl -l``)."""

from __future__ import annotations

from collections.abc import Mapping


def selected(labels: Mapping[str, str], selector: str | Mapping[str, str] | None) -> bool:
    """Whether labels fulfil a selector: ``{"app": "x"}`` or ``app=x,tier!=y,has,!has-not``."""
    if not selector:
        return True
    if not isinstance(selector, str):
        return all(labels.get(k) == v for k, v in selector.items())
    for term in filter(None, (t.strip() for t in selector.split(","))):
        key, unequal, value = term.partition("!=")
        if not unequal:
            key, equal, value = term.replace("==", "=").partition("=")
            if not equal:
                if key.startswith("!") == (key.lstrip("!") in labels):
                    return False
                continue
        if (labels.get(key.strip()) == value.strip()) == bool(unequal):
            return False
    return True
