"""The settings: every option, where its value came from, and what it may be.

Each setting is ``--multinet-X`` on the command line, ``multinet_X`` in pytest's ini file and
``MULTINET_X`` in the environment, in that order of precedence.
"""

from __future__ import annotations

import itertools
import math
import os
import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from pytest_multinet.errors import UsageError

if TYPE_CHECKING:
    from pytest_multinet.model.topology import ClusterConfig

BACKENDS = ("auto", "embedded", "kind")
KEEP = ("no", "always", "failed")
DEFAULT = "default"
COMMAND_LINE = "command line"
_NOT_OPTIONS = ("MULTINET_TEST_", "MULTINET_DIFFERENTIAL_")  # prefixes


class Option(NamedTuple):
    """One setting.

    Attributes:
        name: as on the command line, without ``--multinet-``.
        help: one line.
        parse: text and the folder that relative paths are relative to, to a value; raises
            ``ValueError`` with what was expected.
        default: the value where nothing is given.
        field: the field of :class:`ClusterConfig` that it sets, if any.
        many: takes several values: repeated or separated by commas.
        collect: what is made of several values.
        metavar: its value in ``--help``.
    """

    name: str
    help: str
    parse: Callable[[str, Path], Any]
    default: Any = None
    field: str | None = None
    many: bool = False
    collect: Callable[[Iterable[Any]], Any] = tuple
    metavar: str = "X"

    @property
    def flag(self) -> str:
        """Its name on the command line."""
        return f"--multinet-{self.name}"

    def flags(self) -> dict[str, dict[str, Any]]:
        """Its flags on the command line, each with the arguments of ``add_argument``."""
        if self.name == "topology-only":
            return {self.flag: {"action": "store_const", "const": "yes"}}
        if self.name != "keep":
            action = "append" if self.many else "store"
            return {self.flag: {"action": action, "metavar": self.metavar}}
        always = {"const": "always", "help": "keep the environment at the end of the run"}
        failed = {"const": "failed", "help": "keep the environment if a test failed"}
        return {
            self.flag: {"action": "store_const", **always},
            f"{self.flag}-failed": {"action": "store_const", **failed},
        }

    @property
    def ini(self) -> str:
        """Its name in the ini file, and of the attribute that the command line sets."""
        return "multinet_" + self.name.replace("-", "_")

    @property
    def variable(self) -> str:
        """Its name in the environment."""
        return self.ini.upper()


class Setting(NamedTuple):
    """A value and its source: ``default``, ``command line``, an ini file or a variable."""

    value: Any
    source: str = DEFAULT


class Settings:
    """The values in force.

    Args:
        values: one for every option, by name.
    """

    def __init__(self, values: Mapping[str, Setting] | None = None) -> None:
        self._values = {o.name: Setting(o.default) for o in OPTIONS} | dict(values or {})

    @property
    def backend(self) -> str:
        """``auto``, ``embedded`` or ``kind``."""
        return self._values["backend"].value

    @property
    def keep(self) -> str:
        """``no``, ``always`` or ``failed``."""
        return self._values["keep"].value

    @property
    def capture(self) -> str:
        """``off``, ``failed`` or ``all``."""
        return self._values["capture"].value

    @property
    def isolation(self) -> str:
        """``worker`` or ``none``."""
        return self._values["isolation"].value

    @property
    def topology_only(self) -> bool:
        """Whether environments are built and shown, and no test is called."""
        return self._values["topology-only"].value == "yes"

    def artifacts(self, root: Path) -> Path | None:
        """The folder for the evidence of failed tests; ``None``: none is kept."""
        value = self._values["artifacts"].value
        return None if value == "off" else root / value

    @property
    def require(self) -> tuple[str, ...]:
        """Backends and capabilities that must be usable."""
        return self._values["require"].value

    def source(self, name: str) -> str:
        """Where the value of ``name`` came from."""
        return self._values[name].source

    def changed(self) -> dict[str, Setting]:
        """Those that were given a value other than the default."""
        defaults = {o.name: o.default for o in OPTIONS}
        return {n: s for n, s in self._values.items() if s.value != defaults[n]}

    def flags(self) -> list[str]:
        """The settings of the command line, as flags for another one."""
        found: list[str] = []
        for option in OPTIONS:
            setting = self._values[option.name]
            if option.name == "topology-only":
                continue
            if option.name == "keep":
                if setting.value != "no":
                    found.append("--multinet-keep")
            elif setting.source == COMMAND_LINE:
                found.append(shlex.quote(f"{option.flag}={_shown(setting.value)}"))
        return found

    def cluster_config(self) -> ClusterConfig:
        """The configuration of the cluster that the settings ask for."""
        from pytest_multinet.model.topology import ClusterConfig

        given = ((o.field, self._values[o.name]) for o in OPTIONS)
        return ClusterConfig(**{f: s.value for f, s in given if f and s.source != DEFAULT})

    def __str__(self) -> str:
        return ", ".join(f"{n}={_shown(s.value)} ({s.source})" for n, s in self.changed().items())


