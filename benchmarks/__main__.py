"""`make bench`: every figure that can be measured here, as a table and as JSON.

``python -m benchmarks [p1 p2 ...]`` measures some only.
"""

from __future__ import annotations

import importlib
import json
import os
import platform
import sys
from dataclasses import asdict
from pathlib import Path

from benchmarks.pairs import header

RESULTS = Path(__file__).parent / "results"


def main() -> int:
    """Measure; 1 where a goal is missed."""
    wanted = sys.argv[1:]
    modules = sorted(
        p.stem
        for p in Path(__file__).parent.glob("p[0-9]*_*.py")
        if not wanted or p.stem.partition("_")[0] in wanted
    )
    user = "root" if os.geteuid() == 0 else "an ordinary user"
    system = f"Python {platform.python_version()}, Linux {platform.release()}"
    print(f"{system}, {os.cpu_count()} cores, {user}")
    print(header(), flush=True)
    missed = False
    RESULTS.mkdir(exist_ok=True)
    for name in modules:
        module = importlib.import_module(f"benchmarks.{name}")
        if not hasattr(module, "figures"):
            continue
        rows = module.figures()
        for row in rows:
            print(row.row(), flush=True)
            missed = missed or not row.reached
        data = json.dumps([asdict(row) for row in rows], indent=1)
        (RESULTS / f"{name}.json").write_text(data + "\n")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
