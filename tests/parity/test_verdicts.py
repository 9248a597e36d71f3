"""What the two backends left, held against each other, and what the docs say of it."""

from __future__ import annotations

import os

import pytest

from . import table
from .conftest import RECORD, row_of
from .differences import DIFFERENCES
from .record import BACKENDS, Rows

ENOUGH = 40


def undocumented(rows: Rows) -> str:
    wrong = [row for row in rows.differing() if row not in DIFFERENCES]
    return "\n\n".join(f"{row}\n{rows.difference(row)}" for row in wrong)


def test_both_backends_agree(rows: Rows) -> None:
    if not rows.on_both():
        pytest.skip("only one of the backends ran; each was held against the record")
    assert undocumented(rows) == ""


@pytest.fixture
def recorded() -> Rows:
    return Rows.load()


@pytest.mark.skipif(RECORD in os.environ, reason="recorded at the end of this run")
class TestRecord:
    def test_enough_rows_ran_on_both_backends(self, recorded: Rows) -> None:
        assert len(recorded.on_both()) >= ENOUGH

    def test_every_difference_is_documented_and_no_other_is(self, recorded: Rows) -> None:
        assert undocumented(recorded) == ""
        assert sorted(DIFFERENCES) == sorted(recorded.differing())

    def test_it_has_every_row(self, recorded: Rows, request: pytest.FixtureRequest) -> None:
        here = [i for i in request.session.items if i.path.parent == request.path.parent]
        rows = {row_of(item) for item in here if "site" in getattr(item, "fixturenames", ())}
        assert rows <= set(recorded)

    def test_the_docs_show_it(self, recorded: Rows) -> None:
        assert table.shown() == table.rendered(recorded)

    def test_a_row_of_one_backend_is_unproven_and_of_two_compared(self) -> None:
        rows = Rows({"g: one": {"kind": ["x"]}, "g: two": {"embedded": ["x"], "kind": ["y"]}})
        rows.skip("g: three", "embedded", "no vlan")
        assert rows.on_both() == rows.differing() == ["g: two"]
        text = table.rendered(rows)
        assert "| one | unproven (embedded: it did not run) |" in text
        assert "| three | unproven (embedded: no vlan; kind: it did not run) |" in text
        assert "| two | differs: undocumented |" in text
        assert len(BACKENDS) == 2
