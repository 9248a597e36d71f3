"""A worker's part in a run whose workers share clusters, and what became of those."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytest_multinet.cluster.owner import Owner
from pytest_multinet.cluster.record import one_at_a_time
from pytest_multinet.cluster.stages import Stages
from pytest_multinet.errors import UsageError


@dataclass(frozen=True)
class Share:
    """Who shares.

    Attributes:
        run: the controller; what is shared lives as long as it.
        worker: this worker's name, such as ``gw3``.
        isolated: whether each worker has names of its own in what is shared.
    """

    run: Owner
    worker: str
    isolated: bool = True

    @property
    def number(self) -> int:
        """The worker's number: 3 for ``gw3``.

        Raises:
            UsageError: pytest-xdist was told to call it otherwise.
        """
        found = re.fullmatch(r"gw(\d+)", self.worker)
        if found is None:
            raise UsageError(
                f"the workers share a cluster, and one is called {self.worker!r}; expected gw0, "
                "gw1, ...: leave 'id=' out of --tx (--multinet-isolation=none does without names)"
            )
        return int(found[1])


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


def turn(
    root: Path, name: str, share: Share | None, stages: Stages, doing: str
) -> AbstractContextManager[None]:
    """Workers of one run make what they share one after the other."""
    if share is None:
        return nullcontext()

    def waiting(seconds: float) -> None:
        since = f" ({seconds:.0f} s)" if seconds >= 10 else ""
        stages.progress(f"waiting for another worker, which {doing} cluster {name}{since}")

    return one_at_a_time(root, name, waiting)
