"""The pictures: nothing hides anything, and what broke is red."""

from __future__ import annotations

import re
from itertools import combinations
from xml.etree import ElementTree

import pytest

from pytest_multinet import MeshResult, assert_ping
from pytest_multinet.assertions.failure import finding_of
from pytest_multinet.cluster.base import Cluster
from pytest_multinet.report.mesh_svg import mesh_svg
from pytest_multinet.report.topology import Picture, as_mermaid, as_text, draw
from pytest_multinet.report.topology_svg import as_svg

from .conftest import at, network, pod

SVG = "{http://www.w3.org/2000/svg}"
RED = "#c62828"


@pytest.fixture
def six_pods(cluster: Cluster) -> Cluster:
    """3 nodes, 6 pods, 3 networks, 3 links."""
    cluster.link("worker", "worker2", name="eth2")
    cluster.link("control-plane", "worker2", name="eth3")
    cluster.apply(
        [
            network("macvlan-conf"),
            network("storage", master="eth2", mode="private"),
            network("control", master="eth3"),
        ]
    )
    pods = [
        pod(
            cluster,
            f"pod{n}",
            ("worker", "worker2")[n % 2],
            at("macvlan-conf", f"10.1.1.{n}/24", f"fd00:1:2:3:4:5:6:{n}/64"),
            at("storage", f"192.168.70.{n}/24"),
        )
        for n in range(1, 5)
    ]
    pods += [
        pod(cluster, f"gateway-with-a-long-name-{n}", node, at("control", f"172.30.0.{n}/16"))
        for n, node in ((1, "control-plane"), (2, "worker2"))
    ]
    cluster.apply(pods)
    return cluster


def broken(cluster: Cluster) -> Picture:
    a, b = cluster.pod("pod1"), cluster.pod("pod2")
    link = next(link for link in cluster.node_links if link.name == "eth1")
    with link.cut():
        with pytest.raises(AssertionError) as caught:
            assert_ping(a, b, interface="net1", within=0.1)
        return draw(cluster, finding_of(caught.value))


def boxes(svg: str) -> list[tuple[str, float, float, float, float]]:
    """Every text with the rectangle that it takes, by the width of its characters."""
    found = []
    for text in ElementTree.fromstring(svg).iter(f"{SVG}text"):
        size = float(text.get("font-size", "12"))
        x, y = float(text.get("x", "0")), float(text.get("y", "0"))
        words = text.text or ""
        found.append((words, x, y - size * 0.8, x + len(words) * size * 0.602, y + size * 0.2))
    return found


def test_no_label_overlaps_another(six_pods: Cluster) -> None:
    for picture in (draw(six_pods), broken(six_pods)):
        found = boxes(as_svg(picture))
        assert len(found) > 40
        for a, b in combinations(found, 2):
            apart = a[3] <= b[1] or b[3] <= a[1] or a[4] <= b[2] or b[4] <= a[2]
            assert apart, (a, b)


def test_no_label_leaves_the_picture(six_pods: Cluster) -> None:
    svg = as_svg(broken(six_pods))
    root = ElementTree.fromstring(svg)
    width, height = float(root.get("width", "0")), float(root.get("height", "0"))
    for words, x0, y0, x1, y1 in boxes(svg):
        assert x0 >= 0, words
        assert x1 <= width, words
        assert y0 >= 0, words
        assert y1 <= height, words


def test_the_broken_link_is_red_and_the_others_are_not(six_pods: Cluster) -> None:
    sound, bad = as_svg(draw(six_pods)), as_svg(broken(six_pods))
    assert RED not in sound
    dashed = re.findall(r"<path[^>]*stroke-dasharray[^>]*>", bad)
    assert len(dashed) == 1
    assert RED in dashed[0]
    assert f'fill="{RED}" xml:space="preserve">eth1  mtu 1500<' in bad
    assert "eth1: worker -- worker2, mtu 1500  <-- broken" in as_text(broken(six_pods))


def test_mermaid_numbers_the_edge_that_it_paints_red(six_pods: Cluster) -> None:
    text = as_mermaid(broken(six_pods))
    edges = [line.strip() for line in text.splitlines() if "---|" in line or "===|" in line]
    (number,) = re.findall(r"linkStyle (\d+) stroke:#c00", text)
    assert edges[int(number)] == "node_worker ===|eth1 mtu 1500| node_worker2"
    assert text.count("subgraph ") == text.count("\n  end\n") == 3


def test_the_mesh_frames_in_red_what_differs() -> None:
    names = ("a", "b", "c")
    yes, no = (True,) * 3, (False,) * 3
    result = MeshResult(names, "net1", "icmp", (yes, yes, yes), (yes, no, yes))
    svg = mesh_svg(result)
    assert svg.count(RED) == 2
    assert "4 of 6 pairs reach over net1, 2 differ" in svg
    ElementTree.fromstring(svg)
