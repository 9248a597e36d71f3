"""The registry itself: complete, worded, and as the documentation shows it."""

from __future__ import annotations

import string
from pathlib import Path

from pytest_multinet.diagnosis.finding import LAYERS
from pytest_multinet.diagnosis.symptoms import SYMPTOMS, table

DOCS = Path(__file__).parents[2] / "docs"


def test_every_row_of_the_table_has_one_entry() -> None:
    assert [s.number for s in SYMPTOMS] == list(range(1, 25))
    assert len({s.id for s in SYMPTOMS}) == 24


def test_every_entry_shows_at_layers_that_the_walk_knows() -> None:
    for symptom in SYMPTOMS:
        assert symptom.layers, symptom.id
        assert set(symptom.layers) <= set(LAYERS), symptom.id


def test_every_entry_says_why_what_to_do_and_what_shows_it() -> None:
    for symptom in SYMPTOMS:
        for text in (symptom.cause, symptom.advice, symptom.command):
            assert text, symptom.id
            names = [name for _, name, _, _ in string.Formatter().parse(text)]
            assert "" not in names, symptom.id


def test_the_documentation_is_made_from_the_registry() -> None:
    shown = (DOCS / "symptoms.md").read_text(encoding="utf-8")
    assert shown == table(), "run: python -m pytest_multinet.diagnosis.symptoms > docs/symptoms.md"


def test_every_symptom_is_injected_by_a_test() -> None:
    tests = Path(__file__).parents[1]
    injecting = [*Path(__file__).parent.glob("test_*.py"), *tests.glob("kind/test_*.py")]
    text = "".join(p.read_text(encoding="utf-8") for p in injecting if p != Path(__file__))
    missing = [s.id for s in SYMPTOMS if f'"{s.id}"' not in text and f"[{s.id}]" not in text]
    assert not missing
