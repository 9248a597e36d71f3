"""One environment however it is asked for, and the right one for each test."""

from __future__ import annotations

from collections.abc import Callable

import pytest

Run = Callable[..., pytest.RunResult]

TWO_NODES = """
import pytest
from pytest_multinet import ClusterConfig

@pytest.fixture(scope="session")
def multinet_cluster_config():
    return ClusterConfig(nodes=2)
"""

MTU_9000 = """
import pytest
from pytest_multinet import LinkConfig

@pytest.fixture(scope="session")
def node_link_config():
    return LinkConfig(mtu=9000)
"""

COUNTS_NODES = """
def test_nodes(kind_cluster):
    assert len(kind_cluster.nodes) == {nodes}
"""


def test_any_number_of_imports_is_one_cluster(pytester: pytest.Pytester, run: Run) -> None:
    module = """
        from pytest_multinet.fixtures import kind_cluster, multinet_cluster, node_link

        seen = []

        def test_cluster(kind_cluster, node_link, pytestconfig):
            seen = pytestconfig.__dict__.setdefault("seen", [])
            seen.append((kind_cluster, node_link))
            assert all(c is kind_cluster and n is node_link for c, n in seen)

        def test_again(kind_cluster, pytestconfig):
            assert pytestconfig.seen[-1][0] is kind_cluster
    """
    pytester.makepyfile(test_one=module, test_two=module, test_three=module)
    run().assert_outcomes(passed=6)


