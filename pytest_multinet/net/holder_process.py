"""The program that owns the namespaces of an embedded cluster.

It runs in an interpreter of its own (``python -I -S``), so it imports only what is built in,
and speaks over a Unix seqpacket socket: one request, one reply, values by :mod:`marshal`,
descriptors by SCM_RIGHTS (unix(7)).  The socket is its life: at end of file it takes its
processes down and exits, and the kernel takes every namespace with it.

Requests are tuples ``(operation, arguments...)``; replies are ``(True, value)`` or
``(False, errno, message)``.  See :class:`pytest_multinet.net.holder.Holder` for their meaning.
"""

from __future__ import annotations

import _socket
import marshal
import os
import select
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypeAlias

    Fd: TypeAlias = tuple[int, bool]  # a descriptor to pass, and whether to close it after that
    Reply: TypeAlias = tuple[object, list[Fd]]

_signal: Any = __import__("_signal")  # without the enumerations that `signal` makes of it

CLONE_NEWNS, CLONE_NEWUTS, CLONE_NEWIPC = 0x20000, 0x4000000, 0x8000000
CLONE_NEWUSER, CLONE_NEWPID, CLONE_NEWNET = 0x10000000, 0x20000000, 0x40000000
MS_RDONLY = 1
MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_BIND, MS_REC, MS_PRIVATE = 2, 4, 8, 4096, 16384, 1 << 18
FDS_A_MESSAGE = 250  # the kernel's SCM_MAX_FD is 253
TUNSETIFF, TUNSETPERSIST = 0x400454CA, 0x400454CB
TUNSETOWNER, TUNSETGROUP = 0x400454CC, 0x400454CE
SIGKILL, SIGTERM, SIGCHLD, SIGINT, SIGHUP = 9, 15, 17, 2, 1


class _Libc:
    """The system calls that :mod:`os` lacks, by ctypes, loaded when first needed."""

    def __init__(self) -> None:
        import ctypes

        self._ctypes = ctypes
        self._lib = ctypes.CDLL(None, use_errno=True)

    def call(self, name: str, *args: object) -> None:
        if getattr(self._lib, name)(*args) != 0:
            number = self._ctypes.get_errno()
            raise OSError(number, f"{name}: {os.strerror(number)}")


