"""A node of a kind cluster: a container, looked at from inside or through Docker."""

from __future__ import annotations

import http.client
import os
import socket
import threading
from collections.abc import Mapping, Sequence
from ipaddress import ip_address
from pathlib import Path

from pytest_multinet.cluster.engine import Container, Engine
from pytest_multinet.cluster.isolation import Isolation
from pytest_multinet.cluster.kubernetes import listens, until_ready
from pytest_multinet.cluster.link_names import LinkNames
from pytest_multinet.cluster.process import Process
from pytest_multinet.cluster.remote_process import RemoteProcess, announced
from pytest_multinet.cluster.sandboxes import can_look, in_container
from pytest_multinet.cluster.stack import Node
from pytest_multinet.errors import ClusterError, ExecFailed, ProgramNotFound, WaitTimeout
from pytest_multinet.model.interface import ExecResult
from pytest_multinet.model.topology import ClusterConfig
from pytest_multinet.net.netns import Namespace
from pytest_multinet.probe.remote import RemoteProber
from pytest_multinet.probe.stack import Prober

_CANNOT_START = (126, 127)


class KindNode(Node):
    """A node container.

    Args:
        engine: where the container is.
        config: the cluster's configuration.
        container: as it was first seen.
        role: ``control-plane`` or ``worker``.
        address: its address on Docker's network.
        direct: whether its namespace may be opened from here, when it can be.

    Attributes:
        isolation: the worker's names of links, where workers share the node.
    """

    def __init__(
        self,
        engine: Engine,
        config: ClusterConfig,
        container: Container,
        role: str,
        address: str,
        *,
        direct: bool,
    ) -> None:
        self.name = container.name
        self.role = role
        self.address = ip_address(address)
        self.patience = config.timeout
        self._engine = engine
        self._config = config
        self._container = container
        self.isolation: Isolation | None = None
        self._direct = direct and can_look()
        self._namespace: Namespace | None = None
        self._prober: Prober | None = None
        self._lock = threading.RLock()

    # --- the container ----------------------------------------------------------------------

    @property
    def container(self) -> Container:
        """The container as last seen."""
        return self._container

    def look_again(self) -> Container:
        """The container now.

        Raises:
            ClusterError: it is gone, or stopped.
        """
        found = self._engine.container(self.name)
        if found is None:
            raise ClusterError(f"node {self.name} is gone: its container was removed")
        if not found.running:
            raise ClusterError(
                f"node {self.name} is stopped; 'docker start {self.name}' starts it again"
            )
        if found.started != self._container.started:
            self._forget()
        self._container = found
        return found

    def restarted_since(self, started: str) -> bool:
        """Whether the container was started again since then (its namespace is another)."""
        namespace = self._namespace
        if namespace is not None and self._is_current(namespace):
            return self._container.started != started
        return self.look_again().started != started

    @property
    def pid(self) -> int:
        """Its first process, in the engine's process namespace."""
        return self.look_again().pid

    @property
    def namespace(self) -> Namespace | None:
        """Its network namespace, ``None`` where that cannot be opened from here."""
        if not self._direct:
            return None
        with self._lock:
            if self._namespace is not None and self._is_current(self._namespace):
                return self._namespace
            self._forget()
            container = self.look_again()
            if not in_container(container.pid, container.id):
                return None
            from pytest_multinet.net.foreign import ForeignNamespace

            self._namespace = ForeignNamespace(self.name, f"/proc/{container.pid}/ns/net")
            return self._namespace

    @staticmethod
    def _is_current(namespace: Namespace) -> bool:
        return bool(getattr(namespace, "current", False))

    def _forget(self) -> None:
        self._prober = None
        if self._namespace is not None:
            self._namespace.close()
            self._namespace = None

    def close(self) -> None:
        """Close what was opened."""
        with self._lock:
            self._forget()

    # --- files (what readiness asks) --------------------------------------------------------

    def _root(self) -> Path | None:
        namespace = self.namespace
        return None if namespace is None else Path(f"/proc/{self._container.pid}/root")

    def listing(self, folder: str) -> Mapping[str, bool]:
        """Files of a folder, and whether each is executable."""
        root = self._root()
        if root is not None:
            try:
                entries = list(os.scandir(f"{root}{folder}"))
            except OSError:
                return {}
            return {e.name: os.access(e.path, os.X_OK) for e in entries if e.is_file()}
        argv = ["find", "-L", folder, "-maxdepth", "1", "-type", "f", "-printf", "%f %m\\n"]
        lines = (line.split() for line in self.run(argv).stdout.splitlines())
        return {name: bool(int(mode, 8) & 0o111) for name, mode in lines}

    def read(self, path: str) -> str | None:
        """A file's text, ``None`` where it does not exist."""
        root = self._root()
        if root is not None:
            try:
                return Path(f"{root}{path}").read_text(encoding="utf-8", errors="replace")
            except OSError:
                return None
        result = self.run(["cat", path])
        return None if result.returncode else result.stdout

    def write(self, path: str, text: str) -> None:
        """Write a file."""
        self._engine.put_file(self.name, path, text.encode())

    def answers(self, socket_path: str) -> str | None:
        """``None`` when the HTTP server on a Unix socket answers ``/healthz``, else why not."""
        root = self._root()
        if root is not None:
            return _ask_health(f"{root}{socket_path}")
        # /run of the node is /host/run in the daemon's own container.
        shown = self.run(["ss", "-xlH"]).stdout
        if any(socket_path in word for word in shown.split()):
            return None
        return f"nothing listens at {socket_path}"

    # --- programs ---------------------------------------------------------------------------

    def run(self, argv: Sequence[str]) -> ExecResult:
        """Run a program to its end, without a word about a bad status."""
        return self._engine.exec(self.name, argv, timeout=self._config.timeout)

    @property
    def prober(self) -> Prober:
        """The way to this stack."""
        if self.isolation is None:
            return self._prober_of_all()
        return LinkNames(self._prober_of_all(), self.isolation)

    def _prober_of_all(self) -> Prober:
        namespace = self.namespace
        if namespace is None:
            return self.exec_prober
        if self._prober is None:
            from pytest_multinet.probe.local import LocalProber

            self._prober = LocalProber(self.name, namespace)
        return self._prober

    @property
    def exec_prober(self) -> RemoteProber:
        """A prober that runs programs on the node."""
        return RemoteProber(
            self.name,
            lambda argv, timeout: self.exec(argv, timeout=timeout),
            lambda argv, ready: self.spawn(argv, ready=ready),
        )

    def exec(
        self,
        argv: Sequence[str],
        *,
        input: str | None = None,
        env: Mapping[str, str] | None = None,
        timeout: float | None = None,
        check: bool = False,
    ) -> ExecResult:
        """Run a program on the node to its end."""
        limit = self._config.timeout if timeout is None else timeout
        data = None if input is None else input.encode()
        result = self._bounded(argv, data, env, limit)
        if result.returncode in _CANNOT_START and _did_not_start(result):
            raise ProgramNotFound(f"{argv[0]!r} does not exist on node {self.name}")
        if check and result.returncode:
            raise ExecFailed(f"on node {self.name}: {result!r}")
        return result

    def _bounded(
        self, argv: Sequence[str], data: bytes | None, env: Mapping[str, str] | None, limit: float
    ) -> ExecResult:
        if limit >= 3600:
            return self._engine.exec(self.name, argv, input=data, env=env)
        # timeout(1) is on every node image, and ends the program where it runs.
        words = ["timeout", "--kill-after=2", f"{limit:g}", *argv]
        result = self._engine.exec(self.name, words, input=data, env=env, timeout=limit + 10)
        if result.returncode == 124:
            raise WaitTimeout(
                f"{' '.join(argv)} on node {self.name} still ran after {limit:g} s and was killed"
            )
        return ExecResult(tuple(argv), _status(result.returncode), result.stdout, result.stderr)

    def spawn(
        self,
        argv: Sequence[str],
        *,
        ready: str | int | None = None,
        env: Mapping[str, str] | None = None,
        timeout: float | None = None,
    ) -> Process:
        """Start a program on the node and return while it runs."""
        stream = self._engine.exec_stream(self.name, announced(argv), env=env)
        process = RemoteProcess(argv, stream, self._kill, f"node {self.name}")
        limit = self._config.timeout if timeout is None else timeout
        return until_ready(process, ready, limit, self._listens_on)

    def _kill(self, pid: int, name: str) -> None:
        self.run(["sh", "-c", 'kill -s "$1" "$2"', "sh", name, str(pid)])

    def _listens_on(self, port: int) -> bool:
        return listens(self.run(["cat", "/proc/net/tcp", "/proc/net/tcp6"]).stdout, port)


def _status(code: int) -> int:
    from pytest_multinet.cluster.pod_exec import signal_status

    return signal_status(code)


def _did_not_start(result: ExecResult) -> bool:
    text = result.stderr + result.stdout
    return "failed to run command" in text or "executable file not found" in text


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=2.0)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(2.0)
        self.sock.connect(self._path)


def _ask_health(path: str) -> str | None:
    connection = _UnixConnection(path)
    try:
        connection.request("GET", "/healthz")
        status = connection.getresponse().status
    except (OSError, http.client.HTTPException) as error:
        return f"{path.partition('/root')[2]}: {error}"
    finally:
        connection.close()
    return None if status < 500 else f"{path.partition('/root')[2]}: status {status}"
