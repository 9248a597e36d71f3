"""``python -m pytest_multinet.cli`` is ``multinet``."""

import sys

from pytest_multinet.cli import main

sys.exit(main())
