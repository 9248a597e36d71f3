"""``multinet completion``: commands, options and the names of what is kept, in a shell.

A script of a few lines per shell asks ``multinet __complete SHELL WORD...`` for what the last word
may become; the answer comes from the parser itself and from the ledger.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator, Sequence

_BASH = r"""
_multinet() {
    local line
    COMPREPLY=()
    while IFS= read -r line; do
        COMPREPLY+=("$line")
    done < <(multinet __complete bash "${COMP_LINE:0:COMP_POINT}" 2>/dev/null)
}
complete -o bashdefault -o default -F _multinet multinet
"""
_ZSH = r"""
_multinet() {
    local -a found
    found=("${(@f)$(multinet __complete zsh "${(@Q)words[2,CURRENT]}" 2>/dev/null)}")
    if [[ -n "${found[1]}" ]]; then
        _describe -V multinet found
    else
        _files
    fi
}
compdef _multinet multinet
"""
_FISH = r"""
function __multinet_complete
    set -l words (commandline -opc)
    set -l found (multinet __complete fish $words[2..-1] (commandline -ct) 2>/dev/null)
    if test (count $found) -gt 0
        printf '%s\n' $found
    else
        __fish_complete_path (commandline -ct)
    end
end
complete -c multinet -f -a '(__multinet_complete)'
"""
_SCRIPTS = {"bash": _BASH, "zsh": _ZSH, "fish": _FISH}
SHELLS = tuple(_SCRIPTS)
_BREAKS = "\"'@><=;|&(:"  # where bash begins a new word: COMP_WORDBREAKS


def script(arguments: argparse.Namespace) -> int:
    """Print the script for a shell."""
    print(_SCRIPTS[arguments.shell].strip())
    return 0


def answer(words: Sequence[str]) -> int:
    """Print what the last of ``words`` may become; the first is the shell that asks.

    bash gives the whole line instead, as it cuts words in places where nobody else does.
    """
    shell, *given = words
    cut = 0
    if shell == "bash":
        given = given[0].split(" ")[1:]
        cut = max((given[-1].rfind(c) + 1 for c in _BREAKS), default=0) if given else 0
        given = [word for word in given[:-1] if word] + given[-1:]
    for value, help in sorted(set(candidates(given or [""]))):
        if shell == "fish":
            print(f"{value}\t{help}" if help else value)
        elif shell == "zsh":
            name = value.replace(":", "\\:")
            print(f"{name}:{help}" if help else name)
        else:
            print(value[cut:])
    return 0


def candidates(words: Sequence[str]) -> Iterator[tuple[str, str]]:
    """What the last of ``words`` may become, each with a few words about it."""
    from pytest_multinet.cli.parser import parser

    *before, last = words
    place = _Place(parser(), before)
    if place.foreign:
        return
    option, equals, value = last.partition("=")
    action = place.value_of or (place.options().get(option) if equals else None)
    if action is not None:
        prefix = f"{option}=" if place.value_of is None else ""
        wanted = value if prefix else last
        for name, help in _values(action, place.environment):
            if name.startswith(wanted):
                yield f"{prefix}{name}", help
        return
    if last.startswith("-"):
        for flag, action in place.options().items():
            if flag.startswith(last):
                yield flag, action.help or ""
        return
    for action in place.positionals()[:1]:
        for name, help in _values(action, place.environment):
            if name.startswith(last):
                yield name, help


class _Place:
    """Where in the command line one is, after some words.

    Attributes:
        value_of: the option whose value comes next.
        environment: the environment that was chosen with ``-e``.
        foreign: what comes is another program's.
    """

    def __init__(self, parser: argparse.ArgumentParser, words: Iterable[str]) -> None:
        self._parser = parser
        self._taken = 0
        self.value_of: argparse.Action | None = None
        self.environment: str | None = None
        self.foreign = False
        for word in words:
            self._pass(word)

    def _pass(self, word: str) -> None:
        if self.foreign or word == "--":
            self.foreign = True
        elif self.value_of is not None:
            self._take(self.value_of, word)
            self.value_of = None
        elif word.startswith("-"):
            option, equals, value = word.partition("=")
            action = self.options().get(option)
            if action is not None and action.nargs != 0:
                if equals:
                    self._take(action, value)
                else:
                    self.value_of = action
        else:
            self._pass_positional(word)

    def _pass_positional(self, word: str) -> None:
        action = next(iter(self.positionals()), None)
        below = _choices(action).get(word) if action is not None else None
        if isinstance(below, argparse.ArgumentParser):
            self._parser, self._taken = below, 0
        elif action is not None and action.nargs not in ("*", "+"):
            self._taken += 1

    def _take(self, action: argparse.Action, value: str) -> None:
        if action.dest == "environment":
            self.environment = value

    def options(self) -> dict[str, argparse.Action]:
        """The options of the command that one is in, by flag."""
        return {flag: a for a in _actions(self._parser) for flag in a.option_strings}

    def positionals(self) -> list[argparse.Action]:
        """Its arguments that are not given yet."""
        return [a for a in _actions(self._parser) if not a.option_strings][self._taken :]


def _actions(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    return parser._actions  # pyright: ignore[reportPrivateUsage] - there is no public way


def _choices(action: argparse.Action) -> dict[str, argparse.ArgumentParser | None]:
    """What an argument may be; a command comes with its parser."""
    given = action.choices or ()
    return dict(given) if isinstance(given, dict) else dict.fromkeys(map(str, given))  # pyright: ignore[reportUnknownArgumentType]


def _values(action: argparse.Action, environment: str | None) -> Iterator[tuple[str, str]]:
    for name, below in _choices(action).items():
        yield name, _summary(below.description) if below is not None else ""
    if action.metavar == "ID":
        yield from _ids()
    elif action.metavar == "POD":
        yield from _stacks(environment)
    elif action.metavar == "NAME":
        from pytest_multinet.session.capabilities import CAPABILITIES, CONDITIONS

        for entry in (*CONDITIONS, *CAPABILITIES):
            yield entry.name, entry.purpose


def _summary(description: str | None) -> str:
    return (description or "").partition("\n")[0].rstrip(".")


def _ids() -> Iterator[tuple[str, str]]:
    from pytest_multinet.session.ledger import Ledger

    for record in Ledger().kept():
        yield record.id, f"{record.backend}, {record.folder}"


def _stacks(environment: str | None) -> Iterator[tuple[str, str]]:
    """Pods and nodes of the environment that is meant, where that is clear."""
    from pytest_multinet.session.ledger import Ledger

    records = [r for r in Ledger().kept() if environment in (None, r.id)]
    if len(records) != 1:
        return
    for kind in ("pods", "nodes"):
        for stack in records[0].description.get(kind, ()):
            name = str(stack["name"])
            yield name.removeprefix(f"{records[0].cluster}-"), kind.removesuffix("s")
