"""What was tried on each family: asserted, and told as a table after the tests.

The scripts print "family: all done" in the end, and before it a line for each check, "family check:
what was found", or "FAILED family check: …".
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import comfyui_server
import pytest

TRIED = "family tried"  # the name of a property of a test's report
Tell = Callable[[str, Any], None]


def try_family(script: Path, family: str, tell: Tell) -> None:
    """tell: pytest's record_property."""
    if reason := comfyui_server.missing():
        pytest.skip(reason)
    done = comfyui_server.try_in_comfyui(
        script, comfyui_server.comfyui_folder(), comfyui_server.REPOSITORY, family
    )
    own = f"{family} ", f"FAILED {family} "
    lines = [line for line in done.stdout.splitlines() if line.startswith(own)]
    failed = [line for line in lines if line.startswith("FAILED")]
    reasons = [line.removeprefix(f"{family} ") for line in lines if "refused" in line]
    what = script.stem.removeprefix("check_dit_")
    tell(TRIED, [family, what, len(lines), len(lines) - len(failed), failed + reasons])
    assert not failed, "\n".join(lines)
    assert f"{family}: all done" in done.stdout.splitlines(), (done.stdout + done.stderr)[-4000:]


def table(reports: Iterable[Any]) -> Iterator[str]:
    """Lines of the table, with what failed and what was refused under each row."""
    calls = (each for each in reports if getattr(each, "when", "") == "call")
    for report in calls:
        for name, value in report.user_properties:
            if name == TRIED:
                family, what, tried, passed, reasons = value
                yield f"{family:16} {what:8} {passed:3} of {tried} passed"
                yield from (f"    {reason}" for reason in reasons)
