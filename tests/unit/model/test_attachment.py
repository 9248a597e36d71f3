"""The pod annotation that attaches networks: short form, JSON form, warnings, errors."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_multinet.errors import ManifestError
from pytest_multinet.model.attachment import (
    AnnotationWarning,
    Bandwidth,
    NetworkSelection,
    PortMapping,
    check_gateways,
    dump_networks,
    interface_names,
    parse_default_network,
    parse_networks,
)
from pytest_multinet.model.manifest import load_documents

EVERY_KEY = {
    "name",
    "namespace",
    "interface",
    "ips",
    "mac",
    "infiniband-guid",
    "portMappings",
    "bandwidth",
    "deviceID",
    "default-route",
    "cni-args",
    "ipam-claim-reference",
}


def parse(annotation: str | list[Any] | dict[str, Any]) -> tuple[NetworkSelection, ...]:
    text = annotation if isinstance(annotation, str) else json.dumps(annotation)
    return parse_networks(text, "default")


def one(**element: Any) -> NetworkSelection:
    (selection,) = parse([{"name": "a", **element}])
    return selection


def refused(annotation: str | list[Any] | dict[str, Any]) -> ManifestError:
    with pytest.raises(ManifestError) as caught:
        parse(annotation)
    return caught.value


class TestShortForm:
    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("mv", [NetworkSelection("mv", "default")]),
            ("lab/mv", [NetworkSelection("mv", "lab")]),
            ("mv@net7", [NetworkSelection("mv", "default", "net7")]),
            ("lab/mv@net7", [NetworkSelection("mv", "lab", "net7")]),
            ("mv,mv", [NetworkSelection("mv"), NetworkSelection("mv")]),
            ("  mv , lab/br@x0\n", [NetworkSelection("mv"), NetworkSelection("br", "lab", "x0")]),
            (" lab / mv @ x0 ", [NetworkSelection("mv", "lab", "x0")]),
            ("null", [NetworkSelection("null")]),
            ("mv@eth0.100", [NetworkSelection("mv", interface="eth0.100")]),
            ("mv@", [NetworkSelection("mv")]),
        ],
    )
    def test_reads(self, text: str, expected: list[NetworkSelection]) -> None:
        assert parse(text) == tuple(expected)

    def test_an_empty_annotation_attaches_nothing(self) -> None:
        assert parse("") == ()

    def test_the_namespace_is_that_of_the_pod(self) -> None:
        assert parse_networks("mv", "lab")[0].namespace == "lab"

    def test_order_is_kept(self) -> None:
        assert [s.name for s in parse("c,a,b")] == ["c", "a", "b"]


class TestJsonForm:
    def test_everything_absent_is_empty(self) -> None:
        assert one() == NetworkSelection("a", "default")

    def test_an_empty_list_attaches_nothing(self) -> None:
        assert parse("[]") == ()

    def test_every_key_is_read(self) -> None:
        element = {
            "name": "a",
            "namespace": "lab",
            "interface": "x0",
            "ips": ["10.1.1.101/24", "fd00::1/64"],
            "mac": "02-00-00-00-00-AA",
            "infiniband-guid": "C2:11:22:33:44:55:66:77",
            "portMappings": [
                {"hostPort": 8080, "containerPort": 80, "protocol": "UDP", "hostIP": "10.0.0.1"},
                {"hostPort": 8081, "containerPort": 81},
            ],
            "bandwidth": {"ingressRate": 1000, "ingressBurst": 2000},
            "deviceID": "0000:00:01.0",
            "default-route": ["10.1.1.1", "fd00::ff"],
            "cni-args": {"key": {"deep": [1]}},
            "ipam-claim-reference": "claim",
        }
        assert set(element) == EVERY_KEY
        assert parse([element]) == (
            NetworkSelection(
                name="a",
                namespace="lab",
                interface="x0",
                ips=("10.1.1.101/24", "fd00::1/64"),
                mac="02:00:00:00:00:aa",
                infiniband_guid="c2:11:22:33:44:55:66:77",
                port_mappings=(
                    PortMapping(8080, 80, "udp", "10.0.0.1"),
                    PortMapping(8081, 81),
                ),
                bandwidth=Bandwidth(1000, 2000),
                default_route=("10.1.1.1", "fd00::ff"),
                cni_args={"key": {"deep": [1]}},
                device_id="0000:00:01.0",
                ipam_claim_reference="claim",
            ),
        )

    def test_an_absent_default_route_differs_from_an_empty_one(self) -> None:
        assert one().default_route is None
        assert one(**{"default-route": []}).default_route == ()

    def test_null_counts_as_absent(self) -> None:
        empty = dict.fromkeys(EVERY_KEY)
        assert one(**{**empty, "name": "a"}) == NetworkSelection("a")

    def test_keys_count_without_regard_to_case(self) -> None:
        (selection,) = parse('[{"Name": "a", "IPS": ["10.0.0.1/8"], "PortMappings": []}]')
        assert selection == NetworkSelection("a", ips=("10.0.0.1/8",))

    def test_an_exact_key_wins_over_one_in_other_case(self) -> None:
        assert parse('[{"name": "a", "NAME": "b"}]')[0].name == "a"
        assert parse('[{"NAME": "b", "name": "a"}]')[0].name == "a"

    def test_the_older_key_for_the_interface_still_counts(self) -> None:
        assert one(interfaceRequest="x0").interface == "x0"
        assert one(interfaceRequest="x0", interface="x1").interface == "x1"

    def test_a_name_with_dots_is_possible_in_json_only(self) -> None:
        assert parse('[{"name": "net.v1"}]')[0].name == "net.v1"
        assert "comma-delimited format" in refused("net.v1").message

    def test_addresses_without_prefix_length_are_taken_on_request(self) -> None:
        (selection,) = parse_networks(
            '[{"name": "a", "ips": ["10.0.0.1"]}]', "default", bare_addresses=True
        )
        assert selection.ips == ("10.0.0.1",)

    def test_selections_are_hashable(self) -> None:
        assert len({one(), one(), one(interface="x")}) == 2


class TestInterfaceNames:
    def test_an_explicit_name_still_consumes_its_index(self) -> None:
        assert interface_names(parse("a@x0,a,a@z9,a")) == ("x0", "net2", "z9", "net4")

    def test_one_name_twice_is_refused(self) -> None:
        error = refused("a@a0,b@a0")
        assert "validateIfName: interface name a0 already exists" in error.message
        assert error.field == "networks[1].interface"

    def test_a_name_that_a_later_network_gets_by_its_index_is_refused(self) -> None:
        assert "interface name net2 already exists" in refused("a@net2,b").message

    def test_a_name_that_an_earlier_network_got_by_its_index_is_refused(self) -> None:
        assert "interface name net1 already exists" in refused("a,b@net1").message

    @pytest.mark.parametrize("name", ["eth0", "lo"])
    def test_names_that_every_pod_has_are_refused(self, name: str) -> None:
        assert f"interface name {name} already exists" in refused(f"a@{name}").message

    def test_the_default_interface_may_have_another_name(self) -> None:
        (selection,) = parse_networks("a@eth0", "default", default_interface="first")
        assert selection.interface == "eth0"


class TestGateways:
    def test_one_of_each_family_is_fine(self) -> None:
        assert one(**{"default-route": ["10.0.0.1", "fd00::1"]}).default_route

    @pytest.mark.parametrize(
        "gateways",
        [["10.0.0.1", "10.0.0.2"], ["fd00::1", "fd00::2"], ["10.0.0.1", "::ffff:10.0.0.2"]],
    )
    def test_two_of_a_family_are_refused(self, gateways: list[str]) -> None:
        error = refused([{"name": "a", "default-route": gateways}])
        assert "multus does not support ECMP for default-route" in error.message
        assert error.field == "networks[0].default-route[1]"

    def test_two_of_a_family_in_two_networks_are_refused(self) -> None:
        error = refused([{"name": n, "default-route": ["10.0.0.1"]} for n in "ab"])
        assert error.field == "networks[1].default-route[0]"

    def test_selections_made_by_hand_can_be_checked(self) -> None:
        with pytest.raises(ManifestError, match="ECMP"):
            check_gateways([NetworkSelection("a", default_route=("10.0.0.1", "10.0.0.2"))])


class TestWarnings:
    @pytest.mark.parametrize(
        ("key", "right"),
        [
            ("gateway", "default-route"),
            ("Gateway", "default-route"),
            ("defaultRoute", "default-route"),
            ("ip", "ips"),
            ("ipss", "ips"),
            ("macAddress", "mac"),
            ("ifname", "interface"),
            ("interfaces", "interface"),
            ("cni_args", "cni-args"),
            ("portmapping", "portMappings"),
            ("nmae", "name"),
        ],
    )
    def test_a_key_that_multus_ignores_is_warned_of_with_the_right_one(
        self, key: str, right: str
    ) -> None:
        with pytest.warns(AnnotationWarning) as caught:
            one(**{key: "10.1.1.1"})
        (warning,) = caught
        assert f'ignores the key "{key}"' in str(warning.message)
        assert f'"{right}"' in str(warning.message)

    def test_a_key_like_none_is_warned_of_with_all_that_exist(self) -> None:
        with pytest.warns(AnnotationWarning, match="it knows name, namespace, interface"):
            one(zzzzzzzz=1)

    def test_the_selection_is_read_all_the_same(self) -> None:
        with pytest.warns(AnnotationWarning):
            assert one(gateway=["10.1.1.1"]) == NetworkSelection("a")

    def test_the_warning_stands_at_the_line_of_the_key(self) -> None:
        text = 'kind: K\nmetadata: {name: n}\nv: \'[\n  {"name": "a",\n   "gateway": 1}]\'\n'
        (document,) = load_documents(text, name="k.yaml")

        def error(message: str, path: Any = (), *rest: Any, offset: int | None = None) -> Any:
            return document.error(message, ("v", *path), *rest, offset=offset)

        with pytest.warns(AnnotationWarning) as caught:
            parse_networks(document.data["v"], "default", error=error)
        assert (caught[0].filename, caught[0].lineno) == ("k.yaml", 5)


class TestDefaultNetwork:
    def test_a_bare_name_is_looked_up_in_kube_system(self) -> None:
        assert parse_default_network("calico") == NetworkSelection("calico", "kube-system")

    def test_a_namespace_may_be_given(self) -> None:
        assert parse_default_network("lab/calico").namespace == "lab"

    def test_json_is_taken_too(self) -> None:
        selection = parse_default_network('[{"name": "calico", "ips": ["10.0.0.1/24"]}]')
        assert selection.ips == ("10.0.0.1/24",)

    def test_it_may_name_the_interface_that_every_pod_has(self) -> None:
        assert parse_default_network("calico@eth0").interface == "eth0"

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("a,b", "more than one default network is specified: a,b"),
            ("[]", "no default network"),
            ("", 'pod annotation does not have "network" as key'),
            ("a/b/c", "failed at '/'"),
            ('{"name": "a"}', "cannot unmarshal object"),
            ('[{"name": "a", "default-route": ["10.0.0.1", "10.0.0.2"]}]', "ECMP"),
        ],
    )
    def test_anything_but_one_network_is_refused(self, text: str, message: str) -> None:
        with pytest.raises(ManifestError) as caught:
            parse_default_network(text)
        assert message in caught.value.message


LABELS = st.from_regex(r"[a-z]([-a-z0-9]{0,8}[a-z0-9])?", fullmatch=True)
ADDRESSES = st.ip_addresses().map(lambda a: f"{a}/{a.max_prefixlen // 2}")
MACS = st.binary(min_size=5, max_size=5).map(lambda b: ":".join(f"{x:02x}" for x in b"\x02" + b))
PORTS = st.integers(1, 65535)
SELECTIONS = st.builds(
    NetworkSelection,
    name=LABELS,
    namespace=LABELS,
    interface=st.none(),
    ips=st.lists(ADDRESSES, max_size=3).map(tuple),
    mac=st.none() | MACS,
    infiniband_guid=st.none() | st.just("c2:11:22:33:44:55:66:77"),
    port_mappings=st.lists(
        st.builds(PortMapping, PORTS, PORTS, st.sampled_from(["tcp", "udp", "sctp"])), max_size=2
    ).map(tuple),
    bandwidth=st.none() | st.just(Bandwidth(1, 2, 3, 4)) | st.just(Bandwidth()),
    default_route=st.none() | st.just(()),
    cni_args=st.dictionaries(st.text(max_size=5), st.text(max_size=5) | st.integers(0, 9)),
    device_id=st.none() | st.just("0000:00:01.0"),
    ipam_claim_reference=st.none() | LABELS,
)


class TestDump:
    @settings(max_examples=150, deadline=None)
    @given(st.lists(SELECTIONS, max_size=4), LABELS)
    def test_what_is_written_is_read_back(
        self, selections: list[NetworkSelection], namespace: str
    ) -> None:
        assert parse_networks(dump_networks(selections, namespace), namespace) == tuple(selections)

    @settings(max_examples=50, deadline=None)
    @given(st.lists(st.tuples(LABELS, LABELS), min_size=1, max_size=4))
    def test_the_short_form_means_the_same_as_json(self, names: list[tuple[str, str]]) -> None:
        short = ",".join(f"{namespace}/{name}" for namespace, name in names)
        selections = parse_networks(short, "default")
        assert parse_networks(dump_networks(selections, "default"), "default") == selections

    def test_only_what_is_set_is_written(self) -> None:
        assert dump_networks([NetworkSelection("a")], "default") == '[{"name": "a"}]'

    def test_another_namespace_is_written(self) -> None:
        text = dump_networks([NetworkSelection("a", "lab")], "default")
        assert json.loads(text) == [{"name": "a", "namespace": "lab"}]

    def test_interface_names_are_written(self) -> None:
        selections = parse("a@x0,b@x1")
        assert parse(dump_networks(selections, "default")) == selections

    def test_an_empty_default_route_is_written(self) -> None:
        assert NetworkSelection("a", default_route=()).to_dict("default") == {
            "name": "a",
            "default-route": [],
        }

    def test_a_host_address_is_written(self) -> None:
        assert PortMapping(1, 2, "tcp", "10.0.0.1").to_dict()["hostIP"] == "10.0.0.1"
