"""`asoe demo --once`: every ticket is handled, none is lost, and nothing is left behind."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

from cli_cast import CommandLine

from asoe.demo.seed import read_tickets


def test_the_demo_plays_its_tickets_and_reports(tmp_path: Path) -> None:
    tmp_path.chmod(0o711)
    before = set(Path(tempfile.gettempdir()).glob("asoe-demo-*"))
    asoe = CommandLine(tmp_path / "unused")
    environment = {name: value for name, value in asoe.environment.items() if name != "ASOE_DATA_DIR"}
    report = tmp_path / "report.json"
    done = asoe("demo", "--once", "--json", report, timeout=280, environment=environment)
    assert done.code == 0, done.err
    told = json.loads(report.read_text(encoding="utf-8"))
    tickets = len(read_tickets())
    assert tickets >= 40
    assert (told["tickets"], told["errors"], told["lost"]) == (tickets, 0, 0)
    assert told["rates"]["handled"]["rate"] >= 0.95
    assert told["verified"] > 0
    assert told["contained"] + told["escalated"] == tickets
    assert told["latency_ms"]["accept"]["p99"] > 0
    assert sorted(one["number"] for one in told["each"]) == list(range(1, tickets + 1))
    assert sum(one["outcome"] == "escalated" for one in told["each"]) == told["escalated"]
    assert "curl" not in done.out + done.err, "nothing serves any more when it can be read"
    assert not asoe.data_dir.exists()
    assert set(Path(tempfile.gettempdir()).glob("asoe-demo-*")) <= before