def resolve(
    command_line: Mapping[str, str | Sequence[str] | None],
    ini: Mapping[str, str | Sequence[str] | None],
    environment: Mapping[str, str],
    *,
    folder: Path,
    ini_file: Path | None = None,
) -> Settings:
    """Find the value of every setting and check it.

    Args:
        command_line: values by option name; ``None``: not given.
        ini: the same from the ini file.
        environment: the process's environment.
        folder: where the command was given; relative paths start there.
        ini_file: where relative paths of ``ini`` start, and its name in messages.

    Raises:
        UsageError: a value that cannot be, with its source and what was expected.
    """
    values: dict[str, Setting] = {}
    for option in OPTIONS:
        ini_name = ini_file.name if ini_file else "ini file"
        ini_folder = ini_file.parent if ini_file else folder
        places = (
            (command_line.get(option.name), COMMAND_LINE, option.flag, folder),
            (ini.get(option.name), ini_name, f"{option.ini} in {ini_name}", ini_folder),
            (environment.get(option.variable) or None, option.variable, option.variable, folder),
        )
        for given, source, subject, start in places:
            if given is not None:
                values[option.name] = Setting(_parsed(option, given, subject, start), source)
                break
    return Settings(values)


def _parsed(option: Option, given: str | Sequence[str], subject: str, folder: Path) -> Any:
    texts = [given] if isinstance(given, str) else list(given)
    if option.many:
        texts = [part.strip() for text in texts for part in text.split(",")]
        return option.collect(_value(option, text, subject, folder) for text in texts if text)
    return _value(option, " ".join(texts), subject, folder)


def _value(option: Option, text: str, subject: str, folder: Path) -> Any:
    try:
        return option.parse(text.strip(), folder)
    except ValueError as error:
        raise UsageError(f"{subject} is {text!r}; expected {error}") from None


def unknown_names(
    given: Iterable[str], known: Iterable[str], prefix: str = ""
) -> dict[str, str | None]:
    """Those of ``given`` that are not ``known``, each with the nearest known name.

    A ``prefix`` that all of them have makes none of them alike.
    """
    names = {name.removeprefix(prefix): name for name in known}
    unknown = [name for name in given if name not in names.values()]
    found = {name: nearest(name.removeprefix(prefix), names) for name in unknown}
    return {name: names[near] if near else None for name, near in found.items()}


def check_flags(arguments: Iterable[str]) -> None:
    """Refuse flags of ours that do not exist; the message has the nearest name."""
    given = itertools.takewhile(lambda argument: argument != "--", arguments)
    ours = [a.partition("=")[0] for a in given if a.startswith("--multinet-")]
    flags = [flag for option in OPTIONS for flag in option.flags()]
    for name, near in unknown_names(ours, flags, "--multinet-").items():
        raise UsageError(f"unknown option {name}{_meant(near)}")


