"""Waiting for pods, one watch on pods and one on events a namespace, however many pods."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

from pytest_multinet.cluster.pod_events import Trouble, from_event, from_status
from pytest_multinet.cluster.rest import KubeApi, Watch
from pytest_multinet.errors import MultinetError, PodError
from pytest_multinet.model.attachment import NETWORK_STATUS_ANNOTATION
from pytest_multinet.model.nested import items, mapping

Key = tuple[str, str]  # namespace, name
_UID_FIELD = "involvedObject.kind=Pod"


@dataclass
class _Seen:
    """What was last seen of one awaited pod."""

    pod: dict[str, Any] = field(default_factory=dict[str, Any])
    trouble: Trouble | None = None
    ready: bool = False


@dataclass(frozen=True)
class _Broken:
    error: MultinetError


class PodWatch:
    """Follows pods and events of some namespaces from now on; opened before pods are made."""

    def __init__(self, api: KubeApi, namespaces: Iterable[str]) -> None:
        self._api = api
        self._queue: queue.Queue[tuple[str, str, dict[str, Any]] | _Broken] = queue.Queue()
        self._watches: list[Watch] = []
        self._threads: list[threading.Thread] = []
        for namespace in sorted(set(namespaces)):
            base = f"/api/v1/namespaces/{namespace}"
            self._follow("pod", f"{base}/pods", {})
            self._follow("event", f"{base}/events", {"fieldSelector": _UID_FIELD})

    def _follow(self, what: str, path: str, query: Mapping[str, str]) -> None:
        now = self._api.get(path, {"limit": 1, **query})["metadata"]["resourceVersion"]
        watch = self._api.watch(path, {**query, "resourceVersion": now})
        self._watches.append(watch)
        thread = threading.Thread(
            target=self._read, args=(what, watch), name=f"watch of {path}", daemon=True
        )
        self._threads.append(thread)
        thread.start()

    def _read(self, what: str, watch: Watch) -> None:
        try:
            for kind, thing in watch:
                self._queue.put((what, kind, thing))
        except MultinetError as error:
            self._queue.put(_Broken(error))

    def next(self, timeout: float) -> tuple[str, str, dict[str, Any]] | None:
        """(``pod`` or ``event``, kind of change, object), ``None`` when nothing came in time."""
        try:
            item = self._queue.get(timeout=max(timeout, 0.0))
        except queue.Empty:
            return None
        if isinstance(item, _Broken):
            raise item.error
        return item

    def close(self) -> None:
        """End the watches."""
        for watch in self._watches:
            watch.close()
        for thread in self._threads:
            thread.join(timeout=2.0)


@contextmanager
def watching(api: KubeApi, namespaces: Iterable[str]) -> Iterator[PodWatch]:
    """A :class:`PodWatch` for the ``with`` block."""
    with ExitStack() as stack:
        watch = PodWatch(api, namespaces)
        stack.callback(watch.close)
        yield watch


def wait_ready(
    watch: PodWatch,
    pods: Iterable[Mapping[str, Any]],
    *,
    timeout: float,
    enough: Callable[[Mapping[str, Any]], bool] | None = None,
) -> dict[Key, dict[str, Any]]:
    """Wait until every pod runs, and return them as last seen.

    Args:
        watch: opened before the pods were made.
        pods: the pods as created.
        timeout: seconds for all of them.
        enough: when one counts as running; default: condition Ready, or ended in success.

    Raises:
        PodError: one cannot start (at once), or did not in time (with the last cause seen).
    """
    good = enough or is_ready
    seen = {key_of(pod): _Seen(dict(pod), ready=good(pod)) for pod in pods}
    deadline = time.monotonic() + timeout
    while not all(s.ready for s in seen.values()):
        item = watch.next(deadline - time.monotonic())
        if item is None:
            if time.monotonic() >= deadline:
                raise _late(seen, timeout)
            continue
        what, kind, thing = item
        if what == "event":
            _note_event(seen, thing)
        elif (state := seen.get(key_of(thing))) is not None:
            _note_pod(state, kind, thing, good)
        for (namespace, name), state in seen.items():
            if not state.ready and state.trouble is not None and not state.trouble.passing:
                raise state.trouble.error(f"{namespace}/{name}")
    return {key: state.pod for key, state in seen.items()}


def wait_gone(
    watch: PodWatch,
    keys: Iterable[Key],
    *,
    timeout: float,
    stopping: Callable[[str], None] = lambda uid: None,
) -> set[Key]:
    """Wait until pods are gone; returns those that are still there at the end.

    Args:
        watch: opened before the pods were deleted.
        keys: the pods.
        timeout: seconds for all of them.
        stopping: called with a pod's uid once kubelet has begun to stop its containers (not
            before: a container that ends earlier would be started again).
    """
    left = set(keys)
    deadline = time.monotonic() + timeout
    while left:
        item = watch.next(deadline - time.monotonic())
        if item is None:
            return left
        what, kind, thing = item
        if what == "pod" and kind == "DELETED":
            left.discard(key_of(thing))
        elif what == "event" and thing.get("reason") == "Killing":
            about = thing["involvedObject"]
            if (about.get("namespace"), about.get("name")) in left:
                stopping(str(about.get("uid")))
    return left


def key_of(thing: Mapping[str, Any]) -> Key:
    """(namespace, name) of an object."""
    return thing["metadata"].get("namespace", ""), thing["metadata"]["name"]


def is_ready(pod: Mapping[str, Any]) -> bool:
    """Whether a pod runs: condition Ready, or ended in success."""
    status = mapping(pod, "status")
    if pod["metadata"].get("deletionTimestamp"):
        return False
    if status.get("phase") == "Succeeded":
        return True
    conditions = items(status, "conditions")
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


def has_network_status(pod: Mapping[str, Any]) -> bool:
    """Whether Multus has written what it attached."""
    return NETWORK_STATUS_ANNOTATION in mapping(pod, "metadata", "annotations")


def _note_event(seen: Mapping[Key, _Seen], event: Mapping[str, Any]) -> None:
    about = mapping(event, "involvedObject")
    state = seen.get((about.get("namespace", ""), about.get("name", "")))
    if state is None or about.get("uid") != state.pod["metadata"].get("uid"):
        return
    trouble = from_event(event)
    if trouble is not None:
        state.trouble = trouble


def _note_pod(
    state: _Seen, kind: str, pod: dict[str, Any], good: Callable[[Mapping[str, Any]], bool]
) -> None:
    namespace, name = key_of(pod)
    if pod["metadata"].get("uid") != state.pod["metadata"].get("uid"):
        return
    if kind == "DELETED":
        raise PodError("it was deleted while it was being waited for", pod=f"{namespace}/{name}")
    state.pod = pod
    state.ready = good(pod)
    trouble = from_status(pod)
    # An event tells more than a status that only repeats that an image is missing.
    if trouble is not None and not (trouble.passing and state.trouble is not None):
        state.trouble = trouble


def _late(seen: Mapping[Key, _Seen], timeout: float) -> PodError:
    waiting = {key: s for key, s in seen.items() if not s.ready}
    (namespace, name), state = next(iter(waiting.items()))
    others = f" (and {len(waiting) - 1} more)" if len(waiting) > 1 else ""
    pod = f"{namespace}/{name}{others}"
    within = f"not running within {timeout:g} s"
    if state.trouble is not None:
        error = state.trouble.error(pod)
        return PodError(
            f"{within}: {error.message}",
            pod=pod,
            reason=error.reason,
            hint=error.hint,
            node=error.node,
        )
    status = mapping(state.pod, "status")
    unmet = [
        f"{c['type']}: {c.get('reason') or c['status']}"
        for c in items(status, "conditions")
        if c["status"] != "True"
    ]
    seen_text = f"phase {status.get('phase', 'unknown')}; " + ", ".join(unmet)
    return PodError(
        f"{within}: {seen_text.rstrip('; ')}",
        pod=pod,
        hint=f"kubectl -n {namespace} describe pod {name}",
    )
