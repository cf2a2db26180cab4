"""`asoe demo` and `asoe replay` do the main job; what is killed under `serve` comes back, and the end is orderly."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from cli_cast import CommandLine

LINES = (
    "How do I download an invoice as a PDF?",
    "Wie kann ich ein Mitglied einladen?",
    "You charged my card twice, refund me",
    "thanks, all good",
    "¿Dónde cambio mi contraseña?",
    "EVERYTHING is down and our shop cannot sell",
)


@dataclass
class Served:
    """A running `asoe demo --serve-only`."""

    asoe: CommandLine
    process: subprocess.Popen[str]
    url: str
    keys: dict[str, str]

    def client(self, role: str = "agent") -> httpx.Client:
        headers = {"Authorization": f"Bearer {self.keys[role]}"}
        return httpx.Client(base_url=self.url, headers=headers, trust_env=False, timeout=10)

    def children(self) -> dict[str, int]:
        """Process ids by name: api, worker, postgres."""
        found = {"postgres": int((self.asoe.data_dir / "cluster" / "postmaster.pid").read_text().split("\n", 1)[0])}
        for place in Path("/proc").glob("[0-9]*/stat"):
            try:
                parent = int(place.read_text().rpartition(")")[2].split()[1])
                words = place.with_name("cmdline").read_bytes().decode().split("\0")
            except OSError:
                continue
            if parent == self.process.pid and "--child" in words:
                found["worker" if "work" in words else "api"] = int(place.parent.name)
        return found

    def ready_again(self, seconds: float = 60) -> None:
        deadline = time.monotonic() + seconds
        with self.client() as client:
            while time.monotonic() < deadline:
                try:
                    if client.get("/readyz").status_code == 200:
                        return
                except httpx.TransportError:
                    pass
                time.sleep(0.2)
        raise AssertionError("not ready again")


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    place = tmp_path_factory.mktemp("served")
    place.chmod(0o711)
    asoe = CommandLine(place / "data")
    ready = place / "ready.json"
    command = asoe.command("demo", "--serve-only", "--ready-file", ready, "--port", "0")
    with (place / "log").open("w") as log:
        process = subprocess.Popen(command, env=asoe.environment, stdin=subprocess.DEVNULL, stderr=log, text=True)
        deadline = time.monotonic() + 240
        while not ready.exists():
            assert process.poll() is None, (place / "log").read_text()
            assert time.monotonic() < deadline, (place / "log").read_text()
            time.sleep(0.2)
        told: dict[str, Any] = json.loads(ready.read_text(encoding="utf-8"))
        yield Served(asoe, process, told["url"], told["keys"])
        if process.poll() is None:
            process.kill()
            process.wait()


def test_replay_loses_nothing(served: Served, tmp_path: Path) -> None:
    file, report = tmp_path / "lines.jsonl", tmp_path / "report.json"
    file.write_text("\n".join(json.dumps({"text": line}) for line in LINES), encoding="utf-8")
    done = served.asoe("replay", file, "--url", served.url, "--key", served.keys["agent"], "--json", report)
    assert done.code == 0, done.err
    counted = json.loads(report.read_text(encoding="utf-8"))
    assert (counted["tickets"], counted["errors"], counted["lost"]) == (len(LINES), 0, 0)
    assert counted["handled"] == len(LINES)
    assert sum(counted["by_outcome"].values()) == len(LINES)
    assert counted["escalated"] + counted["contained"] == len(LINES)


def test_a_second_server_on_the_port_is_refused(served: Served) -> None:
    port = served.url.rpartition(":")[2]
    refused = served.asoe("serve", "--port", port)
    assert (refused.code, "port_in_use" in refused.err) == (5, True)


@pytest.mark.parametrize("name", ["api", "worker", "postgres"])
def test_what_is_killed_comes_back_and_an_acknowledged_ticket_stays(served: Served, name: str) -> None:
    with served.client() as client:
        made = client.post("/api/support/ticket", json={"body": f"Where do I find the API keys? ({name})"})
        assert made.status_code == 201
        os.kill(served.children()[name], signal.SIGKILL)
        served.ready_again()
    with served.client() as client:
        for _ in range(600):
            found = client.get(f"/api/support/ticket/{made.json()['id']}")
            if found.status_code == 200 and (found.json()["waiting_for"] or found.json()["status"] == "resolved"):
                break
            time.sleep(0.2)
        assert found.json()["body"].endswith(f"({name})")
        assert found.json()["waiting_for"] in {"client", "person"}


def test_the_end_is_orderly_and_leaves_no_process(served: Served) -> None:
    """Last in this file: it ends what the others use."""
    children = served.children()
    served.process.send_signal(signal.SIGTERM)
    assert served.process.wait(60) == 0
    wait_until_gone(children, seconds=5)


def test_a_killed_parent_leaves_no_process(tmp_path: Path) -> None:
    tmp_path.chmod(0o711)
    asoe = CommandLine(tmp_path / "data")
    process = subprocess.Popen(
        asoe.command("serve", "--port", "0"),
        env=asoe.environment,
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    with process.stderr:
        said = []
        try:
            for line in process.stderr:
                said.append(line)
                if "is ready at" in line:
                    break
            else:
                raise AssertionError(f"it ended ({process.wait()}) before it was ready:\n{''.join(said)}")
            children = Served(asoe, process, "", {}).children()
            assert set(children) == {"api", "worker", "postgres"}
        finally:
            process.kill()
            process.wait()
        wait_until_gone(children, seconds=60)


def wait_until_gone(pids: dict[str, int], *, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while left := [name for name, pid in pids.items() if Path(f"/proc/{pid}").exists()]:
        assert time.monotonic() < deadline, left
        time.sleep(0.1)
