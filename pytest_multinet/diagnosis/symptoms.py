"""The registry of symptoms: every cause that a failure can be given, in the table's order.

To add one: write its entry beside its like, with :func:`~pytest_multinet.diagnosis.symptom.entry`,
and put it into the tuple at the end of that file.  Failure texts, ``docs/symptoms.md`` and the
completeness tests follow from here.
"""

from __future__ import annotations

from pytest_multinet.diagnosis.attachment_symptoms import ATTACHMENT
from pytest_multinet.diagnosis.context import Context
from pytest_multinet.diagnosis.finding import Finding
from pytest_multinet.diagnosis.multus_symptoms import MULTUS
from pytest_multinet.diagnosis.path_symptoms import PATH
from pytest_multinet.diagnosis.symptom import Symptom

SYMPTOMS: tuple[Symptom, ...] = tuple(
    sorted((*ATTACHMENT, *MULTUS, *PATH), key=lambda symptom: symptom.number)
)


def recognise(context: Context) -> Finding | None:
    """The first symptom that applies where the context's layer is broken."""
    for symptom in SYMPTOMS:
        finding = symptom.finding(context)
        if finding is not None:
            return finding
    return None


def table() -> str:
    """The registry as ``docs/symptoms.md``."""
    lines = [
        "# Symptoms and causes",
        "",
        "What a failed assertion, or a pod that does not start, is diagnosed as. The name in",
        "brackets at the end of a failure's `cause:` line is the name here.",
        "",
        "<!-- Made by `python -m pytest_multinet.diagnosis.symptoms`; do not edit. -->",
        "",
        "| # | name | what you meet | shows at | cause | to do |",
        "|---|---|---|---|---|---|",
    ]
    for s in SYMPTOMS:
        cells = (s.title, ", ".join(s.layers), s.cause, s.advice)
        shown = " | ".join(_cell(text) for text in cells)
        lines.append(f"| {s.number} | `{s.id}` | {shown} |")
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    """Text for a table: what is filled in at run time in italics."""
    text = text.replace("{{", "").replace("}}", "")
    text = text.replace("}{", "} {").replace("{", "*").replace("}", "*")
    return text.replace("|", "\\|").replace("<", "&lt;")


if __name__ == "__main__":
    import sys

    sys.stdout.write(table())
