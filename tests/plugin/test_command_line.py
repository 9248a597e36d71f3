"""The command ``multinet`` itself: help, completion in real shells, colours, exit status."""

from __future__ import annotations

import os
import pty
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_multinet.cli.completion import candidates

Multinet = Callable[..., "subprocess.CompletedProcess[str]"]
COMMANDS = ["bundle", "completion", "doctor", "down", "exec", "gc", "ls", "shell", "up"]
BREAKS = "COMP_WORDBREAKS=$' \\t\\n\"\\'@><=;|&(:'"


def names(*words: str) -> list[str]:
    """What the last word may become."""
    return [name for name, _ in candidates(words)]


# --- help and exit status -----------------------------------------------------------------------


@pytest.mark.parametrize("command", COMMANDS)
def test_help_says_what_a_command_does_and_has_examples(multinet: Multinet, command: str) -> None:
    shown = multinet(command, "--help")
    assert (shown.returncode, shown.stderr) == (0, "")
    assert "examples:\n  " in shown.stdout
    assert max(map(len, shown.stdout.splitlines())) <= 100


def test_help_lists_commands_and_exit_statuses(multinet: Multinet) -> None:
    shown = multinet("--help").stdout
    for command in COMMANDS:
        assert f"\n    {command}" in shown
    for status in ("0    done", "1    it failed", "2    the command", "3    the environment"):
        assert status in shown


def test_version_is_the_packages(multinet: Multinet) -> None:
    from importlib.metadata import version

    assert multinet("--version").stdout == f"pytest-multinet {version('pytest-multinet')}\n"


# --- completion ---------------------------------------------------------------------------------


def test_commands_options_and_values_are_completed() -> None:
    assert sorted(names("")) == COMMANDS
    assert sorted(names("do")) == ["doctor", "down"]
    assert names("up", "--b") == ["--backend"]
    assert names("up", "--backend=k") == ["--backend=kind"]
    assert names("up", "--backend", "") == ["auto", "embedded", "kind"]
    assert names("up", "--backend", "kind", "") == []  # a file
    assert names("doctor", "netem", "vla") == ["vlan"]
    assert sorted(names("bundle", "")) == ["create", "show", "use"]
    assert names("bundle", "show", "--j") == ["--json"]
    assert names("completion", "z") == ["zsh"]
    assert names("exec", "pod1", "--", "l") == []  # another program's words
    assert names("nonsense", "--nonsense", "") == []


def test_names_of_what_is_kept_are_completed(multinet: Multinet) -> None:
    assert multinet("up").returncode == 0
    assert names("down", "m") == ["multus-cluster"]
    assert names("exec", "-e", "") == ["multus-cluster"]
    assert names("exec", "-e", "multus-cluster", "wor") == ["worker", "worker2"]
    assert names("shell", "") == ["control-plane", "worker", "worker2"]
    assert names("shell", "worker", "") == []
    assert names("exec", "-e", "other", "") == []


@pytest.fixture
def with_multinet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Puts the command on PATH, whether it is installed there or not."""
    program = tmp_path / "bin" / "multinet"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m pytest_multinet.cli "$@"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("HOME", str(tmp_path))


def shell(*argv: str) -> list[str]:
    """The lines that a shell prints."""
    if shutil.which(argv[0]) is None:
        pytest.skip(f"{argv[0]} is not installed")
    run = subprocess.run(argv, capture_output=True, text=True, timeout=30, check=False)
    assert (run.returncode, run.stderr) == (0, "")
    return run.stdout.splitlines()


@pytest.mark.usefixtures("with_multinet")
@pytest.mark.parametrize(
    ("line", "replies"),
    [
        ("multinet do", ["doctor", "down"]),
        ("multinet  up  --back", ["--backend"]),
        ("multinet up --backend=emb", ["embedded"]),  # bash replaces what follows the =
        ("multinet bundle cr", ["create"]),
        ("multinet exec pod1 -- ip ", []),
    ],
)
def test_bash_completes(line: str, replies: list[str]) -> None:
    code = "source <(multinet completion bash); COMP_LINE=$1 COMP_POINT=${#1}; _multinet; "
    code += 'printf "%s\\n" "${COMPREPLY[@]}"'
    found = shell("bash", "--norc", "-c", code, "bash", line)
    assert [reply for reply in found if reply] == replies
    assert "-F _multinet multinet" in "".join(
        shell("bash", "--norc", "-c", "source <(multinet completion bash); complete -p multinet")
    )


@pytest.mark.usefixtures("with_multinet")
def test_fish_completes() -> None:
    code = "multinet completion fish | source; complete --do-complete "
    assert shell("fish", "--no-config", "-c", code + "'multinet do'") == [
        "doctor\tTell what works here and what to do",
        "down\tEnd an environment",
    ]
    assert shell("fish", "--no-config", "-c", code + "'multinet up --backend k'") == ["kind"]
    assert shell("fish", "--no-config", "-c", code + "'multinet up --backend=k'") == [
        "--backend=kind"
    ]


ZSH = r"""
zmodload zsh/zpty
zpty shell zsh -f -i
zpty -w shell 'PS1= ; autoload -Uz compinit; compinit -u -D; source <(multinet completion zsh)'
zpty -w shell 'bindkey "^I" complete-word; print READ''Y'
zpty -r -m shell seen '*READY*'
zpty -w -n shell "$1"$'\t'
zpty -r -m shell seen "$2"
print -r -- "$seen"
"""


@pytest.mark.usefixtures("with_multinet")
@pytest.mark.parametrize(
    ("line", "echoed"),
    [("multinet doc", "*multinet doc*tor*"), ("multinet up --backend=k", "*--backend=k*ind*")],
)
def test_zsh_completes(line: str, echoed: str) -> None:
    assert shell("zsh", "-f", "-c", ZSH, "zsh", line, echoed)  # else it waits for ever


# --- colours ------------------------------------------------------------------------------------


def on_a_terminal(*arguments: str, **variables: str) -> str:
    """What the command prints on a terminal."""
    ours, theirs = pty.openpty()
    names = ("NO_COLOR", "FORCE_COLOR", "TERM")
    environment = {n: v for n, v in os.environ.items() if n not in names}
    argv = [sys.executable, "-m", "pytest_multinet.cli", *arguments]
    environment |= {"TERM": "xterm", **variables}
    with subprocess.Popen(argv, stdout=theirs, stderr=theirs, env=environment) as process:
        os.close(theirs)
        seen = b""
        while True:
            try:
                data = os.read(ours, 65536)
            except OSError:  # EIO: the other end is closed
                break
            seen += data
        process.wait(timeout=30)
    os.close(ours)
    return seen.decode()


@pytest.mark.parametrize(
    ("variables", "coloured"),
    [
        ({}, True),
        ({"TERM": "dumb"}, False),
        ({"NO_COLOR": "1"}, False),
        ({"NO_COLOR": "1", "FORCE_COLOR": "1"}, False),
        ({"NO_COLOR": "", "TERM": "dumb", "FORCE_COLOR": "1"}, True),
    ],
)
def test_colours_on_terminals_that_want_them(variables: dict[str, str], coloured: bool) -> None:
    shown = on_a_terminal("doctor", "tuning", "scapy", **variables)
    assert "tuning" in shown
    assert ("\x1b[" in shown) == coloured
    refused = on_a_terminal("doctor", "netm", **variables)
    assert ("\x1b[1;31mmultinet:" in refused) == coloured


def test_no_colours_in_files(multinet: Multinet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    assert "\x1b" not in multinet("doctor", "tuning").stdout
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert "\x1b[32mok     \x1b[0m" in multinet("doctor", "tuning").stdout