class Holder:
    """Namespaces, stacks ("views") and the requests that concern them."""

    def __init__(self, control: _socket.socket) -> None:
        self.clients: dict[int, _socket.socket] = {control.fileno(): control}
        self.control = control.fileno()
        self.listener: _socket.socket | None = None
        self.kept = False
        self.namespaces: dict[int, int] = {}
        self.views: dict[int, tuple[list[int], _socket.socket, str]] = {}
        self.next_id = 0
        self.init: int | None = None
        self.init_channel: _socket.socket | None = None
        self.kept_pipe: tuple[int, int] | None = None
        self._libc: _Libc | None = None

    @property
    def libc(self) -> _Libc:
        if self._libc is None:
            self._libc = _Libc()
        return self._libc

    def unshare(self, flags: int) -> None:
        call: Callable[[int], None] | None = getattr(os, "unshare", None)  # Python 3.12
        if call is not None:
            call(flags)
        else:
            self.libc.call("unshare", flags)

    def setns(self, fd: int, kind: int) -> None:
        call: Callable[[int, int], None] | None = getattr(os, "setns", None)
        if call is not None:
            call(fd, kind)
        else:
            self.libc.call("setns", fd, kind)

    def mount(self, source: str, target: str, kind: str, flags: int, data: str = "") -> None:
        text = data.encode() or None
        self.libc.call("mount", source.encode(), target.encode(), kind.encode(), flags, text)

    # --- start ------------------------------------------------------------------------------

    def enter(self, user: bool) -> None:
        """Leave the machine's namespaces; with ``user`` into a user namespace of our own."""
        uid, gid = os.geteuid(), os.getegid()
        flags = CLONE_NEWNET | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC
        self.unshare(flags | (CLONE_NEWUSER if user else 0))
        if user:
            _write("/proc/self/setgroups", "deny")
            _write("/proc/self/uid_map", f"0 {uid} 1")
            _write("/proc/self/gid_map", f"0 {gid} 1")

    # --- requests ---------------------------------------------------------------------------

    def serve(self) -> None:
        """Answer requests until the control socket closes, or for ever once kept."""
        poll = select.poll()
        poll.register(self.control, select.POLLIN)
        while True:
            for fd, _event in poll.poll():
                if self.listener is not None and fd == self.listener.fileno():
                    accept: Any = self.listener
                    client_fd: int = accept._accept()[0]
                    self.clients[client_fd] = _socket.socket(fileno=client_fd)
                    poll.register(client_fd, select.POLLIN)
                    continue
                client = self.clients[fd]
                alive = self.answer(client)
                if self.listener is not None:
                    poll.register(self.listener.fileno(), select.POLLIN)
                if not alive:
                    poll.unregister(fd)
                    del self.clients[fd]
                    client.close()
                    if fd == self.control and not self.kept:
                        return
            self.reap()

    def answer(self, client: _socket.socket) -> bool:
        """One request; False at end of file."""
        try:
            data, ancillary, _flags, _address = client.recvmsg(1 << 18, 1 << 12)
        except ConnectionResetError:
            return False
        if not data:
            return False
        fds = [fd for _level, _type, raw in ancillary for fd in memoryview(raw).cast("i")]
        try:
            operation, *arguments = marshal.loads(data)  # noqa: S302 - from our own user
            if operation == "quit":
                client.send(marshal.dumps((True, None, 0), 2))
                self.end()
            carry_out: Callable[..., Reply] = getattr(self, f"do_{operation}")
            value, out = carry_out(fds, *arguments)
            reply: tuple[Any, ...] = (True, value)
        except OSError as error:
            reply, out = (False, error.errno or 0, str(error)), []
        except Exception as error:  # a fault of ours must reach the caller, not end the cluster
            reply, out = (False, 0, f"{type(error).__name__}: {error}"), []
        finally:
            for fd in fds:
                os.close(fd)
        everything = [fd for fd, _ in out]
        first, rest = everything[:FDS_A_MESSAGE], everything[FDS_A_MESSAGE:]
        _send(client, marshal.dumps((*reply, len(everything)) if reply[0] else reply, 2), first)
        while rest:
            part, rest = rest[:FDS_A_MESSAGE], rest[FDS_A_MESSAGE:]
            _send(client, b"+", part)
        for fd, owned in out:
            if owned:
                os.close(fd)
        return True

    def do_namespaces(self, fds: list[int], count: int, sysctls: list[tuple[str, str]]) -> Reply:
        ids: list[int] = []
        out: list[Fd] = []
        try:
            for _ in range(count):
                self.unshare(CLONE_NEWNET)
                ids.append(self.adopt())
                out.append((self.namespaces[ids[-1]], False))
                out.append((_raw_socket(16, 3, 0), True))  # AF_NETLINK, SOCK_RAW, NETLINK_ROUTE
                for path, value in sysctls:
                    _write(f"/proc/sys/net/{path}", value)
        except BaseException:
            for fd, owned in out:
                if owned:
                    os.close(fd)
            self.do_close([], ids)
            raise
        return ids, out

    def adopt(self) -> int:
        """Take the namespace that this process is in now under a number."""
        self.next_id += 1
        self.namespaces[self.next_id] = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        return self.next_id

    def do_adopt(self, fds: list[int]) -> Reply:
        """The namespace that the holder started in, as the first of the cluster's."""
        number = self.adopt()
        return number, [(self.namespaces[number], False), (_raw_socket(16, 3, 0), True)]

    def do_sockets(self, fds: list[int], wanted: list[tuple[int, int, int, int]]) -> Reply:
        out: list[Fd] = []
        try:
            for namespace, family, kind, protocol in wanted:
                self.setns(self.namespaces[namespace], CLONE_NEWNET)
                out.append((_raw_socket(family, kind, protocol), True))
        except BaseException:
            for fd, _ in out:
                os.close(fd)
            raise
        return None, out

    def do_sysctls(self, fds: list[int], wanted: list[tuple[int, str, str | None]]) -> Reply:
        out: list[object] = []
        for namespace, path, value in wanted:
            self.setns(self.namespaces[namespace], CLONE_NEWNET)
            try:
                if value is not None:
                    _write(f"/proc/sys/net/{path}", value)
                out.append(_read(f"/proc/sys/net/{path}"))
            except OSError as error:
                out.append(error.errno or 0)
        return out, []

    def do_try_sysctls(self, fds: list[int], wanted: list[tuple[int, str, str]]) -> Reply:
        """Write what can be written."""
        for namespace, path, value in wanted:
            self.setns(self.namespaces[namespace], CLONE_NEWNET)
            try:
                _write(f"/proc/sys/net/{path}", value)
            except OSError:
                continue
        return None, []

    def do_tap(
        self, fds: list[int], namespace: int, name: str, flags: int, owner: int, group: int
    ) -> Reply:
        """A tap device that stays when nobody has it open (tuntap.rst); owner, group: -1: none."""
        import fcntl

        self.setns(self.namespaces[namespace], CLONE_NEWNET)
        device = os.open("/dev/net/tun", os.O_RDWR | os.O_CLOEXEC)
        try:
            wanted = name.encode().ljust(16, b"\0") + flags.to_bytes(2, sys.byteorder) + bytes(22)
            fcntl.ioctl(device, TUNSETIFF, wanted)
            for request, number in ((TUNSETOWNER, owner), (TUNSETGROUP, group)):
                if number >= 0:  # ioctl takes a signed number
                    fcntl.ioctl(device, request, number - ((number & 1 << 31) << 1))
            fcntl.ioctl(device, TUNSETPERSIST, 1)
        finally:
            os.close(device)
        return None, []

    def do_close(self, fds: list[int], ids: list[int]) -> Reply:
        for number in ids:
            fd = self.namespaces.pop(number, None)
            if fd is not None:
                os.close(fd)
            if number in self.views:
                view, channel, _root = self.views.pop(number)
                for view_fd in view:
                    os.close(view_fd)
                channel.close()  # the view's first process sees it, and ends all others
        return None, []

    def do_view(
        self,
        fds: list[int],
        namespace: int,
        hostname: str,
        hosts: str,
        root: str | None,
    ) -> Reply:
        """A stack's own mounts, host name and processes, held by a process that sleeps."""
        if namespace in self.views:
            return None, []
        self.start_init()
        ours, theirs = _socket.socketpair(1, 5)  # AF_UNIX, SOCK_SEQPACKET
        child = os.fork()
        if child == 0:
            try:
                ours.close()
                self.setns(self.namespaces[namespace], CLONE_NEWNET)
                self.unshare(CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWPID)
                _socket.sethostname(hostname)
                pause = os.fork()
                if pause == 0:
                    self.pause(theirs, hosts, root)
            except BaseException as error:
                theirs.send(str(error).encode() or b"failed")
            finally:
                os._exit(0)
        theirs.close()
        os.waitpid(child, 0)
        data, ancillary, _flags, _address = ours.recvmsg(4096, 256)
        got = [fd for _level, _type, raw in ancillary for fd in memoryview(raw).cast("i")]
        if data != b"ready":
            ours.close()
            for fd in got:
                os.close(fd)
            raise OSError(1, data.decode(errors="replace") or "the process of the view died")
        self.views[namespace] = (got, ours, root or "/")
        return None, []

    def pause(self, ready: _socket.socket, hosts: str, root: str | None) -> None:
        """First process of a stack: its mounts, then sleep and reap (as Kubernetes' pause)."""
        try:
            kinds = ("mnt", "uts", "ipc", "pid")
            fds = [os.open(f"/proc/self/ns/{kind}", os.O_RDONLY) for kind in kinds]
            self.mount("none", "/", "none", MS_REC | MS_PRIVATE)
            if root is not None:
                self.mount(root, root, "none", MS_BIND | MS_REC)
                for folder in ("dev",):
                    if os.path.isdir(f"{root}/{folder}"):
                        self.mount(f"/{folder}", f"{root}/{folder}", "none", MS_BIND | MS_REC)
            base = root or ""
            safe = MS_NOSUID | MS_NODEV | MS_NOEXEC
            self.mount("proc", f"{base}/proc", "proc", safe)
            try:
                self.mount("sysfs", f"{base}/sys", "sysfs", safe)
            except PermissionError:  # a container's own /sys is read-only: ours may be no more
                self.mount("sysfs", f"{base}/sys", "sysfs", safe | MS_RDONLY)
            self.mount("tmpfs", f"{base}/run", "tmpfs", MS_NOSUID | MS_NODEV, "mode=755")
            place = f"{base}/var/lib/cni"
            if not os.path.isdir(place):
                place = f"{base}/var/lib"
            if os.path.isdir(place):
                self.mount("tmpfs", place, "tmpfs", MS_NOSUID | MS_NODEV, "mode=755")
            if not place.endswith("cni"):
                os.makedirs(f"{base}/var/lib/cni", exist_ok=True)
            for folder in ("netns", "lock", "cni-ipam-state"):
                os.mkdir(f"{base}/run/{folder}", 0o755)
            if os.path.isfile(f"{base}/etc/hosts"):
                _write(f"{base}/run/.hosts", hosts, os.O_CREAT)
                self.mount(f"{base}/run/.hosts", f"{base}/etc/hosts", "none", MS_BIND)
            ready.sendmsg([b"ready"], [(1, 1, _ints(fds))])
            _reap_until_closed(ready)
        except BaseException as error:
            ready.send(str(error).encode() or b"failed")
        finally:
            os._exit(1)

    def do_run(
        self,
        fds: list[int],
        namespace: int,
        argv: list[str],
        env: dict[str, str],
        cwd: str | None,
        passed: int,
        terminal: bool,
    ) -> Reply:
        """Start a program in a view; fds: stdin, stdout, stderr, status, ``passed`` more."""
        if self.kept_pipe is None:
            self.kept_pipe = os.pipe()
        if os.fork() == 0:
            try:
                self.supervise(fds, namespace, argv, env, cwd, passed, terminal)
            finally:
                os._exit(127)
        return None, []

    def supervise(
        self,
        fds: list[int],
        namespace: int,
        argv: list[str],
        env: dict[str, str],
        cwd: str | None,
        passed: int,
        terminal: bool,
    ) -> None:
        """Run one program; tell its end on the status socket, obey signals from there."""
        ioctl = None
        if terminal:  # what is imported must be so before the machine's files go out of sight
            import fcntl

            ioctl = fcntl.ioctl
        stdin, stdout, stderr, status, *more = fds
        kept = self.kept_pipe[0] if self.kept_pipe else -1  # `do_run` has made it
        channel = _socket.socket(fileno=status)
        (mounts, uts, ipc, pids), _channel, root = self.views[namespace]
        self.setns(self.namespaces[namespace], CLONE_NEWNET)
        for fd, kind in ((uts, CLONE_NEWUTS), (ipc, CLONE_NEWIPC), (pids, CLONE_NEWPID)):
            self.setns(fd, kind)
        self.setns(mounts, CLONE_NEWNS)
        os.chroot(root)
        wake_r, wake_w = os.pipe()
        os.set_blocking(wake_w, False)
        _signal.set_wakeup_fd(wake_w, warn_on_full_buffer=False)
        _signal.signal(SIGCHLD, _ignore)
        error_r, error_w = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                _signal.set_wakeup_fd(-1)
                _signal.signal(SIGCHLD, _signal.SIG_DFL)
                os.setsid()
                os.chdir(cwd or "/")
                os.dup2(stdin, 0)
                os.dup2(stdout, 1)
                os.dup2(stderr, 2)
                if ioctl is not None:
                    ioctl(0, 0x540E, 0)  # TIOCSCTTY, ioctl_tty(2)
                for fd in more[:passed]:
                    os.set_inheritable(fd, True)
                own = str(os.getpid())
                for key, value in env.items():
                    env[key] = value.replace("{pid}", own)
                    if passed:
                        env[key] = env[key].replace("{fd}", str(more[0]))
                _exec(argv, env)
            except OSError as error:
                os.write(error_w, str(error.errno or 1).encode())
            finally:
                os._exit(127)
        os.close(error_w)
        problem = os.read(error_r, 16)
        if problem:
            os.waitpid(child, 0)
            channel.send(b"error " + problem)
            return
        channel.send(b"started")
        _close_all((status, wake_r, wake_w, kept))
        poll = select.poll()
        poll.register(status, select.POLLIN)
        poll.register(wake_r, select.POLLIN)
        while True:
            for fd, _event in poll.poll():
                if fd == wake_r:
                    os.read(wake_r, 64)
                    pid, code = os.waitpid(child, os.WNOHANG)
                    if pid:
                        _try_send(channel, f"exit {os.waitstatus_to_exitcode(code)}".encode())
                        return
                    continue
                order = _try_receive(channel)
                if order:
                    _kill_group(child, int(order))
                elif select.select([kept], [], [], 0)[0]:
                    poll.unregister(status)  # the environment is kept: so is its program
                else:
                    _kill_group(child, SIGKILL)
                    poll.unregister(status)

    def do_keep(self, fds: list[int], path: str) -> Reply:
        """Outlive the control socket, and listen at ``path`` for others."""
        listener = _socket.socket(1, 5)
        listener.bind(path)
        listener.listen(8)
        self.listener = listener
        self.kept = True
        if self.kept_pipe is None:
            self.kept_pipe = os.pipe()
        os.write(self.kept_pipe[1], b"k")
        return os.getpid(), []

    # --- processes --------------------------------------------------------------------------

    def start_init(self) -> None:
        """The first process of our pid namespace: the kernel ends all others with it."""
        if self.init is not None:
            return
        ours, theirs = _socket.socketpair(1, 5)
        self.init = os.fork()
        if self.init == 0:
            try:
                self.libc.call("prctl", 1, SIGKILL, 0, 0, 0)  # PR_SET_PDEATHSIG
                theirs.send(b"ready")
                _reap_until_closed(theirs)
            finally:
                os._exit(1)
        theirs.close()
        ours.recv(16)
        self.init_channel = ours

    def reap(self) -> None:
        """Collect what has ended; the loss of init ends us."""
        while True:
            try:
                pid, _ = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if pid == self.init:
                self.init = None
                self.end()

    def end(self) -> None:
        """Take every process down and exit; the namespaces follow."""
        if self.listener is not None:
            try:
                os.unlink(self.listener.getsockname())
            except OSError:
                pass
        if self.init is not None:
            os.kill(self.init, SIGKILL)
            try:
                while True:  # init ends only when all of its namespace are reaped, ours too
                    os.waitpid(-1, 0)
            except ChildProcessError:
                pass
        os._exit(0)


