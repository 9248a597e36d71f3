"""Programs run inside a pod's container, over the API server's exec subresource.

The stream is a WebSocket whose messages begin with a channel byte (Kubernetes
``remotecommand``, ``v5.channel.k8s.io``; ``v4`` cannot close standard input).
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module
from typing import Any, cast
from urllib.parse import quote, urlencode

from pytest_multinet.cluster.rest import KubeApi
from pytest_multinet.errors import ExecFailed, ProgramNotFound, WaitTimeout
from pytest_multinet.model.interface import ExecResult

_STDIN, _STDOUT, _STDERR, _STATUS, _CLOSE = 0, 1, 2, 3, 255
_PROTOCOLS = ("v5.channel.k8s.io", "v4.channel.k8s.io")


class PodExecStream:
    """One program in a container and its streams; a context manager that closes them."""

    def __init__(
        self,
        api: KubeApi,
        namespace: str,
        pod: str,
        container: str | None,
        argv: Sequence[str],
        *,
        stdin: bool = False,
    ) -> None:
        self.argv = tuple(argv)
        self.pod = f"{namespace}/{pod}"
        self.status: dict[str, Any] | None = None
        query: list[tuple[str, str]] = [("command", word) for word in argv]
        query += [("stdout", "1"), ("stderr", "1"), ("stdin", "1" if stdin else "0")]
        if container:
            query.append(("container", container))
        path = api.real_path(f"/api/v1/namespaces/{quote(namespace)}/pods/{quote(pod)}/exec")
        package: Any = import_module("websocket")
        self._errors = (package.WebSocketException, OSError)
        try:
            self._socket: Any = package.create_connection(
                f"wss://{api.host}:{api.port}{path}?{urlencode(query)}",
                timeout=30.0,
                sslopt={"context": api.ssl},
                subprotocols=list(_PROTOCOLS),
                header=[f"{k}: {v}" for k, v in api.headers.items() if k != "Accept"],
                suppress_origin=True,
            )
        except package.WebSocketBadStatusException as error:
            raise self._refused(error) from error
        except OSError as error:
            raise api.unreachable(error) from error
        self.protocol: str = self._socket.subprotocol or _PROTOCOLS[-1]

    def _refused(self, error: Any) -> ExecFailed:
        body = getattr(error, "resp_body", None) or b""
        try:
            text = str(json.loads(body)["message"])
        except (ValueError, KeyError, TypeError):
            text = str(error)
        return ExecFailed(f"{' '.join(self.argv)} in pod {self.pod}: {text}")

    def send(self, data: bytes) -> None:
        """Write all of standard input and close it."""
        for start in range(0, len(data), 1 << 15):
            self._socket.send_binary(bytes([_STDIN]) + data[start : start + (1 << 15)])
        if self.protocol == _PROTOCOLS[0]:
            self._socket.send_binary(bytes([_CLOSE, _STDIN]))

    def frames(self, deadline: float | None = None) -> Iterator[tuple[int, bytes]]:
        """(1 for stdout or 2 for stderr, bytes) until the program has ended."""
        while True:
            left = None if deadline is None else deadline - time.monotonic()
            if left is not None and left <= 0:
                raise WaitTimeout(f"{' '.join(self.argv)} in pod {self.pod} did not end in time")
            self._socket.settimeout(left)
            try:
                data = cast("bytes | str", self._socket.recv())
            except self._errors as error:
                if deadline is not None and time.monotonic() >= deadline:
                    continue
                if self.status is None:
                    raise ExecFailed(
                        f"{' '.join(self.argv)} in pod {self.pod}: the stream broke: {error}"
                    ) from error
                return
            raw = data.encode() if isinstance(data, str) else data
            if not raw:
                return
            if raw[0] in (_STDOUT, _STDERR):
                if len(raw) > 1:
                    yield raw[0], raw[1:]
            elif raw[0] == _STATUS:
                self.status = json.loads(raw[1:])
                return

    def returncode(self) -> int:
        """The exit status, negative for a signal.

        Raises:
            ProgramNotFound: the program does not exist in the container.
            ExecFailed: it could not be started, or its status is unknown.
        """
        status = self.status or {
            "status": "Failure",
            "message": "the stream ended without a status",
        }
        if status.get("status") == "Success":
            return 0
        for cause in status.get("details", {}).get("causes", []):
            if cause.get("reason") == "ExitCode":
                return signal_status(int(cause["message"]))
        message = str(status.get("message", "")).strip()
        if missing(message):
            raise ProgramNotFound(
                f"{self.argv[0]!r} does not exist in pod {self.pod}; its image does not bring it"
            )
        raise ExecFailed(f"{' '.join(self.argv)} in pod {self.pod}: {message}")

    def close(self) -> None:
        """Close the stream; the program is not ended by that."""
        self._socket.close()

    def __enter__(self) -> PodExecStream:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def run_in_pod(
    api: KubeApi,
    namespace: str,
    pod: str,
    container: str | None,
    argv: Sequence[str],
    *,
    input: str | None = None,
    timeout: float,
) -> ExecResult:
    """Run a program in a container to its end."""
    deadline = time.monotonic() + timeout
    with PodExecStream(api, namespace, pod, container, argv, stdin=input is not None) as stream:
        if input is not None:
            stream.send(input.encode())
        out = {_STDOUT: bytearray(), _STDERR: bytearray()}
        for channel, data in stream.frames(deadline):
            out[channel] += data
        code = stream.returncode()
    texts = [bytes(out[c]).decode(errors="replace") for c in (_STDOUT, _STDERR)]
    return ExecResult(tuple(argv), code, *texts)


def with_environment(argv: Sequence[str], env: Mapping[str, str] | None) -> list[str]:
    """The command line that sets variables first: exec has no field for them."""
    if not env:
        return list(argv)
    return ["env", *(f"{k}={v}" for k, v in env.items()), *argv]


def missing(message: str) -> bool:
    """Whether a runtime's message says that a program does not exist."""
    signs = ("executable file not found", "no such file or directory", "not found in $PATH")
    return any(sign in message for sign in signs)


def signal_status(code: int) -> int:
    """A container runtime's status: 128 + n for a signal n, which we show as -n."""
    return 128 - code if code in {129, 130, 131, 134, 137, 139, 141, 143} else code
