"""The Kubernetes API as plain HTTPS and JSON.

The ``kubernetes`` package takes 0.3 s to import, most of what attaching to a kept cluster may
cost; ``Cluster.api`` still gives its client to those who want one.
"""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import os
import socket
import ssl
import tempfile
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import quote, urlencode, urlsplit

from pytest_multinet.errors import ClusterError, UsageError
from pytest_multinet.model.nested import items

if TYPE_CHECKING:
    from pytest_multinet.cluster.isolation import Isolation

FIELD_MANAGER = "pytest-multinet"
APPLY = "application/apply-patch+yaml"
MERGE = "application/merge-patch+json"
JsonObject = dict[str, Any]


class ApiError(ClusterError):
    """The API server refused a request.

    Args:
        status: HTTP status; ``reason``: the API's word for it (``NotFound``, ``Conflict``, ...).
    """

    def __init__(self, status: int, reason: str, message: str) -> None:
        self.status = status
        self.reason = reason
        super().__init__(message)


class KubeApi:
    """Requests to one API server.  Safe to use from several threads.

    Args:
        kubeconfig: file with the server's address and a client certificate or a token.
        isolation: the worker's names, where workers share the cluster.
    """

    def __init__(self, kubeconfig: Path, isolation: Isolation | None = None) -> None:
        self.kubeconfig = kubeconfig
        self.isolation = isolation
        user, cluster = _current_context(kubeconfig)
        self.server = str(cluster["server"]).rstrip("/")
        parts = urlsplit(self.server)
        self.host, self.port = parts.hostname or "", parts.port or 443
        self.ssl = _ssl_context(user, cluster)
        self.headers = {"Accept": "application/json", "User-Agent": FIELD_MANAGER}
        if token := user.get("token"):
            self.headers["Authorization"] = f"Bearer {token}"
        self._idle: list[http.client.HTTPSConnection] = []
        self._lock = threading.Lock()
        self._resources: dict[str, dict[str, tuple[str, bool]]] = {}

    # --- requests ---------------------------------------------------------------------------

    def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, Any] | None = None,
        body: Any = None,
        content_type: str = "application/json",
        timeout: float = 30.0,
    ) -> JsonObject:
        """One request; the answer as an object.

        Raises:
            ApiError: the server refused it.
            ClusterError: there is no server.
        """
        if content_type == APPLY and self.isolation is not None:
            body = self.isolation.outward(body)
        status, data = self._send(method, path, query, body, content_type, timeout)
        if status >= 400:
            raise self.refusal(status, data, f"{method} {path}")
        return self.given(json.loads(data)) if data else {}

    def given(self, thing: JsonObject) -> JsonObject:
        """An object or list of the server under the names that tests know."""
        return thing if self.isolation is None else self.isolation.inward(thing)

    def real_path(self, path: str) -> str:
        """A path as the server knows it."""
        return path if self.isolation is None else self.isolation.path(path)

    def text(
        self, path: str, query: Mapping[str, Any] | None = None, timeout: float = 30.0
    ) -> str:
        """An answer that is not JSON, such as a log."""
        status, data = self._send("GET", path, query, None, "", timeout)
        if status >= 400:
            raise self.refusal(status, data, f"GET {path}")
        return data.decode(errors="replace")

    def get(self, path: str, query: Mapping[str, Any] | None = None) -> JsonObject:
        """Read one object or list."""
        return self.request("GET", path, query=query)

    def get_or_none(self, path: str) -> JsonObject | None:
        """Read one object, ``None`` where it does not exist."""
        try:
            return self.get(path)
        except ApiError as error:
            if error.status == 404:
                return None
            raise

    def apply(self, manifest: Mapping[str, Any], namespace: str | None = None) -> JsonObject:
        """Server-side apply; fields that another manager owns are a conflict, never taken."""
        query = {"fieldManager": FIELD_MANAGER}
        path = self.path_of(manifest, namespace)
        return self.request("PATCH", path, query=query, body=manifest, content_type=APPLY)

    def exists(self, manifest: Mapping[str, Any], namespace: str | None = None) -> bool:
        """Whether there is an object of that kind and name."""
        return self.get_or_none(self.path_of(manifest, namespace)) is not None

    def delete(
        self, path: str, *, grace: int | None = None, foreground: bool = False
    ) -> JsonObject | None:
        """Delete one object, or a collection; ``None`` where it does not exist."""
        body: JsonObject = {"kind": "DeleteOptions", "apiVersion": "v1"}
        body["propagationPolicy"] = "Foreground" if foreground else "Background"
        if grace is not None:
            body["gracePeriodSeconds"] = grace
        try:
            return self.request("DELETE", path, body=body)
        except ApiError as error:
            if error.status == 404:
                return None
            raise

    def watch(
        self, path: str, query: Mapping[str, Any] | None = None, *, seconds: float = 300.0
    ) -> Watch:
        """Follow a list from ``resourceVersion`` on."""
        return Watch(self, path, {**(query or {}), "timeoutSeconds": int(seconds)})

    # --- discovery --------------------------------------------------------------------------

    def resource(self, api_version: str, kind: str) -> tuple[str, bool]:
        """Plural name and whether it lives in a namespace.

        Raises:
            UsageError: the server knows no such kind.
        """
        known = self._resources.get(api_version, {})
        if kind not in known:
            known = self._discover(api_version)
        if kind not in known:
            names = ", ".join(sorted(known)) or "none"
            raise UsageError(
                f"the cluster knows no kind {kind!r} in {api_version!r} (it has: {names}); "
                "is its CustomResourceDefinition applied?"
            )
        return known[kind]

    def _discover(self, api_version: str) -> dict[str, tuple[str, bool]]:
        found = self.get_or_none(api_root(api_version))
        known = {
            r["kind"]: (r["name"], bool(r["namespaced"]))
            for r in items(found, "resources")
            if "/" not in r["name"]
        }
        self._resources[api_version] = known
        return known

    def path_of(self, manifest: Mapping[str, Any], namespace: str | None = None) -> str:
        """The path of the object that a manifest describes."""
        plural, namespaced = self.resource(manifest["apiVersion"], manifest["kind"])
        metadata = manifest["metadata"]
        path = api_root(manifest["apiVersion"])
        if namespaced:
            path += f"/namespaces/{quote(metadata.get('namespace') or namespace or 'default')}"
        return f"{path}/{plural}/{quote(metadata['name'])}"

    # --- connections ------------------------------------------------------------------------

    def connection(self, timeout: float) -> http.client.HTTPSConnection:
        """A new connection, for a request that keeps it to itself."""
        return http.client.HTTPSConnection(self.host, self.port, context=self.ssl, timeout=timeout)

    def _send(
        self,
        method: str,
        path: str,
        query: Mapping[str, Any] | None,
        body: Any,
        content_type: str,
        timeout: float,
    ) -> tuple[int, bytes]:
        path = self.real_path(path)
        if query:
            path = f"{path}?{urlencode(query, doseq=True)}"
        data = None if body is None else json.dumps(body).encode()
        headers = dict(self.headers)
        if data is not None:
            headers["Content-Type"] = content_type
        while True:
            with self._lock:
                reused = self._idle.pop() if self._idle else None
            connection = reused or self.connection(timeout)
            if reused is not None and reused.sock is not None:
                reused.sock.settimeout(timeout)
            try:
                connection.request(method, path, body=data, headers=headers)
                response = connection.getresponse()
                answer = response.read()
            except (OSError, http.client.HTTPException) as error:
                connection.close()
                if reused is not None and not isinstance(error, TimeoutError):
                    continue  # the server had closed the idle connection
                raise self.unreachable(error) from error
            if response.will_close:
                connection.close()
            else:
                with self._lock:
                    self._idle.append(connection)
            return response.status, answer

    def refusal(self, status: int, data: bytes, what: str) -> ApiError:
        """The error for an answer that is none."""
        try:
            answer = json.loads(data)
            message, reason = answer.get("message") or "", answer.get("reason") or ""
        except ValueError:
            message, reason = data.decode(errors="replace")[:500], ""
        if self.isolation is not None:
            message = self.isolation.text(message)
        return ApiError(status, reason, f"{what}: {message or status}")

    def unreachable(self, error: BaseException) -> ClusterError:
        """The error for a server that does not answer."""
        return ClusterError(
            f"the Kubernetes API at {self.server} does not answer ({error}); was the cluster "
            f"deleted, or Docker stopped? 'kind get clusters' and 'docker ps' show it "
            f"(kubeconfig: {self.kubeconfig})"
        )

    def close(self) -> None:
        """Close idle connections."""
        with self._lock:
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()


