"""What the command ``multinet`` takes: its commands, their arguments and their help."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

from pytest_multinet.cli import completion, doctor, environments
from pytest_multinet.cli.up import up
from pytest_multinet.session.settings import BACKENDS

_EPILOG = """\
exit status:
  0    done
  1    it failed
  2    the command cannot be carried out as written
  3    the environment is missing or broken
  130  it was interrupted by Ctrl-C
'exec' and 'shell' end with the status of the program that they ran.

environment:
  XDG_STATE_HOME         what is kept is written down in pytest-multinet below it;
                         default: ~/.local/state
  XDG_CACHE_HOME         downloaded plugins and unpacked bundles; default: ~/.cache
  DOCKER_HOST, KIND      Docker's socket and the program kind, for environments on kind
  MULTINET_...           options as for tests, for 'up'; 'bundle create' takes
                         MULTINET_CNI_PLUGINS
  NO_COLOR, FORCE_COLOR  colours never, or always; default: on terminals

'multinet COMMAND --help' has the details of each and examples.
"""

_UP = """\
Without FILE: a control plane and two workers, joined by eth1. FILE is a kind
configuration (its name and nodes, and eth1 between the first two workers), or a
topology, of which every part may be left out:

  cluster: {name: lab, nodes: 4}     fields of ClusterConfig
  links:                             fields of LinkConfig
    - {name: eth1, a: worker, b: worker2, mtu: 9000}
  manifests: [network.yaml, pods.yaml]

What FILE leaves open is as for tests: MULTINET_NODES, MULTINET_CNI_PLUGINS and the
other variables count. Nothing is built where FILE has a mistake, and an 'up' that fails
leaves nothing. On kind, a later 'pytest --multinet-backend=kind' with the same
specification attaches to the cluster; with another it says what differs.
"""
_LS = """\
An environment is kept by 'multinet up', 'pytest --multinet-keep' or
'pytest --multinet-keep-failed'. With --json all that is known of it: specification,
addresses, links, networks.
"""
_EXEC = """\
The program's input, output and exit status are those of the command. A pod is named
POD or NAMESPACE/POD; a node in full or by what follows the cluster's name (worker).
"""
_DOWN = "An ID is needed only where several environments are kept."
_GC = """\
What was kept on purpose stays, and what a living run uses. On embedded a run that was
killed leaves nothing; on kind it leaves a cluster.
"""
_DOCTOR = """\
Everything is tried for real, in namespaces and containers of its own, which are removed
again. Each line that says 'missing' concerns only what it says after 'needed for'.
"""
_BUNDLE = "The machine that makes it needs Docker; the one that uses it, kind too."

_EXAMPLES = {
    "up": ("multinet up", "multinet up lab.yaml", "multinet up --backend=kind kind.yaml"),
    "ls": ("multinet ls", "multinet ls --json | jq '.[].description.pods'"),
    "exec": (
        "multinet exec pod1 -- ip addr show net1",
        "multinet exec worker -- ip link show eth1",
        "multinet exec -e multus-cluster@gw1 pod1 -- ping -c1 10.1.1.102",
    ),
    "shell": ("multinet shell pod1", "multinet shell -e lab worker2"),
    "down": ("multinet down", "multinet down lab", "multinet down --all"),
    "gc": ("multinet gc",),
    "doctor": ("multinet doctor", "multinet doctor netem vlan docker", "multinet doctor --json"),
    "bundle": (
        "multinet bundle create multinet.bundle",
        "multinet bundle show multinet.bundle",
        "pytest --multinet-backend=kind --multinet-bundle=multinet.bundle",
    ),
    "completion": (
        "source <(multinet completion bash)              # in ~/.bashrc",
        "source <(multinet completion zsh)               # in ~/.zshrc, after compinit",
        "multinet completion fish | source               # in ~/.config/fish/config.fish",
    ),
}


def parser() -> argparse.ArgumentParser:
    """The parser of the command line; each command's ``run`` carries it out."""
    parser = argparse.ArgumentParser(
        prog="multinet",
        description="Make environments without pytest, look into those that "
        "'pytest --multinet-keep' left, and end them.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "--version", action=_Version, nargs=0, help="print the version of pytest-multinet"
    )
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    command = _add(commands, "up", "build an environment and leave it running", up, _UP)
    command.add_argument("file", nargs="?", metavar="FILE", help="what to build")
    command.add_argument(
        "--backend", choices=BACKENDS, help="where it runs; default: $MULTINET_BACKEND, else auto"
    )

    command = _add(
        commands, "ls", "list the environments that are kept or in use", environments.ls, _LS
    )
    _add_json(command)

    command = _add(commands, "exec", "run a program in a pod or node", environments.exec_, _EXEC)
    _add_environment(command)
    command.add_argument("name", metavar="POD", help="pod, NAMESPACE/POD, or node")
    command.add_argument("argv", nargs="+", metavar="CMD", help="program and arguments, after --")

    command = _add(commands, "shell", "open a shell in a pod or node", environments.shell, _EXEC)
    _add_environment(command)
    command.add_argument("name", metavar="POD", help="pod, NAMESPACE/POD, or node")

    command = _add(commands, "down", "end an environment", environments.down, _DOWN)
    command.add_argument("id", nargs="?", metavar="ID", help="as 'multinet ls' shows it")
    command.add_argument("--all", action="store_true", help="end all")

    _add_bundle(commands)

    _add(commands, "gc", "remove what crashed runs left", environments.gc, _GC)

    command = _add(
        commands, "doctor", "tell what works here and what to do", doctor.doctor, _DOCTOR
    )
    command.add_argument(
        "names", nargs="*", metavar="NAME", help="try only these, such as netem or docker"
    )
    _add_json(command)

    command = _add(
        commands,
        "completion",
        "print a script that completes commands and names in a shell",
        completion.script,
    )
    command.add_argument("shell", choices=completion.SHELLS, metavar="SHELL", help="the shell")
    return parser


class _Version(argparse.Action):
    """Prints the version; it is looked up only then."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from importlib.metadata import version

        print(f"pytest-multinet {version('pytest-multinet')}")
        parser.exit()


def _add_bundle(commands: Any) -> None:
    from pytest_multinet.cli import bundle

    help = "put all images and plugins into one archive, for machines without a network"
    command = _add(commands, "bundle", help, bundle.show, _BUNDLE)
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
    details: str = "",
) -> argparse.ArgumentParser:
    description = f"{help[0].upper()}{help[1:]}."
    examples = "".join(f"  {line}\n" for line in _EXAMPLES.get(name, ()))
    command = commands.add_parser(
        name,
        help=help,
        description=f"{description}\n\n{details}" if details else description,
        epilog=f"examples:\n{examples}" if examples else None,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    command.set_defaults(run=run)
    return command


def _add_environment(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "-e", "--environment", metavar="ID", help="needed where several environments are kept"
    )


def _add_json(command: argparse.ArgumentParser) -> None:
    command.add_argument("--json", action="store_true", help="print JSON")
