"""A pytest plugin for the soak: files in random order, and the tests of each file.

``-p tests.shuffle``; ``MULTINET_TEST_SHUFFLE`` is the seed, the same for every worker.
"""

from __future__ import annotations

import os
import random
from itertools import groupby

import pytest


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    chance = random.Random(os.environ.get("MULTINET_TEST_SHUFFLE", ""))
    files = [list(tests) for _, tests in groupby(items, key=lambda item: item.path)]
    chance.shuffle(files)
    for tests in files:
        chance.shuffle(tests)
    items[:] = [item for tests in files for item in tests]