def test_both_names_are_one_cluster(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makepyfile(
        """
        def test_names(kind_cluster, multinet_cluster):
            assert kind_cluster is multinet_cluster
        """
    )
    run().assert_outcomes(passed=1)


def test_suites_with_different_configurations_run_in_one_session(
    pytester: pytest.Pytester, run: Run
) -> None:
    pytester.makepyfile(
        **{
            "a/conftest": TWO_NODES,
            "a/test_a": COUNTS_NODES.format(nodes=2),
            "b/test_b": COUNTS_NODES.format(nodes=3),
            "c/conftest": TWO_NODES,
            "c/test_c": COUNTS_NODES.format(nodes=2),
        }
    )
    run("--import-mode=importlib").assert_outcomes(passed=3)


def test_suites_that_import_the_fixtures_get_their_own_configurations(
    pytester: pytest.Pytester, run: Run
) -> None:
    imports = "from pytest_multinet.fixtures import kind_cluster, multinet_cluster\n"
    pytester.makepyfile(
        **{
            "a/conftest": TWO_NODES + imports,
            "a/test_a": COUNTS_NODES.format(nodes=2),
            "b/conftest": imports,
            "b/test_b": COUNTS_NODES.format(nodes=3),
        }
    )
    run("--import-mode=importlib").assert_outcomes(passed=2)


def test_configuration_may_have_parameters(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makepyfile(
        """
        import pytest
        from pytest_multinet import ClusterConfig

        @pytest.fixture(scope="session", params=[1, 2])
        def multinet_cluster_config(request):
            return ClusterConfig(nodes=request.param)

        def test_one(kind_cluster, multinet_cluster_config):
            assert len(kind_cluster.nodes) == multinet_cluster_config.nodes

        def test_two(kind_cluster, multinet_pod, multinet_cluster_config):
            multinet_pod("pod1")
            assert len(kind_cluster.nodes) == multinet_cluster_config.nodes
        """
    )
    run().assert_outcomes(passed=4)


def test_configuration_can_extend_the_one_above(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makepyfile(
        **{
            "test_above": COUNTS_NODES.format(nodes=4),
            "sub/conftest": """
                import pytest

                @pytest.fixture(scope="session")
                def multinet_cluster_config(multinet_cluster_config):
                    return multinet_cluster_config.with_(nodes=2)
            """,
            "sub/test_sub": COUNTS_NODES.format(nodes=2),
            "zzz/test_below": COUNTS_NODES.format(nodes=4),
        }
    )
    run("--multinet-nodes=4", "--import-mode=importlib").assert_outcomes(passed=3)


def test_another_link_reuses_the_cluster_and_clears_it(
    pytester: pytest.Pytester, run: Run
) -> None:
    pytester.makepyfile(
        **{
            "a/test_a": """
                def test_a(kind_cluster, node_link, multinet_pod, pytestconfig):
                    pytestconfig.first = kind_cluster
                    multinet_pod("pod1", node="worker")
                    assert node_link.mtu == 1500
            """,
            "b/conftest": MTU_9000,
            "b/test_b": """
                def test_b(kind_cluster, node_link, pytestconfig):
                    assert kind_cluster is pytestconfig.first
                    assert node_link.mtu == 9000
                    assert kind_cluster.node("worker").interface("eth1").mtu == 9000
                    assert kind_cluster.pods() == ()
            """,
        }
    )
    run("--import-mode=importlib").assert_outcomes(passed=2)


def test_equal_configuration_in_another_folder_changes_nothing(
    pytester: pytest.Pytester, run: Run
) -> None:
    keeps = """
        def test_keeps(kind_cluster, multinet_pod, pytestconfig):
            first = pytestconfig.__dict__.setdefault("first", multinet_pod("pod1"))
            assert multinet_pod("pod1") is first
    """
    pytester.makepyfile(
        **{"a/conftest": TWO_NODES, "a/test_a": keeps, "b/conftest": TWO_NODES, "b/test_b": keeps}
    )
    run("--import-mode=importlib").assert_outcomes(passed=2)


def test_cluster_asked_for_in_the_test_follows_the_configuration(
    pytester: pytest.Pytester, run: Run
) -> None:
    asks = """
        def test_asks(request):
            assert len(request.getfixturevalue("kind_cluster").nodes) == {nodes}
    """
    pytester.makepyfile(
        **{
            "a/test_a": asks.format(nodes=3),
            "b/conftest": TWO_NODES,
            "b/test_b": asks.format(nodes=2),
            "c/test_c": asks.format(nodes=3),
        }
    )
    run("--import-mode=importlib").assert_outcomes(passed=3)


def test_fixtures_of_the_user_are_built_again_with_the_environment(
    pytester: pytest.Pytester, run: Run
) -> None:
    pytester.makepyfile(
        **{
            "conftest": """
                import pytest

                @pytest.fixture(scope="session")
                def node_count(kind_cluster):
                    return len(kind_cluster.nodes)
            """,
            "a/test_a": "def test_a(node_count): assert node_count == 3",
            "b/conftest": TWO_NODES,
            "b/test_b": "def test_b(node_count): assert node_count == 2",
        }
    )
    run("--import-mode=importlib").assert_outcomes(passed=2)


def test_environment_in_use_is_not_taken_away(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makepyfile(
        **{
            "a/__init__": "",
            "a/conftest": """
                import pytest

                @pytest.fixture(scope="package")
                def uses_it(kind_cluster):
                    return kind_cluster
            """,
            "a/test_a": "def test_a(uses_it): pass",
            "a/zzz/__init__": "",
            "a/zzz/conftest": TWO_NODES,
            "a/zzz/test_z": "def test_z(kind_cluster): pass",
        }
    )
    result = run()
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(
        [
            "*asks for another environment (nodes 3 -> 2) while the old one is in use*",
            "*in use: *multinet_cluster_config at *pytest_multinet/fixtures.py:*",
            "*asked for: multinet_cluster_config at *zzz/conftest.py:*",
            "*used by: *package-scoped fixture uses_it at *a/conftest.py:*",
        ]
    )
    result.stdout.no_fnmatch_line("*registry.py*")


def test_wrong_type_of_configuration_is_explained(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makepyfile(
        conftest="""
            import pytest

            @pytest.fixture(scope="session")
            def multinet_cluster_config():
                return {"nodes": 2}
        """,
        test_it="def test_it(kind_cluster): pass",
    )
    result = run()
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(
        ["*multinet_cluster_config at *conftest.py:* returned {'nodes': 2}; expected a Cluster*"]
    )


OTHER_PLUGIN = """
import pytest

@pytest.fixture(scope="session")
def kind_cluster():
    return "theirs"
"""


def test_name_kind_cluster_of_another_plugin_stays_its_own(
    pytester: pytest.Pytester, run: Run
) -> None:
    pytester.makepyfile(
        another_plugin=OTHER_PLUGIN,
        test_theirs="""
            def test_it(kind_cluster, multinet_cluster, multinet_pod):
                assert kind_cluster == "theirs"
                assert multinet_cluster.backend == "embedded"
        """,
        test_ours="""
            from pytest_multinet.fixtures import kind_cluster

            def test_it(kind_cluster, multinet_cluster):
                assert kind_cluster is multinet_cluster
        """,
    )
    pytester.syspathinsert()
    result = run("-p", "another_plugin")
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(
        ["multinet: the fixture kind_cluster is plugin another_plugin's; ours is *"]
    )


def test_kind_cluster_in_a_conftest_is_no_other_plugin(
    pytester: pytest.Pytester, run: Run
) -> None:
    pytester.makepyfile(test_it="def test_it(kind_cluster, multinet_pod): kind_cluster.pods()")
    imports = "from pytest_multinet.fixtures import *\n"
    overrides = """
        import pytest

        @pytest.fixture(scope="session")
        def kind_cluster(kind_cluster):
            return kind_cluster
    """
    for text in imports, overrides:
        pytester.makeconftest(text)
        result = run()
        result.assert_outcomes(passed=1)
        result.stdout.no_fnmatch_line("*the fixture kind_cluster is*")
