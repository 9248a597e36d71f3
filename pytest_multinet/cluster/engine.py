"""The Docker Engine, as little of it as a kind cluster needs.

The ``docker`` SDK is untyped; everything that crosses it stays in this file.
"""

from __future__ import annotations

import io
import os
import socket
import struct
import subprocess
import tarfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, cast

from pytest_multinet.errors import BackendUnavailable, ClusterError, ImageError, WaitTimeout
from pytest_multinet.model.interface import ExecResult

LABEL = "io.pytest-multinet"
_FRAME = struct.Struct(">BxxxL")


@dataclass(frozen=True, slots=True)
class Container:
    """A container as the engine shows it.

    Attributes:
        id: full identifier; ``name``: without the leading slash.
        running: whether it runs.
        pid: its first process in the engine's own process namespace, 0 when stopped.
        started: when it last started, RFC 3339; another value means that it restarted.
        image: name it was made from.
        labels: all of them.
    """

    id: str
    name: str
    running: bool
    pid: int
    started: str
    image: str
    labels: Mapping[str, str]


class Engine:
    """A connection to the Docker Engine.

    Args:
        host: ``unix://...`` or ``tcp://...``; ``None``: ``DOCKER_HOST``, else the usual sockets.
        timeout: seconds for one answer.

    Raises:
        BackendUnavailable: Docker does not answer; the message says why and what to do.
    """

    def __init__(self, host: str | None = None, *, timeout: float = 60.0) -> None:
        self.host = host or os.environ.get("DOCKER_HOST") or _default_host()
        self._timeout = timeout
        self._client = self._connect()

    def _connect(self) -> Any:
        try:
            docker: Any = import_module("docker")
        except ImportError as error:
            raise BackendUnavailable(
                "the kind backend needs the Python package 'docker'; "
                "install it with: pip install 'pytest-multinet[kind]'"
            ) from error
        self._knock()
        environment = {**os.environ, "DOCKER_HOST": self.host}
        make = docker.DockerClient.from_env
        with self._answers("connect to Docker"):
            return make(timeout=self._timeout, environment=environment, version="auto")

    def _knock(self) -> None:
        """Try the socket first: the SDK leaves one open for every failure."""
        if not self.host.startswith("unix://"):
            return
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as knock:
            knock.settimeout(min(self._timeout, 5.0))
            try:
                knock.connect(self.host.removeprefix("unix://"))
            except OSError as error:
                why = explain_connection(error, self.host)
                raise BackendUnavailable(f"connect to Docker: {why}") from error

    @contextmanager
    def _answers(self, what: str) -> Iterator[None]:
        """Turn the SDK's errors into ours."""
        errors: Any = import_module("docker.errors")
        requests: Any = import_module("requests")
        try:
            yield
        except errors.ImageNotFound as error:
            raise ImageError(f"{what}: {error.explanation or error}") from error
        except errors.APIError as error:
            raise ClusterError(f"{what}: {error.explanation or error}") from error
        except (requests.exceptions.RequestException, errors.DockerException, OSError) as error:
            raise BackendUnavailable(f"{what}: {explain_connection(error, self.host)}") from error

    @property
    def environment(self) -> dict[str, str]:
        """Environment for programs that must reach the same engine (``kind``, ``docker``)."""
        return {**os.environ, "DOCKER_HOST": self.host}

    def close(self) -> None:
        """Close the connection."""
        self._client.close()

    # --- the engine -------------------------------------------------------------------------

    def info(self) -> dict[str, Any]:
        """What the engine says of itself."""
        with self._answers("ask Docker about itself"):
            return self._client.info()

    @property
    def api_version(self) -> tuple[int, ...]:
        """Version of the engine's API that is spoken."""
        return tuple(int(n) for n in str(self._client.api.api_version).split("."))

    # --- containers -------------------------------------------------------------------------

    def containers(self, *labels: str) -> list[Container]:
        """Every container, running or not, with all the labels (``key`` or ``key=value``)."""
        with self._answers("list containers"):
            found = self._client.api.containers(all=True, filters={"label": list(labels)})
        names = [c["Names"][0].lstrip("/") for c in found if c.get("Names")]
        return [c for n in sorted(names) if (c := self.container(n)) is not None]

    def container(self, name: str) -> Container | None:
        """One container by name or id, ``None`` where there is none."""
        errors: Any = import_module("docker.errors")
        with self._answers(f"inspect container {name}"):
            try:
                data = self._client.api.inspect_container(name)
            except errors.NotFound:
                return None
        state = data["State"]
        return Container(
            id=data["Id"],
            name=data["Name"].lstrip("/"),
            running=bool(state["Running"]),
            pid=int(state["Pid"] or 0),
            started=state["StartedAt"],
            image=data["Config"]["Image"],
            labels=data["Config"].get("Labels") or {},
        )

    def exec(
        self,
        container: str,
        argv: Sequence[str],
        *,
        input: bytes | None = None,
        env: Mapping[str, str] | None = None,
        timeout: float | None = None,
    ) -> ExecResult:
        """Run a program in a container to its end; 126 or 127 where it could not be started.

        Raises:
            WaitTimeout: it had not ended after ``timeout`` seconds.
        """
        stream = self.exec_stream(container, argv, stdin=input is not None, env=env)
        with stream:
            if input is not None:
                stream.send(input)
            deadline = None if timeout is None else time.monotonic() + timeout
            out = {1: bytearray(), 2: bytearray()}
            for kind, data in stream.frames(deadline):
                out[kind] += data
            code = stream.returncode()
        texts = [bytes(out[k]).decode(errors="replace") for k in (1, 2)]
        return ExecResult(tuple(argv), code, *texts)

    def exec_stream(
        self,
        container: str,
        argv: Sequence[str],
        *,
        stdin: bool = False,
        env: Mapping[str, str] | None = None,
    ) -> ExecStream:
        """Start a program in a container and hand out its streams."""
        api = self._client.api
        with self._answers(f"run {argv[0]} in container {container}"):
            made = api.exec_create(
                container, list(argv), stdin=stdin, environment=dict(env or {}) or None
            )
            raw = api.exec_start(made["Id"], socket=True)
        return ExecStream(self, made["Id"], raw, tuple(argv))

    def exec_state(self, identifier: str) -> tuple[int | None, int]:
        """Exit status (``None`` while it runs) and process id of a program started by exec."""
        with self._answers("inspect a program"):
            data = self._client.api.exec_inspect(identifier)
        return (None if data["Running"] else data["ExitCode"]), int(data.get("Pid") or 0)

    def put(self, container: str, folder: str, archive: bytes) -> None:
        """Unpack a tar archive into a folder of a container."""
        with self._answers(f"copy files to {container}:{folder}"):
            self._client.api.put_archive(container, folder, archive)

    def put_file(self, container: str, path: str, content: bytes, mode: int = 0o644) -> None:
        """Write one file in a container."""
        folder, _, name = path.rpartition("/")
        self.put(container, folder or "/", tar_of({name: (content, mode)}))

    def run_helper(
        self, image: str, argv: Sequence[str], *, purpose: str, timeout: float = 30.0
    ) -> ExecResult:
        """Run a program in a privileged container that sees every process, then remove it.

        The container has no network of its own and lives for this one program.
        """
        api = self._client.api
        with self._answers(f"start a helper container of {image} to {purpose}"):
            config = api.create_host_config(
                privileged=True, pid_mode="host", network_mode="none", auto_remove=False
            )
            made = api.create_container(
                image,
                entrypoint=list(argv[:1]),
                command=list(argv[1:]),
                host_config=config,
                labels={LABEL: "helper", f"{LABEL}.purpose": purpose},
            )
        identifier = made["Id"]
        try:
            with self._answers(f"run {argv[0]} in a helper container to {purpose}"):
                api.start(identifier)
                ended = api.wait(identifier, timeout=timeout)
                out = api.logs(identifier, stdout=True, stderr=False)
                err = api.logs(identifier, stdout=False, stderr=True)
        finally:
            self.remove(identifier)
        text = [cast("bytes", s).decode(errors="replace") for s in (out, err)]
        return ExecResult(tuple(argv), int(ended["StatusCode"]), *text)

    def remove(self, container: str) -> None:
        """Remove a container with its anonymous volumes; harmless when it is gone."""
        errors: Any = import_module("docker.errors")
        with self._answers(f"remove container {container}"):
            try:
                self._client.api.remove_container(container, v=True, force=True)
            except errors.NotFound:
                return

    # --- images -----------------------------------------------------------------------------

    def image_id(self, name: str) -> str | None:
        """Identifier of a local image, ``None`` where it is not here."""
        errors: Any = import_module("docker.errors")
        with self._answers(f"look for image {name}"):
            try:
                return self._client.api.inspect_image(name)["Id"]
            except errors.NotFound:
                return None

    def image_architecture(self, name: str) -> str:
        """Architecture of a local image, as Go names it (``amd64``)."""
        with self._answers(f"look for image {name}"):
            return self._client.api.inspect_image(name)["Architecture"]

    def pull(self, name: str) -> None:
        """Fetch an image from its registry."""
        with self._answers(f"pull image {name}"):
            self._client.images.pull(name)

    def save(self, path: Path, names: Sequence[str], *, platform: str | None = None) -> None:
        """Write images into one archive, as ``docker save`` does.

        Args:
            path: the archive to write.
            names: image names.
            platform: such as ``linux/amd64``; used where the engine knows it (API 1.48), since
                an image of several platforms is otherwise saved with parts that are absent.
        """
        argv = ["docker", "save", "-o", str(path)]
        if platform and self.api_version >= (1, 48):
            argv += ["--platform", platform]
        run = subprocess.run(
            [*argv, *names], env=self.environment, capture_output=True, text=True, check=False
        )
        if run.returncode:
            raise ImageError(f"docker save of {', '.join(names)} failed: {run.stderr.strip()}")

    def load(self, path: Path) -> None:
        """Read images from an archive into the engine's store."""
        with self._answers(f"load images from {path}"), path.open("rb") as archive:
            self._client.images.load(archive)

    def untag(self, name: str) -> None:
        """Remove an image's name (and the image with its last one)."""
        with self._answers(f"remove image {name}"):
            self._client.api.remove_image(name)