class Watch:
    """A stream of (``ADDED`` | ``MODIFIED`` | ``DELETED``, object); ``close`` ends it at once."""

    def __init__(self, api: KubeApi, path: str, query: Mapping[str, Any]) -> None:
        self._api = api
        self._path = path
        self._query = dict(query)
        self._connection = api.connection(timeout=30.0)
        self._closed = False

    def __iter__(self) -> Iterator[tuple[str, JsonObject]]:
        query = urlencode({**self._query, "watch": "1"}, doseq=True)
        isolation = self._api.isolation
        response: http.client.HTTPResponse | None = None
        try:
            path = self._api.real_path(self._path)
            self._connection.request("GET", f"{path}?{query}", headers=self._api.headers)
            response = self._connection.getresponse()
            if response.status >= 400:
                raise self._api.refusal(response.status, response.read(), f"watch {self._path}")
            if self._connection.sock is not None:
                self._connection.sock.settimeout(None)
            for line in response:
                event = json.loads(line)
                thing: JsonObject = event["object"]
                if isolation is None:
                    yield event["type"], thing
                elif isolation.is_mine(thing):
                    yield event["type"], isolation.inward(thing)
        except (OSError, ValueError, http.client.HTTPException, AttributeError) as error:
            if not self._closed:
                raise self._api.unreachable(error) from error
        finally:
            if response is not None:
                response.close()
            self._connection.close()

    def close(self) -> None:
        """End the stream; harmless when repeated, and from another thread."""
        self._closed = True
        sock = self._connection.sock
        if sock is not None:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        self._connection.close()