def check_ini(keys: Iterable[str], ini_file: Path | None) -> None:
    """Refuse keys of ours that do not exist; the message has the nearest name."""
    ours = [key for key in keys if key.startswith("multinet_")]
    for name, near in unknown_names(ours, [o.ini for o in OPTIONS], "multinet_").items():
        raise UsageError(f"{ini_file or 'ini file'}: unknown key {name!r}{_meant(near)}")


def check_environment(environment: Mapping[str, str]) -> list[str]:
    """Refuse a misspelt variable; return a warning for those that resemble none of ours."""
    ours = [
        name
        for name in environment
        if name.startswith("MULTINET_") and not name.startswith(_NOT_OPTIONS)
    ]
    warnings: list[str] = []
    for name, near in unknown_names(ours, [o.variable for o in OPTIONS], "MULTINET_").items():
        message = f"unknown environment variable {name}{_meant(near)}"
        if near:
            raise UsageError(message)
        warnings.append(message)
    return warnings


def nearest(name: str, choices: Iterable[str]) -> str | None:
    """The one of ``choices`` that ``name`` was most likely meant to be."""
    from difflib import get_close_matches

    return next(iter(get_close_matches(name, list(choices), n=1, cutoff=0.8)), None)


def _meant(near: str | None) -> str:
    return f"; did you mean {near}?" if near else ""


def _shown(value: Any) -> str:
    if isinstance(value, tuple):
        return ",".join(_shown(v) for v in value)  # pyright: ignore[reportUnknownVariableType]
    if isinstance(value, Mapping):
        return ",".join(f"{k}={v}" for k, v in value.items())  # pyright: ignore[reportUnknownVariableType]
    return f"{value:g}" if isinstance(value, float) else str(value)


# --- what a value may be ------------------------------------------------------------------------


def _one_of(*choices: str) -> Callable[[str, Path], str]:
    def parse(text: str, folder: Path) -> str:
        if text in choices:
            return text
        near = _nearest_choice(text, choices)
        raise ValueError(f"{_either(choices)}{_meant(near)}")

    return parse


def _nearest_choice(text: str, choices: Sequence[str]) -> str | None:
    from difflib import get_close_matches

    return next(iter(get_close_matches(text.lower(), choices, n=1, cutoff=0.5)), None)


def _either(choices: Sequence[str]) -> str:
    return f"{', '.join(choices[:-1])} or {choices[-1]}"


def _backend(text: str, folder: Path) -> str:
    if text == "kubeconfig":
        raise ValueError(f"{_either(BACKENDS)}; the kubeconfig backend is not available yet")
    return _one_of(*BACKENDS)(text, folder)


def requirable() -> tuple[str, ...]:
    """The names that ``--multinet-require`` takes: backends and capabilities."""
    from pytest_multinet.session.capabilities import CAPABILITIES

    return (*BACKENDS[1:], "kubernetes", *(entry.name for entry in CAPABILITIES))


def _required(text: str, folder: Path) -> str:
    return _one_of(*requirable())(text, folder)


def _cluster_name(text: str, folder: Path) -> str:
    from pytest_multinet.model.topology import check_cluster_name

    try:
        return check_cluster_name(text)
    except UsageError as error:
        raise ValueError(str(error).partition("expected ")[2]) from None


def _node_count(text: str, folder: Path) -> int:
    expected = "a number of nodes, 1 to 100"
    if not (text.isascii() and text.isdigit()) or not 1 <= int(text) <= 100:
        raise ValueError(expected)
    return int(text)


def _seconds(text: str, folder: Path) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise ValueError("seconds, a number above 0")
    return value


def _image(text: str, folder: Path) -> str:
    if not text or any(c.isspace() for c in text) or text.startswith("-"):
        raise ValueError("an image name, such as alpine:3.20")
    return text


def _path(text: str, folder: Path) -> Path:
    try:
        return Path(os.path.abspath(folder / Path(text).expanduser()))
    except RuntimeError:
        raise ValueError(f"a path; {text.split('/')[0]} is nobody's home folder") from None


