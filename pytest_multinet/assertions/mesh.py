"""Every ordered pair of many pods: who reaches whom, against who should."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TypeAlias

from pytest_multinet.assertions.failure import diagnosed, text_of
from pytest_multinet.assertions.identity import is_from
from pytest_multinet.cluster.stack import NetworkStack
from pytest_multinet.diagnosis.finding import Finding
from pytest_multinet.errors import UsageError
from pytest_multinet.model.interface import Interface, IPAddress
from pytest_multinet.model.mesh import Matrix, MeshResult
from pytest_multinet.probe.local import LocalProber
from pytest_multinet.probe.mesh import End, Mesh, Pair

Rows: TypeAlias = Sequence[Sequence[bool]]
ByName: TypeAlias = Mapping[tuple[str, str], bool]
Rule: TypeAlias = Callable[[NetworkStack, NetworkStack], bool]
Expectation: TypeAlias = str | Rows | ByName | Rule
Probe: TypeAlias = str | tuple[str, int]

_FIRST_PATIENCE = 0.02  # s that a block of the first round is given: what is sound needs none
_QUIET_PATIENCE = 0.1  # s that a pair which must not answer is listened to, each round
_QUIET_ROUNDS = 3
_AT_ONCE = 8  # probes in flight where each runs a program
_DIAGNOSED = 6  # groups of failed pairs that are walked


def assert_mesh(
    pods: Iterable[NetworkStack],
    interface: str = "net1",
    *,
    expect: Expectation = "all",
    probe: Probe = "icmp",
    version: int = 4,
    timeout: float = 1.0,
    within: float | None = None,
    during: float = 1.0,
) -> MeshResult:
    """Every ordered pair of ``pods`` reaches each other over ``interface``, or as ``expect`` says.

    Pairs that should reach each other are probed until they do; pairs that should not are
    probed three times or more over ``during`` seconds.

    Args:
        pods: pods or nodes, each once.
        interface: interface that they probe from and are probed at.
        expect: ``all``, ``none``, a matrix (row: source, column: target; the diagonal does not
            matter), a mapping of pairs of names (absent ones: false), or a function of source
            and target.
        probe: ``icmp``, ``arp``, ``("tcp", port)`` or ``("udp", port)``; of the latter two the
            servers are the test's own (``pod.listen(port)``).
        version: IP version of the addresses.
        timeout: seconds that one probe may take from the second round on.
        within: seconds for the pairs that should reach; ``None``: the pods' ``patience``.
        during: seconds over which the others must stay silent.

    Returns:
        What was seen; ``.table()`` shows it.
    """
    __tracebackhide__ = True
    stacks = list(pods)
    name = _probe_name(probe)
    if len({id(s) for s in stacks}) != len(stacks):
        raise UsageError("a stack stands in the mesh twice; expected each once")
    wanted = _matrix(stacks, expect)
    patience = within
    if patience is None:
        patience = max((s.patience for s in stacks), default=0.0)
    run = _Run(stacks, interface, probe, version, timeout)
    run.to_the_end(wanted, patience, during)
    result = MeshResult(
        tuple(s.name for s in stacks), interface, name, wanted, run.matrix(), run.rounds
    )
    if result:
        return result
    raise _failure(result, stacks, run, patience)


# --- what was asked for ---------------------------------------------------------------------


def _probe_name(probe: Probe) -> str:
    if probe in ("icmp", "arp"):
        return str(probe)
    if isinstance(probe, tuple) and probe[0] in ("tcp", "udp"):
        return f"{probe[0]}/{probe[1]}"
    raise UsageError(f'probe is {probe!r}; expected "icmp", "arp", ("tcp", port) or ("udp", port)')


def _matrix(stacks: Sequence[NetworkStack], expect: Expectation) -> Matrix:
    count = len(stacks)
    if isinstance(expect, str):
        if expect not in ("all", "none"):
            raise UsageError(f"expect is {expect!r}; expected all, none, a matrix or a function")
        return tuple((expect == "all",) * count for _ in range(count))
    if callable(expect):
        return tuple(
            tuple(i != j and bool(expect(a, b)) for j, b in enumerate(stacks))
            for i, a in enumerate(stacks)
        )
    if isinstance(expect, Mapping):
        pairs = expect
        names = {s.name for s in stacks}
        strange = [name for pair in pairs for name in pair if name not in names]
        if strange:
            known = ", ".join(sorted(names))
            raise UsageError(f"expect names {strange[0]!r}, which is not in the mesh: {known}")
        return tuple(tuple(bool(pairs.get((a.name, b.name))) for b in stacks) for a in stacks)
    rows = [list(row) for row in expect]
    if len(rows) != count or any(len(row) != count for row in rows):
        shape = f"{len(rows)} rows of {sorted({len(r) for r in rows})}"
        raise UsageError(f"expect has {shape} columns; expected {count} by {count}")
    return tuple(tuple(bool(cell) for cell in row) for row in rows)


# --- probing --------------------------------------------------------------------------------


@dataclass
class _Run:
    """The probing of one mesh."""

    stacks: Sequence[NetworkStack]
    interface: str
    probe: Probe
    version: int
    timeout: float
    reached: set[Pair] = field(default_factory=set[Pair])
    rounds: int = 0
    ends: list[Interface | None] = field(default_factory=list["Interface | None"])

    def matrix(self) -> Matrix:
        """Who was reached."""
        count = len(self.stacks)
        return tuple(tuple((i, j) in self.reached for j in range(count)) for i in range(count))

    def to_the_end(self, wanted: Matrix, patience: float, during: float) -> None:
        """Probe until the wanted pairs answer, and hear whether the others stay silent."""
        count = len(self.stacks)
        pairs = [(i, j) for i in range(count) for j in range(count) if i != j]
        positive = {p for p in pairs if wanted[p[0]][p[1]]}
        negative = [p for p in pairs if p not in positive]
        started = time.monotonic()
        self._round(pairs, _FIRST_PATIENCE if not negative else _QUIET_PATIENCE)
        self._insist(positive, started + patience)
        self._listen(negative, started, during)

    def _insist(self, positive: set[Pair], deadline: float) -> None:
        """Probe the missing ones again until they answer or time is over."""
        if positive <= self.reached:
            return
        from tenacity import Retrying, retry_if_result, stop_after_delay
        from tenacity.wait import wait_exponential

        def again() -> set[Pair]:
            missing = positive - self.reached
            left = max(0.05, deadline - time.monotonic())
            self._round(sorted(missing), min(self.timeout, left))
            return positive - self.reached

        retrying: Retrying = Retrying(
            stop=stop_after_delay(max(0.0, deadline - time.monotonic())),
            wait=wait_exponential(multiplier=0.01, max=0.5),
            retry=retry_if_result(bool),
            retry_error_callback=lambda state: None,
        )
        retrying(again)

    def _listen(self, negative: list[Pair], started: float, during: float) -> None:
        """Two more rounds at least, spread over ``during`` seconds."""
        for number in range(1, _QUIET_ROUNDS):
            silent = [p for p in negative if p not in self.reached]
            if not silent:
                return
            rest = started + during * number / (_QUIET_ROUNDS - 1) - time.monotonic()
            if rest > 0:
                time.sleep(rest)  # the quiet between looks of one fixed schedule
            self._round(silent, _QUIET_PATIENCE)

    def _round(self, pairs: Iterable[Pair], patience: float) -> None:
        self.rounds += 1
        self.ends = [
            next((i for i in stack.interfaces if i.name == self.interface), None)
            for stack in self.stacks
        ]
        addresses = [self._address(end) for end in self.ends]
        probers = [stack.prober for stack in self.stacks]
        local = [p for p in probers if isinstance(p, LocalProber)]
        usable = [(i, j) for i, j in pairs if addresses[i] and addresses[j]]
        slow = usable
        if self.probe == "icmp" and len(local) == len(probers):
            holders = Counter(addresses)
            alone = [holders[address] == 1 for address in addresses]
            fast = [(i, j) for i, j in usable if alone[i] and alone[j]]
            slow = [(i, j) for i, j in usable if not (alone[i] and alone[j])]
            if fast:
                self.reached |= self._by_sockets(fast, local, addresses, patience)
        if slow:
            self.reached |= self._one_by_one(slow, addresses, patience)

    def _address(self, end: Interface | None) -> IPAddress | None:
        held = [a.ip for a in end.addresses if a.version == self.version] if end else []
        held.sort(key=lambda a: a.is_link_local)
        return held[0] if held and not held[0].is_link_local else None

    def _by_sockets(
        self,
        pairs: Sequence[Pair],
        probers: Sequence[LocalProber],
        addresses: Sequence[IPAddress | None],
        patience: float,
    ) -> set[Pair]:
        places = sorted({p for pair in pairs for p in pair})
        ends: list[End] = []
        for p in places:
            held, address = self.ends[p], addresses[p]
            if held is not None and address is not None:
                ends.append(End(probers[p].namespace, held.name, held.index, address))
        row = {place: number for number, place in enumerate(places)}
        with Mesh(ends, probers[0].budget) as mesh:
            answered = mesh.probe([(row[i], row[j]) for i, j in pairs], patience)
        return {(places[i], places[j]) for i, j in answered}

    def _one_by_one(
        self, pairs: Sequence[Pair], addresses: Sequence[IPAddress | None], patience: float
    ) -> set[Pair]:
        def ask(pair: Pair) -> bool:
            address = addresses[pair[1]]
            return address is not None and self._ask(pair, address, max(patience, 0.1))

        local = all(isinstance(s.prober, LocalProber) for s in self.stacks)
        if local:
            return {pair for pair in pairs if ask(pair)}
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            return {p for p, ok in zip(pairs, pool.map(ask, pairs), strict=True) if ok}

    def _ask(self, pair: Pair, address: IPAddress, timeout: float) -> bool:
        source, target = self.stacks[pair[0]], self.stacks[pair[1]]
        if self.probe == "arp":
            mac = self.ends[pair[1]]
            seen = source.prober.arping(
                address, interface=self.interface, count=1, timeout=timeout
            )
            return bool(seen) and mac is not None and seen.mac == mac.mac
        if self.probe == "icmp":
            answer = source.ping(address, interface=self.interface, timeout=timeout)
        else:
            protocol, port = self.probe
            answer = source.connect(
                address, int(port), protocol=protocol, interface=self.interface, timeout=timeout
            )
        return bool(answer) and is_from(target, source, address, self.interface)


# --- failures -------------------------------------------------------------------------------


def _failure(
    result: MeshResult, stacks: Sequence[NetworkStack], run: _Run, patience: float
) -> AssertionError:
    bad = list(result.different)
    missing = [(i, j) for i, j in bad if result.expected[i][j]]
    surplus = [(i, j) for i, j in bad if not result.expected[i][j]]
    total, reached, _ = result.counts()
    meant = sum(result.expected[i][j] for i, j in result.pairs)
    seen = f"{reached} of {total} pairs reach"
    if missing:
        seen += f"; {len(missing)} do not and should"
    if surplus:
        shown = ", ".join(_arrow(result, pair) for pair in surplus[:4])
        seen += f"; {len(surplus)} do and should not ({shown})"
    lines = text_of(
        f"{len(stacks)} stacks should reach each other over {result.interface} by "
        f"{result.probe} as expected",
        expected=f"{meant} of {total} pairs within {patience:g} s",
        seen=f"{seen}\n{_indented(result.table())}",
    )
    findings = [] if not missing else _causes(missing, stacks, run, result)
    for finding, pairs in findings:
        shown = ", ".join(_arrow(result, pair) for pair in pairs[:4])
        more = f" and {len(pairs) - 4} more" if len(pairs) > 4 else ""
        lines += [f"  {len(pairs)} pairs: {shown}{more}", *finding.lines()]
    return diagnosed(lines, findings[0][0] if findings else None, mesh=result)


def _causes(
    missing: Sequence[Pair], stacks: Sequence[NetworkStack], run: _Run, result: MeshResult
) -> list[tuple[Finding, list[Pair]]]:
    """Every cause once, with the pairs that it explains."""
    found: dict[tuple[str, str, str], tuple[Finding, list[Pair]]] = {}
    for pairs in _groups(missing, stacks, result)[:_DIAGNOSED]:
        finding = _walk(pairs[0], stacks, run)
        if finding is None:
            continue
        key = (finding.layer, finding.symptom, finding.where if finding.symptom else finding.cause)
        found.setdefault(key, (finding, []))[1].extend(pairs)
    return list(found.values())


def _groups(
    missing: Sequence[Pair], stacks: Sequence[NetworkStack], result: MeshResult
) -> list[list[Pair]]:
    """Failed pairs that will have one cause: one lonely stack, or two nodes that are apart."""
    count = len(stacks)
    lost = set(missing)
    lonely = [
        p
        for p in range(count)
        if all(
            pair in lost
            for q in range(count)
            for pair in ((p, q), (q, p))
            if p != q and result.expected[pair[0]][pair[1]]
        )
    ]
    if len(lonely) == count:
        lonely = []
    groups: dict[object, list[Pair]] = {}
    for i, j in missing:
        alone = next((p for p in lonely if p in (i, j)), None)
        nodes = frozenset(_node(stacks[p]) for p in (i, j))
        groups.setdefault(("alone", alone) if alone is not None else nodes, []).append((i, j))
    for alone in lonely:  # it is looked at as the source
        if ("alone", alone) in groups:
            groups["alone", alone].sort(key=lambda pair: pair[0] in lonely, reverse=True)
    return sorted(groups.values(), key=len, reverse=True)


def _node(stack: NetworkStack) -> str:
    node = getattr(stack, "node", None)
    return node.name if node is not None else stack.name


def _walk(pair: Pair, stacks: Sequence[NetworkStack], run: _Run) -> Finding | None:
    from pytest_multinet.diagnosis.layers import diagnose_interface, diagnose_path

    source, target = stacks[pair[0]], stacks[pair[1]]
    for place, stack in zip(pair, (source, target), strict=True):
        held = run.ends[place]
        if held is None or not any(a.version == run.version for a in held.addresses):
            return diagnose_interface(stack, run.interface)
    address = target.address_on(run.interface, run.version)
    if run.probe == "arp":
        seen = source.prober.arping(address, interface=run.interface, count=1, timeout=0.5)
    elif run.probe == "icmp":
        seen = source.ping(address, interface=run.interface, timeout=0.5)
    else:
        protocol, port = run.probe
        seen = source.connect(
            address, int(port), protocol=protocol, interface=run.interface, timeout=0.5
        )
    return diagnose_path(source, target, address, run.interface, seen)


def _arrow(result: MeshResult, pair: Pair) -> str:
    return f"{result.names[pair[0]]} -> {result.names[pair[1]]}"


def _indented(text: str) -> str:
    return "\n".join(f"    {line}".rstrip() for line in text.splitlines())