def _ignore(*_arguments: object) -> None:
    """A handler that only wakes."""


def _write(path: str, text: str, flags: int = 0) -> None:
    fd = os.open(path, os.O_WRONLY | flags, 0o644)
    try:
        os.write(fd, text.encode())
    finally:
        os.close(fd)


def _read(path: str) -> str:
    fd = os.open(path, os.O_RDONLY)
    try:
        return os.read(fd, 65536).decode().rstrip("\n")
    finally:
        os.close(fd)


def _raw_socket(family: int, kind: int, protocol: int) -> int:
    return _socket.socket(family, kind, protocol).detach()


def _ints(values: list[int]) -> bytes:
    return b"".join(v.to_bytes(4, sys.byteorder) for v in values)


def _send(client: _socket.socket, data: bytes, fds: list[int]) -> None:
    try:
        client.sendmsg([data], [(1, 1, _ints(fds))] if fds else [])  # SOL_SOCKET, SCM_RIGHTS
    except (BrokenPipeError, ConnectionResetError):
        pass


def _try_send(channel: _socket.socket, data: bytes) -> None:
    try:
        channel.send(data)
    except OSError:
        pass


def _try_receive(channel: _socket.socket) -> bytes:
    try:
        return channel.recv(64)
    except OSError:
        return b""


