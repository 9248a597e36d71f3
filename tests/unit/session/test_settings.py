"""Settings: precedence, sources, and what a value may be."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_multinet.errors import UsageError
from pytest_multinet.session.settings import (
    OPTIONS,
    Settings,
    check_environment,
    check_ini,
    resolve,
)


def resolved(
    command_line: dict[str, str] | None = None,
    ini: dict[str, str] | None = None,
    environment: dict[str, str] | None = None,
    folder: Path = Path("/nowhere"),
) -> Settings:
    return resolve(
        command_line or {},
        ini or {},
        environment or {},
        folder=folder,
        ini_file=Path("/project/pytest.ini"),
    )


def test_command_line_wins_over_ini_over_environment_over_default() -> None:
    environment = {"MULTINET_NODES": "4"}
    assert resolved().cluster_config().nodes == 3
    assert resolved(environment=environment).cluster_config().nodes == 4
    assert resolved(ini={"nodes": "5"}, environment=environment).cluster_config().nodes == 5
    settings = resolved({"nodes": "6"}, {"nodes": "5"}, environment)
    assert settings.cluster_config().nodes == 6


def test_header_shows_changed_values_with_their_sources() -> None:
    settings = resolved(
        {"nodes": "5", "timeout": "30"}, {"backend": "embedded"}, {"MULTINET_KEEP": "failed"}
    )
    assert str(settings) == (
        "backend=embedded (pytest.ini), keep=failed (MULTINET_KEEP), nodes=5 (command line)"
    )
    assert str(resolved()) == ""


def test_source_of_each_value_is_known() -> None:
    settings = resolved({"nodes": "5"}, {"backend": "kind"}, {"MULTINET_KEEP": "no"})
    sources = [settings.source(name) for name in ("nodes", "backend", "keep", "timeout")]
    assert sources == ["command line", "pytest.ini", "MULTINET_KEEP", "default"]


def test_empty_variable_counts_as_not_given() -> None:
    assert resolved(environment={"MULTINET_BACKEND": ""}).backend == "auto"


def test_several_values_may_be_repeated_or_separated_by_commas() -> None:
    settings = resolve({"require": ["embedded, netem", "kind"]}, {}, {}, folder=Path("/nowhere"))
    assert settings.require == ("embedded", "netem", "kind")


def test_paths_start_where_they_were_written(tmp_path: Path) -> None:
    ini_file = tmp_path / "project" / "pytest.ini"
    (tmp_path / "project" / "plugins").mkdir(parents=True)
    (tmp_path / "here" / "plugins").mkdir(parents=True)
    given = {"cni-plugins": "plugins"}
    folder = tmp_path / "here"
    from_ini = resolve({}, given, {}, folder=folder, ini_file=ini_file).cluster_config()
    from_command_line = resolve(given, {}, {}, folder=folder, ini_file=ini_file).cluster_config()
    assert from_ini.cni_plugins == tmp_path / "project" / "plugins"
    assert from_command_line.cni_plugins == tmp_path / "here" / "plugins"


def test_image_roots_become_a_mapping(tmp_path: Path) -> None:
    settings = resolved({"image-roots": f"alpine:3.20={tmp_path},busybox={tmp_path}"})
    roots = settings.cluster_config().image_roots
    assert roots == {"alpine:3.20": str(tmp_path), "busybox": str(tmp_path)}


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("backend", "knid", "auto, embedded or kind; did you mean kind?"),
        ("backend", "kubeconfig", "the kubeconfig backend is not available yet"),
        ("keep", "yes", "no, always or failed"),
        ("require", "embeded", "did you mean embedded?"),
        ("cluster-name", "Bad_Name", "1 to 49 of a-z, 0-9 and '-'"),
        ("nodes", "0", "1 to 100"),
        ("nodes", "101", "1 to 100"),
        ("nodes", "three", "a number of nodes"),
        ("nodes", "³", "a number of nodes"),
        ("timeout", "0", "seconds, a number above 0"),
        ("timeout", "-1", "seconds"),
        ("timeout", "nan", "seconds"),
        ("timeout", "inf", "seconds"),
        ("timeout", "30s", "seconds"),
        ("node-image", "", "an image name"),
        ("pod-image", "two words", "an image name"),
        ("cni", "reel", "native or real; did you mean real?"),
        ("cni-plugins", "missing", "a folder or an archive; there is none at /nowhere/missing"),
        ("image-roots", "alpine", "IMAGE=FOLDER, such as"),
        ("image-roots", "alpine=missing", "there is no folder /nowhere/missing"),
        ("multus-manifest", "missing.yaml", "a file; there is none at /nowhere/missing.yaml"),
    ],
)
def test_bad_value_is_refused(name: str, value: str, expected: str) -> None:
    with pytest.raises(UsageError) as raised:
        resolved({name: value})
    assert str(raised.value).startswith(f"--multinet-{name} is {value!r}; expected ")
    assert expected in str(raised.value)


def test_refusal_names_the_place_of_the_value() -> None:
    with pytest.raises(UsageError, match=r"^multinet_nodes in pytest\.ini is 'x'"):
        resolved(ini={"nodes": "x"})
    with pytest.raises(UsageError, match=r"^MULTINET_NODES is 'x'"):
        resolved(environment={"MULTINET_NODES": "x"})


def test_unknown_ini_key_is_refused_with_the_nearest_name() -> None:
    check_ini(["testpaths", "multinet_nodes"], None)
    with pytest.raises(UsageError, match="unknown key 'multinet_node'; did you mean multinet_nod"):
        check_ini(["multinet_node"], Path("pytest.ini"))


def test_misspelt_variable_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(UsageError, match="MULTINET_BACKND; did you mean MULTINET_BACKEND"):
        check_environment({"MULTINET_BACKND": "kind"})


def test_variable_that_resembles_none_is_a_warning() -> None:
    assert check_environment({"MULTINET_ZZZ": "1"}) == [
        "unknown environment variable MULTINET_ZZZ"
    ]
    assert check_environment({"MULTINET_TEST_SOAK": "1", "MULTINET_REQUIRE": "kind"}) == []


@given(st.sampled_from([o.name for o in OPTIONS]), st.text())
def test_any_text_is_a_value_or_a_usage_error(name: str, text: str) -> None:
    try:
        settings = resolved({name: text})
    except UsageError:
        return
    settings.cluster_config()
    str(settings)
