"""Root where user namespaces are forbidden, and ordinary users there: what they get or read."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from pytest_multinet import assert_ping
from pytest_multinet.cluster.embedded import open_cluster
from pytest_multinet.errors import BackendUnavailable
from pytest_multinet.model.topology import ClusterConfig
from pytest_multinet.net import holder as holder_module
from pytest_multinet.net import usable
from pytest_multinet.net.holder import HolderRefused

from .manifests import network, on, pod

# The kernel's refusal, made in the holder before it asks the kernel.
REFUSE = (
    "import sys; sys.path.insert(0, {folder!r}); import holder_process as h; e = h.Holder.enter; "
    'exec(\'def enter(self, user):\\n if user: raise OSError(1, "unshare: not permitted")\\n '
    "e(self, user)'); h.Holder.enter = enter; h.main({fd})"
)


@pytest.fixture
def no_user_namespaces(monkeypatch):
    monkeypatch.setattr(holder_module, "_BOOT", REFUSE)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, which does without")
def test_root_does_without_them(no_user_namespaces):
    mounts = Path("/proc/self/mountinfo").read_text()
    with open_cluster(ClusterConfig()) as cluster:
        cluster.link("worker", "worker2")
        cluster.apply(network("lan"))
        a, b = cluster.apply(
            [
                pod("a", on("lan", "10.1.1.1/24")),
                pod("b", on("lan", "10.1.1.2/24"), node="worker2"),
            ]
        )
        assert_ping(a, b, interface="net1")
        assert a.exec(["hostname"]).stdout == "a\n"
        assert Path("/proc/self/mountinfo").read_text() == mounts


@pytest.mark.skipif(os.geteuid() == 0, reason="root does without user namespaces")
def test_an_ordinary_user_is_told(no_user_namespaces):
    with pytest.raises(BackendUnavailable, match="embedded cannot run here"):
        open_cluster(ClusterConfig())


@pytest.mark.parametrize(
    ("files", "code", "advice"),
    [
        (
            {"_APPARMOR": "1"},
            errno.EACCES,
            "sysctl -w kernel.apparmor_restrict_unprivileged_userns=0",
        ),
        ({"_CLONE": "0"}, errno.EPERM, "sysctl -w kernel.unprivileged_userns_clone=1"),
        ({}, errno.EPERM, "--security-opt seccomp=unconfined"),
        ({}, errno.ENOSPC, "user.max_user_namespaces"),
    ],
)
def test_refusal_names_the_setting_that_forbids_it(monkeypatch, tmp_path, files, code, advice):
    for name in ("_APPARMOR", "_CLONE"):
        path = tmp_path / name
        if name in files:
            path.write_text(files[name] + "\n")
        monkeypatch.setattr(usable, name, path)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert advice in usable.explain(HolderRefused(code, os.strerror(code)))


def test_where_it_can_run_there_is_no_reason_against_it():
    assert usable.unusable_reason() is None