def _exec(argv: list[str], env: dict[str, str]) -> None:
    """execvp(3): the first program of that name in PATH that can be run."""
    if "/" in argv[0]:
        os.execve(argv[0], argv, env)  # noqa: S606 - never a shell
    found: OSError | None = None
    for folder in env.get("PATH", "").split(":"):
        try:
            os.execve(f"{folder}/{argv[0]}", argv, env)  # noqa: S606
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:  # kept: another folder may still have it
            if os.path.exists(f"{folder}/{argv[0]}"):
                found = error
    raise found or FileNotFoundError(2, "no such program")


def _kill_group(leader: int, number: int) -> None:
    for kill in (os.killpg, os.kill):
        try:
            kill(leader, number)
            return
        except OSError:
            continue


def _close_all(keep: tuple[int, ...]) -> None:
    """Close every descriptor but 0, 1, 2 and those in ``keep``."""
    low = 3
    for fd in sorted(keep):
        os.closerange(low, fd)
        low = fd + 1
    os.closerange(low, 1 << 20)


def _reap_until_closed(channel: _socket.socket) -> None:
    """The life of a first process: reap orphans until the holder closes the channel."""
    wake_r, wake_w = os.pipe()
    os.set_blocking(wake_w, False)
    _close_all((channel.fileno(), wake_r, wake_w))
    _signal.signal(SIGINT, _signal.SIG_IGN)
    _signal.signal(SIGHUP, _signal.SIG_IGN)
    _signal.set_wakeup_fd(wake_w, warn_on_full_buffer=False)
    _signal.signal(SIGCHLD, _ignore)
    while True:
        readable, _, _ = select.select([channel, wake_r], [], [])
        if channel in readable:
            return
        os.read(wake_r, 64)
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            pass


def main(fd: int) -> None:
    """Serve on the control socket ``fd`` until it closes."""
    os.set_inheritable(fd, False)
    holder = Holder(_socket.socket(fileno=fd))
    try:
        try:
            holder.enter(user=True)
        except OSError as error:
            if os.geteuid() != 0:
                raise
            first = error
            try:
                holder.enter(user=False)
            except OSError:
                raise first from None
    except OSError as error:
        holder.clients[fd].send(marshal.dumps((False, error.errno or 0, str(error)), 2))
        return
    number, out = holder.do_adopt([])
    started: Any = (True, (number, os.getpid()), len(out))
    reply = marshal.dumps(started, 2)
    _send(holder.clients[fd], reply, [f for f, _ in out])
    os.close(out[1][0])
    holder.serve()
    holder.end()