def _file(text: str, folder: Path) -> Path:
    path = _path(text, folder)
    if not path.is_file():
        raise ValueError(f"a file; there is none at {path}")
    return path


def _artifacts(text: str, folder: Path) -> Path | str:
    if text == "off":
        return text
    path = _path(text, folder)
    if path.exists() and not path.is_dir():
        raise ValueError(f"a folder or off; {path} is a file")
    return path


def _file_or_folder(text: str, folder: Path) -> Path:
    path = _path(text, folder)
    if not path.exists():
        raise ValueError(f"a folder or an archive; there is none at {path}")
    return path


def _image_root(text: str, folder: Path) -> tuple[str, str]:
    image, equals, root = text.partition("=")
    if not (image and equals and root):
        raise ValueError("IMAGE=FOLDER, such as alpine:3.20=/srv/alpine")
    path = _path(root, folder)
    if not path.is_dir():
        raise ValueError(f"IMAGE=FOLDER; there is no folder {path}")
    return image, str(path)


OPTIONS = (
    Option(
        "backend",
        "where the tests run: auto, embedded or kind",
        _backend,
        "auto",
        metavar="BACKEND",
    ),
    Option(
        "require",
        "backends or capabilities that must be usable, else the run fails instead of skipping",
        _required,
        (),
        many=True,
        metavar="NAME[,NAME]",
    ),
    Option(
        "keep", "what to keep at the end of the run: no, always or failed", _one_of(*KEEP), "no"
    ),
    Option(
        "cluster-name",
        "name of the cluster",
        _cluster_name,
        "multus-cluster",
        "name",
        metavar="NAME",
    ),
    Option(
        "nodes",
        "number of nodes, the control plane included",
        _node_count,
        3,
        "nodes",
        metavar="N",
    ),
    Option("node-image", "kind's node image", _image, None, "node_image", metavar="IMAGE"),
    Option(
        "pod-image", "image of pods that name none", _image, None, "pod_image", metavar="IMAGE"
    ),
    Option(
        "timeout", "seconds that waiting may take", _seconds, 30.0, "timeout", metavar="SECONDS"
    ),
    Option(
        "cni",
        "which CNI plugins embedded runs: native, or real (the binaries)",
        _one_of("native", "real"),
        "native",
        "cni",
        metavar="WHICH",
    ),
    Option(
        "cni-plugins",
        "folder or archive with the CNI plugins' binaries",
        _file_or_folder,
        None,
        "cni_plugins",
        metavar="PATH",
    ),
    Option(
        "isolation",
        "what keeps pytest-xdist workers apart on a cluster that they share: worker (namespaces "
        "and links of their own) or none",
        _one_of("worker", "none"),
        "worker",
        metavar="WHICH",
    ),
    Option(
        "image-roots",
        "root directories that stand for images on embedded",
        _image_root,
        {},
        "image_roots",
        many=True,
        collect=dict,
        metavar="IMAGE=FOLDER[,...]",
    ),
    Option(
        "artifacts",
        "folder for the evidence of failed tests, or off",
        _artifacts,
        "multinet-artifacts",
        metavar="FOLDER",
    ),
    Option(
        "capture",
        "which tests' packets to keep with the artifacts: off, failed or all",
        _one_of("off", "failed", "all"),
        "off",
        metavar="WHICH",
    ),
    Option(
        "topology-only",
        "build what the tests ask for, show it, and call no test",
        _one_of("no", "yes"),
        "no",
    ),
    Option(
        "bundle",
        "archive of 'multinet bundle create' that kind takes images and plugins from",
        _file,
        None,
        "bundle",
        metavar="FILE",
    ),
    Option(
        "multus-manifest",
        "Multus manifest to install on kind instead of the built-in one",
        _file,
        None,
        "multus_manifest",
        metavar="FILE",
    ),
)
