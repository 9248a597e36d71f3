"""The command ``multinet``: environments outside pytest."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence

from pytest_multinet.errors import (
    BackendUnavailable,
    EnvironmentFailure,
    MultinetError,
    UsageError,
)

OK, FAILED, USAGE, ENVIRONMENT = range(4)
INTERRUPTED = 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        argv: arguments; default: those of the process.

    Returns:
        The exit status.
    """
    given = list(sys.argv[1:] if argv is None else argv)
    if given[:1] == ["__complete"]:  # what the scripts of 'multinet completion' call
        from pytest_multinet.cli.completion import answer

        return answer(given[1:])
    from pytest_multinet.cli.parser import parser

    arguments = parser().parse_args(given)
    run: Callable[[argparse.Namespace], int] = arguments.run
    try:
        return run(arguments)
    except MultinetError as error:
        return _told(error, _status(error))
    except BrokenPipeError:
        sys.stderr.close()
        return FAILED
    except OSError as error:  # a full disk, a folder that is somebody else's
        return _told(error, ENVIRONMENT)
    except KeyboardInterrupt:
        return INTERRUPTED


def _told(error: Exception, status: int) -> int:
    from pytest_multinet.cli.colour import Colours

    print(f"{Colours(sys.stderr).bad('multinet:')} {error}", file=sys.stderr)
    return status


def _status(error: MultinetError) -> int:
    if isinstance(error, UsageError):
        return USAGE
    environment = (BackendUnavailable, EnvironmentFailure)
    return ENVIRONMENT if isinstance(error, environment) else FAILED
