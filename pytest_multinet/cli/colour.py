"""Colours of what is printed: on terminals only."""

from __future__ import annotations

import os
from typing import TextIO


class Colours:
    """Text in colour, where the stream shows colours.

    ``NO_COLOR`` (no-color.org) switches them off and wins, ``FORCE_COLOR`` switches them on; else
    a terminal that is not ``TERM=dumb`` has them.

    Args:
        stream: where the text is printed.
    """

    def __init__(self, stream: TextIO) -> None:
        if os.environ.get("NO_COLOR"):
            self._on = False
        elif os.environ.get("FORCE_COLOR"):
            self._on = True
        else:
            self._on = stream.isatty() and os.environ.get("TERM") != "dumb"

    def good(self, text: str) -> str:
        """Green."""
        return self._in("32", text)

    def bad(self, text: str) -> str:
        """Bold red."""
        return self._in("1;31", text)

    def weak(self, text: str) -> str:
        """Yellow: missing, and maybe not needed."""
        return self._in("33", text)

    def head(self, text: str) -> str:
        """Bold."""
        return self._in("1", text)

    def _in(self, code: str, text: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self._on else text
