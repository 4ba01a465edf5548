"""Trainings side by side: what their processes report. Without torch, which every process would import."""

from __future__ import annotations

from quantune.errors import QuantuneError
from zoo_workers import Event, Report, run_all


def _task(name: str, report: Report) -> None:
    report(Event(name, "steps", 3))
    if name == "bad":
        raise QuantuneError("bad luck")
    if name == "gone":
        raise SystemExit(3)
    report(Event(name, "done", {"name": name}))


def test_workers_report_and_fail_one_by_one() -> None:
    events = list(run_all(["a", "bad", "gone", "b"], _task, at_once=2))
    ends = {event.name: (event.kind, event.value) for event in events if event.kind != "steps"}
    assert ends["a"] == ("done", {"name": "a"}) and ends["b"][0] == "done"
    assert ends["bad"] == ("failed", "bad luck")
    assert ends["gone"][0] == "failed" and "ended with 3" in ends["gone"][1]
