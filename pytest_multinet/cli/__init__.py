"""The command ``multinet``: environments outside pytest."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from typing import Any

from pytest_multinet.errors import (
    BackendUnavailable,
    EnvironmentFailure,
    MultinetError,
    UsageError,
)

OK, FAILED, USAGE, ENVIRONMENT = range(4)

_EPILOG = """\
exit status:
  0  done                     2  the command cannot be carried out as written
  1  it failed                3  the environment is missing or broken
'exec' and 'shell' end with the status of the program that they ran.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        argv: arguments; default: those of the process.

    Returns:
        The exit status.
    """
    arguments = _parser().parse_args(argv)
    run: Callable[[argparse.Namespace], int] = arguments.run
    try:
        return run(arguments)
    except MultinetError as error:
        print(f"multinet: {error}", file=sys.stderr)
        return _status(error)
    except BrokenPipeError:
        sys.stderr.close()
        return FAILED
    except KeyboardInterrupt:
        return 130


def _status(error: MultinetError) -> int:
    if isinstance(error, UsageError):
        return USAGE
    environment = (BackendUnavailable, EnvironmentFailure)
    return ENVIRONMENT if isinstance(error, environment) else FAILED


def _parser() -> argparse.ArgumentParser:
    from pytest_multinet.cli import doctor, environments
    from pytest_multinet.cli.up import up
    from pytest_multinet.session.settings import BACKENDS

    parser = argparse.ArgumentParser(
        prog="multinet",
        description="Make environments without pytest, look into those that "
        "'pytest --multinet-keep' left, and end them.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    command = _add(commands, "up", "build an environment and leave it running", up)
    command.add_argument(
        "file",
        nargs="?",
        metavar="FILE",
        help="a topology (cluster, links, manifests) or a kind configuration; without one: a "
        "control plane and two workers, joined by eth1",
    )
    command.add_argument(
        "--backend", choices=BACKENDS, default="auto", help="where it runs; default: auto"
    )

    command = _add(commands, "ls", "list the environments that are kept", environments.ls)
    _add_json(command)

    command = _add(commands, "exec", "run a program in a pod or node", environments.exec_)
    _add_environment(command)
    command.add_argument("name", metavar="POD", help="pod, NAMESPACE/POD, or node")
    command.add_argument("argv", nargs="+", metavar="CMD", help="program and arguments, after --")

    command = _add(commands, "shell", "open a shell in a pod or node", environments.shell)
    _add_environment(command)
    command.add_argument("name", metavar="POD", help="pod, NAMESPACE/POD, or node")

    command = _add(commands, "down", "end an environment", environments.down)
    command.add_argument("id", nargs="?", metavar="ID", help="as 'multinet ls' shows it")
    command.add_argument("--all", action="store_true", help="end all")

    _add_bundle(commands)

    _add(commands, "gc", "remove what crashed runs left", environments.gc)

    command = _add(commands, "doctor", "tell what works here and what to do", doctor.doctor)
    command.add_argument(
        "names", nargs="*", metavar="NAME", help="try only these, such as netem or docker"
    )
    _add_json(command)
    return parser


def _add_bundle(commands: Any) -> None:
    from pytest_multinet.cli import bundle

    command = _add(
        commands,
        "bundle",
        "put all images and plugins into one archive, for machines without a network",
        bundle.show,
    )
    actions = command.add_subparsers(title="actions", required=True, metavar="ACTION")
    action = _add(actions, "create", "write an archive; absent images are pulled", bundle.create)
    action.add_argument("file", metavar="FILE")
    for option in ("node-image", "pod-image"):
        action.add_argument(f"--{option}", metavar="IMAGE", help=f"other than the usual {option}")
    action.add_argument("--cni-plugins", metavar="PATH", help="folder or archive with the plugins")
    action.add_argument("--multus-manifest", metavar="FILE", help="instead of the built-in one")
    action.add_argument("--thin", action="store_true", help="thin Multus instead of thick")
    action = _add(actions, "use", "load an archive's images into Docker", bundle.use)
    action.add_argument("file", metavar="FILE")
    action = _add(actions, "show", "tell what is in an archive", bundle.show)
    action.add_argument("file", metavar="FILE")
    _add_json(action)


def _add(
    commands: Any,
    name: str,
    help: str,
    run: Callable[[argparse.Namespace], int],
) -> argparse.ArgumentParser:
    command = commands.add_parser(
        name, help=help, description=f"{help[0].upper()}{help[1:]}.", allow_abbrev=False
    )
    command.set_defaults(run=run)
    return command


def _add_environment(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "-e", "--environment", metavar="ID", help="needed where several environments are kept"
    )


def _add_json(command: argparse.ArgumentParser) -> None:
    command.add_argument("--json", action="store_true", help="print JSON")
