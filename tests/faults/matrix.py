"""Fault × oracle: what the tests of a session have seen, as a table.

A test says which fault it is about with ``@pytest.mark.fault("F07")``, and a test of another folder which
oracles it checks as well: ``@pytest.mark.fault("F15", "O6", "O8")``. The fixture ``fault`` notes each
oracle when it has held.
"""

FAULTS = [f"F{k:02}" for k in range(1, 29)]
ORACLES = [f"O{k}" for k in range(1, 9)]


def note_markers(items):
    """Put what the markers say into the reports of the tests, also of those that are skipped."""
    for item in items:
        for marker in item.iter_markers("fault"):
            name, *oracles = marker.args
            item.user_properties += [("about", name), *(("seen", f"{name} {o}") for o in oracles)]


def gathered(reports):
    """Fault → oracles that held in a test that passed; and all faults that some test is about."""
    seen, about = {}, set()
    for report in reports:
        for key, value in getattr(report, "user_properties", ()):
            if key == "about":
                about.add(value)
            elif key == "seen" and report.passed and report.when == "call":
                fault, oracle = value.split()
                seen.setdefault(fault, set()).add(oracle)
    return seen, about


def lines(stats):
    """The table, one line a fault, and below it the tests that failed or were skipped."""
    reports = [r for kind in ("passed", "failed", "skipped", "xfailed", "error") for r in stats.get(kind, ())]
    seen, about = gathered(reports)
    if not about:
        return
    yield "| | " + " | ".join(ORACLES) + " |"
    yield "|---" * (len(ORACLES) + 1) + "|"
    for fault in (f for f in FAULTS if f in about):
        yield f"| {fault} | " + " | ".join("✓" if o in seen.get(fault, ()) else " " for o in ORACLES) + " |"
    for kind in ("failed", "error", "skipped", "xfailed"):
        for report in stats.get(kind, ()):
            faults = sorted({v for k, v in getattr(report, "user_properties", ()) if k == "about"})
            if faults:
                yield f"{', '.join(faults)} {kind}: {report.nodeid}"