def api_root(api_version: str) -> str:
    """Where an API group's version lives: ``/api/v1``, ``/apis/apps/v1``."""
    return f"/apis/{api_version}" if "/" in api_version else f"/api/{api_version}"


def _current_context(path: Path) -> tuple[JsonObject, JsonObject]:
    import yaml

    try:
        config = cast("JsonObject", yaml.safe_load(path.read_text(encoding="utf-8")))
        context = _named(config["contexts"], config["current-context"])["context"]
        user = _named(config["users"], context["user"])["user"]
        return user, _named(config["clusters"], context["cluster"])["cluster"]
    except FileNotFoundError:
        raise ClusterError(f"there is no kubeconfig at {path}; was the cluster deleted?") from None
    except (KeyError, TypeError, ValueError, StopIteration) as error:
        raise ClusterError(f"{path} is not a usable kubeconfig: {error!r}") from error


def _named(entries: list[JsonObject], name: str) -> JsonObject:
    return next(e for e in entries if e["name"] == name)


def _ssl_context(user: JsonObject, cluster: JsonObject) -> ssl.SSLContext:
    ca = cluster.get("certificate-authority-data")
    context = ssl.create_default_context(
        cadata=base64.b64decode(ca).decode() if ca else None,
        cafile=cluster.get("certificate-authority"),
    )
    if cluster.get("insecure-skip-tls-verify"):
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if "client-certificate-data" in user:
        pem = b"\n".join(
            base64.b64decode(user[f"client-{k}-data"]) for k in ("certificate", "key")
        )
        descriptor, name = tempfile.mkstemp(prefix="multinet-")  # made with mode 0600
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(pem)
            context.load_cert_chain(name)
        finally:
            os.unlink(name)
    elif "client-certificate" in user:
        context.load_cert_chain(user["client-certificate"], user.get("client-key"))
    return context