class ExecStream:
    """The streams of a program that runs in a container; a context manager that closes them."""

    def __init__(self, engine: Engine, identifier: str, raw: Any, argv: tuple[str, ...]) -> None:
        self.argv = argv
        self._engine = engine
        self._id = identifier
        self._raw = raw
        self._socket: Any = getattr(raw, "_sock", raw)

    def send(self, data: bytes, *, end: bool = True) -> None:
        """Write to the program's standard input; ``end`` closes it after that."""
        self._socket.sendall(data)
        if end:
            self._socket.shutdown(socket.SHUT_WR)

    def frames(self, deadline: float | None = None) -> Iterator[tuple[int, bytes]]:
        """(1 for stdout or 2 for stderr, bytes) until the program closes both."""
        buffer = bytearray()
        while True:
            while len(buffer) >= 8:
                kind, length = _FRAME.unpack_from(buffer)
                if len(buffer) < 8 + length:
                    break
                yield (2 if kind == 2 else 1), bytes(buffer[8 : 8 + length])
                del buffer[: 8 + length]
            try:
                if deadline is not None:
                    self._socket.settimeout(max(deadline - time.monotonic(), 0.001))
                else:
                    self._socket.settimeout(None)
                data = self._socket.recv(65536)
            except (TimeoutError, OSError) as error:
                if deadline is not None and time.monotonic() >= deadline:
                    raise WaitTimeout(f"{' '.join(self.argv)} did not end in time") from error
                return
            if not data:
                return
            buffer += data

    def returncode(self) -> int:
        """Exit status once the streams have ended."""
        for _ in range(200):
            code, _pid = self._engine.exec_state(self._id)
            if code is not None:
                return code
            time.sleep(0.005)  # the streams close a moment before the engine knows the status
        raise WaitTimeout(f"{' '.join(self.argv)} closed its output and runs on")

    @property
    def state(self) -> tuple[int | None, int]:
        """Exit status (``None`` while it runs) and process id."""
        return self._engine.exec_state(self._id)

    def close(self) -> None:
        """Close the streams; the program is not ended by that."""
        # From Python 3.13 on, a response complains when its stream was closed beneath it.
        response: Any = getattr(self._raw, "_response", None)
        if response is not None:
            response.close()
        self._raw.close()
        self._socket.close()

    def __enter__(self) -> ExecStream:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def tar_of(files: Mapping[str, tuple[bytes, int]]) -> bytes:
    """A tar archive of files owned by root: name to (content, mode)."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, (content, mode) in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            entry.mode = mode
            tar.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def explain_connection(error: BaseException, host: str) -> str:
    """Why Docker does not answer at ``host``, and what to do."""
    text = str(error)
    if "Permission denied" in text or "PermissionError" in text:
        return (
            f"no permission on {host}; add yourself to the group 'docker' "
            "(sudo usermod -aG docker $USER, then log in again), or use rootless Docker"
        )
    if "FileNotFoundError" in text or "No such file" in text:
        return (
            f"Docker is not running: nothing listens at {host}; start it "
            "(systemctl start docker, or Docker Desktop), or set DOCKER_HOST"
        )
    if "Connection refused" in text or "ConnectionRefused" in text:
        return f"Docker is not running: {host} refuses connections; start it, or set DOCKER_HOST"
    if "timed out" in text.lower():
        return f"Docker at {host} did not answer in time; is it overloaded, or hung?"
    return f"Docker at {host} stopped answering: {text}"


def _default_host() -> str:
    """The first usual Docker socket that exists (Linux, rootless, Docker Desktop)."""
    places = [Path("/var/run/docker.sock"), Path.home() / ".docker/run/docker.sock"]
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    if runtime:
        places.append(Path(runtime) / "docker.sock")
    found = next((p for p in places if p.exists()), places[0])
    return f"unix://{found}"
