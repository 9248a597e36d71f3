"""A worker's part in a run whose workers share clusters, and what became of those."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pytest_multinet.cluster.owner import Owner


@dataclass(frozen=True)
class Share:
    """Who shares.

    Attributes:
        run: the controller; what is shared lives as long as it.
        worker: this worker's number: 3 for ``gw3``.
        isolated: whether each worker has names of its own in what is shared.
    """

    run: Owner
    worker: int
    isolated: bool = True


@dataclass(frozen=True)
class Ended:
    """A shared cluster at the end of its run.

    Attributes:
        name: of the cluster.
        kept: what reaches it where it was kept, ``None``: it is gone.
        problem: why it could not be removed.
    """

    name: str
    kept: Mapping[str, Any] | None
    problem: str = ""
