"""The results as a JUnit XML document, which continuous-integration servers show test by test."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Sequence

from proofs_check.results import CheckResult, MutantResult, Result


def to_junit(results: Sequence[Result]) -> str:
    """One suite per proposition, one case per check and one per mutant; a mutant that survives is a failure."""
    root = ET.Element("testsuites", name="gva check")
    for result in results:
        suite = ET.SubElement(root, "testsuite", name=f"{result.id} {result.title}", time=f"{result.seconds:.3f}")
        for check in result.checks:
            _check_case(suite, result.id, check)
        for mutant in result.mutants:
            _mutant_case(suite, result.id, mutant)
        _count(suite)
    _count(root)
    root.set("time", f"{sum(result.seconds for result in results):.3f}")
    ET.indent(root)
    return ET.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _check_case(suite: ET.Element, row: str, check: CheckResult) -> None:
    name = f"{check.kind}: {check.name}"
    case = ET.SubElement(suite, "testcase", classname=row, name=name, time=f"{check.seconds:.3f}")
    if check.error is not None:
        ET.SubElement(case, "error", message=check.error)
    elif not check.holds:
        ET.SubElement(case, "failure", message=check.witness).text = check.detail
    else:
        ET.SubElement(case, "system-out").text = f"margin {check.margin} at {check.witness}; {check.detail}"


def _mutant_case(suite: ET.Element, row: str, mutant: MutantResult) -> None:
    case = ET.SubElement(suite, "testcase", classname=row, name=f"mutant, {mutant.kind}: {mutant.change}", time="0")
    if not mutant.refuted:
        ET.SubElement(case, "failure", message=f"survived: {mutant.note}").text = "\n".join(mutant.errors)
    else:
        ET.SubElement(case, "system-out").text = "\n".join(f"{kill.check}: {kill.witness}" for kill in mutant.kills)


def _count(element: ET.Element) -> None:
    """Write the number of tests, failures and errors below an element into its attributes."""
    for attribute, tag in (("tests", "testcase"), ("failures", "failure"), ("errors", "error")):
        element.set(attribute, str(sum(1 for _ in element.iter(tag))))
