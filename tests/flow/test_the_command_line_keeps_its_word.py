"""An operator sets an installation up, feeds it, looks at it, backs it up and restores it, with commands alone."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import pytest_asyncio
import yaml
from cli_cast import CommandLine

from asoe.store.embedded import close_embedded, open_embedded

ARTICLE = """---
title: Invoices as PDF
slug: invoices-as-pdf
language: en
product: Acme
audience: client
tags: [billing]
---
Open **Settings → Billing → Invoices** and choose the month. The button *PDF* downloads the invoice.
"""
TABLE = """subject,body,email,status,created_at,external_id
Invoice,"Where, please, is my invoice?",ana@example.com,closed,2026-01-02T10:00:00Z,A-1
,Login fails,not-an-address,open,,A-2
Slow,The page is slow,ben@example.com,open,2026-02-03,A-3
"""


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def asoe(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[CommandLine]:
    """An installation with the organization acme."""
    place = tmp_path_factory.mktemp("cli")
    place.chmod(0o711)
    run = CommandLine(place / "data")
    held = await open_embedded(run.data_dir)  # as a service would: commands then need not start and stop it
    made = run("org", "create", "acme", "--name", "Acme", "--owner-email", "cleo@acme.example", "--json")
    assert made.code == 0, made.err
    assert made.json["admin_key"].startswith("asoe_")
    yield run
    await close_embedded(held)


def test_people_and_keys(asoe: CommandLine) -> None:
    added = asoe("member", "add", "ben@acme.example", "--name", "Ben", "--role", "agent", "--json")
    assert added.json["role"] == "agent"
    key = asoe("key", "create", "bot", "--role", "agent", "--scope", "tickets:read", "--json").json
    listed = asoe("key", "list", "--json")
    assert {row["name"] for row in listed.json} == {"first key", "bot"}
    assert key["token"] not in listed.out
    assert asoe("key", "revoke", key["token"].split("_")[1]).code == 0
    revoked = {row["name"]: row["revoked_at"] for row in asoe("key", "list", "--json").json}
    assert revoked["bot"] is not None
    assert revoked["first key"] is None


def test_hours_and_teams_are_shown_as_they_are_set(asoe: CommandLine, tmp_path: Path) -> None:
    levels = {"business_hours": {"office": {"zone": "Europe/Berlin", "week": {"mon": ["09:00-17:00"]}}}}
    teams = {"billing": {"hours": "office", "levels": [{"members": ["cleo@acme.example"]}]}}
    for name, given in (("levels", levels), ("teams", {"teams": teams})):
        (tmp_path / f"{name}.yaml").write_text(json.dumps(given), encoding="utf-8")
    shown = asoe("service-level", "set", tmp_path / "levels.yaml").out
    assert yaml.safe_load(shown)["business_hours"] == levels["business_hours"]
    done = asoe("routing", "set", tmp_path / "teams.yaml")
    assert yaml.safe_load(done.out)["teams"] == teams
    assert "Nobody is in accounts, frontline, on_call, product, technical:" in done.err


def test_incidents_are_opened_and_shown(asoe: CommandLine) -> None:
    opened = asoe("incident", "open", "Exports stand still", "--intent", "outage", "--known", "We know.", "--json")
    assert opened.json["status"] == "open", opened.err
    shown = asoe("incident", "show", str(opened.json["number"]), "--json").json
    assert (shown["title"], shown["known"], shown["told"]) == ("Exports stand still", "We know.", 0)
    assert [each["what"] for each in shown["timeline"]] == ["incident.opened"]


@pytest.mark.parametrize(
    "command",
    [("ticket", "list"), ("export", "out"), ("backup", "all.tar"), ("migrate", "--plan"), ("work",), ("org", "list")],
)
def test_no_command_that_reads_makes_an_installation(tmp_path: Path, command: tuple[str, ...]) -> None:
    mistyped = CommandLine(tmp_path / "nowhere")
    done = mistyped(*command)
    assert (done.code, "no_installation" in done.err, str(mistyped.data_dir) in done.err) == (4, True, True)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_without_an_installation_is_not_well(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for folder in ("nowhere", "empty"):
        looked = CommandLine(tmp_path / folder)("doctor", "--json")
        assert (looked.code, looked.json["ok"]) == (1, False)
        assert any(each["detail"].startswith("There is no installation") for each in looked.json["checks"])
    assert [*tmp_path.iterdir(), *(tmp_path / "empty").iterdir()] == [tmp_path / "empty"]


def test_what_is_no_backup_is_restored_into_nothing(tmp_path: Path) -> None:
    other = CommandLine(tmp_path / "new")
    assert other("restore", tmp_path / "nowhere.tar").code == 4
    (tmp_path / "some.tar").write_text("no backup", encoding="utf-8")
    assert other("restore", tmp_path / "some.tar").code == 2
    assert not other.data_dir.exists()


def test_a_runbook_waits_for_its_connector(asoe: CommandLine, tmp_path: Path) -> None:
    assert asoe("runbook", "new", "unlock-account", "--folder", tmp_path).code == 0
    file = tmp_path / "unlock-account.yaml"
    alone, here = asoe("runbook", "check", file), asoe("runbook", "check", file, "--org", "acme")
    assert (alone.code, "no connector" in alone.out) == (0, False)
    assert (here.code, re.findall(r"warning: .* no connector '(\w+)'; add it", here.out)) == (0, ["crm"])
    refused = asoe("runbook", "publish", file)
    assert (refused.code, "asoe connector add crm" in refused.err) == (5, True)
    assert asoe("runbook", "list", "--json").json == []
    added = asoe("connector", "add", "crm", "--set", "base_url=http://127.0.0.1:9", "--set", "allow_http=true")
    assert added.code == 0, added.err
    assert "no connector" not in asoe("runbook", "check", file, "--org", "acme").out
    assert asoe("connector", "remove", "crm", "--yes").code == 0


def test_articles_are_found_at_once_when_waited_for(asoe: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "invoices.md").write_text(ARTICLE, encoding="utf-8")
    assert asoe("knowledge", "import", tmp_path, "--wait").code == 0
    found = asoe("knowledge", "search", "How do I download an invoice?", "--json").json
    assert found[0]["slug"] == "invoices-as-pdf"
    for name in ("invoices-as-pdf", "invoices as PDF"):
        assert asoe("knowledge", "retire", name).err.strip() == "Retired: invoices-as-pdf."
        assert asoe("knowledge", "publish", name).err.strip() == "Published: invoices-as-pdf."
    german = ARTICLE.replace("language: en", "language: de")
    (tmp_path / "rechnungen.md").write_text(german, encoding="utf-8")
    assert asoe("knowledge", "import", tmp_path).code == 0
    several = asoe("knowledge", "publish", "invoices-as-pdf")
    assert (several.code, "invoices-as-pdf (de), invoices-as-pdf (en)" in several.err) == (2, True)
    assert asoe("knowledge", "retire", "invoices-as-pdf", "--language", "de").code == 0
    (tmp_path / "broken.md").write_text("---\ntitle: [\n---\n", encoding="utf-8")
    refused = asoe("knowledge", "import", tmp_path)
    assert (refused.code, "broken.md" in refused.err) == (2, True)


def test_an_import_names_wrong_rows_and_goes_on_where_it_ended(asoe: CommandLine, tmp_path: Path) -> None:
    file = tmp_path / "old.csv"
    file.write_text(TABLE, encoding="utf-8")
    before = asoe("ticket", "list", "--json").json
    tried = asoe("import", "csv", file, "--dry-run", "--json")
    assert (tried.code, tried.json["created"], len(tried.json["problems"])) == (2, 2, 1)
    assert asoe("ticket", "list", "--json").json == before
    assert "row 2 (line 3)" in asoe("import", "csv", file).err
    again = asoe("import", "csv", file, "--json").json
    assert (again["created"], again["skipped"]) == (0, 2)
    tickets = {ticket["subject"]: ticket for ticket in asoe("ticket", "list", "--json").json}
    assert tickets["Invoice"]["created_at"].startswith("2026-01-02T10:00")
    assert (tickets["Invoice"]["status"], tickets["Slow"]["waiting_for"]) == ("closed", "person")


def test_own_intents_are_added_edited_and_retired(asoe: CommandLine) -> None:
    words = ("--title", "Sprinkler does not open", "--example", "No water comes out", "--example", "The valve is shut")
    made = asoe("intent", "add", "sprinkler_closed", "--category", "technical", *words, "--json")
    assert (made.code, made.json["examples"]) == (0, ["No water comes out", "The valve is shut"]), made.err
    assert asoe("intent", "add", "sprinkler_closed", "--category", "technical", *words).code == 5
    refused = asoe("intent", "add", "refund_request", "--category", "billing", "--title", "Refunds")
    assert (refused.code, "refund_request" in refused.err) == (2, True)
    assert asoe("intent", "edit", "sprinkler_closed", "--title", "[b]Dry[/x]", "--json").json["title"] == "[b]Dry[/x]"
    assert "[b]Dry[/x]" in asoe("intent", "list").out
    assert asoe("intent", "retire", "sprinkler_closed").code == 0
    assert asoe("intent", "list", "--json").json == []
    assert len(asoe("intent", "list", "--all", "--json").json) == 1
    assert asoe("intent", "retire", "sprinkler_closed", "--back").code == 0
    assert asoe("intent", "edit", "nothing", "--title", "X").code == 4


def test_canned_replies_and_preferences_are_kept(asoe: CommandLine, tmp_path: Path) -> None:
    text = tmp_path / "reply.txt"
    text.write_text("About #{{ticket.number}}: [bold]it[/bold] is on its way.")
    assert asoe("canned-reply", "put", "on-its-way", text, "--title", "On its way").code == 0
    filled = asoe("canned-reply", "fill", "on-its-way", "--ticket", "1")  # of the import above
    assert filled.out.strip() == "About #1: [bold]it[/bold] is on its way."
    assert asoe("ticket", "show", "1", "--json").json["given"] == []
    text.write_text("Dear {{client.salary}}")
    assert "client.salary" in asoe("canned-reply", "put", "bad", text, "--title", "Bad").err
    assert asoe("canned-reply", "remove", "on-its-way", "--yes").code == 0
    ben = ("--member", "ben@acme.example")
    hours = ("--digest", "16:00", "--digest", "09:00", "--quiet", "22:00-07:00", "--zone", "Europe/Berlin")
    kept = asoe("preference", "set", *ben, *hours, "--tell", "acts.stopped=none", "--json").json
    assert (kept["digests"], kept["quiet_hours"], kept["acts.stopped"]) == (["09:00", "16:00"], "22:00-07:00", [])
    wrong = asoe("preference", "set", *ben, "--digest", "noon")
    assert (wrong.code, "noon" in wrong.err) == (2, True)


def test_backup_restore_and_doctor(asoe: CommandLine, tmp_path: Path) -> None:
    file = tmp_path / "all.tar"
    written = asoe("backup", file, "--with-secret-key", "--json").json
    tmp_path.chmod(0o711)
    other = CommandLine(tmp_path / "other")
    restored = other("restore", file, "--json")
    assert restored.json["rows"] == written["rows"]
    assert other("restore", file).code == 5
    looked = other("doctor", "--json")
    assert looked.code == 0, looked.out
    assert "fail" not in {check["verdict"] for check in looked.json["checks"]}
    assert other("org", "list", "--json").json[0]["slug"] == "acme"
    (other.data_dir / "secret.key").unlink()
    lost = other("doctor", "--json")
    assert lost.code == 1
    assert [check["check"] for check in lost.json["checks"] if check["verdict"] == "fail"] == ["secret key"]


async def test_doctor_sees_edited_migrations_and_articles_that_nobody_indexed(
    asoe: CommandLine, tmp_path: Path
) -> None:
    (tmp_path / "limits.md").write_text(ARTICLE.replace("invoices-as-pdf", "limits"), encoding="utf-8")
    assert asoe("knowledge", "import", tmp_path).code == 0
    held = await open_embedded(asoe.data_dir)
    owner = await asyncpg.connect(held.owner_dsn)
    try:
        checks = {check["check"]: check for check in asoe("doctor", "--json").json["checks"]}
        assert (checks["knowledge"]["verdict"], checks["migrations"]["verdict"]) == ("warn", "ok")
        assert re.search(r"acme (0 of 1|[01] of 2) published", checks["knowledge"]["detail"])
        before = await owner.fetchval("select checksum from asoe.migrations where number = 114")
        await owner.execute("update asoe.migrations set checksum = 'edited' where number = 114")
        looked = asoe("doctor", "--json")
        await owner.execute("update asoe.migrations set checksum = $1 where number = 114", before)
        checks = {check["check"]: check for check in looked.json["checks"]}
        assert looked.code == 1
        assert "114 tickets" in checks["migrations"]["detail"]
        assert asoe("knowledge", "import", tmp_path, "--wait").code == 0
    finally:
        await owner.close()
        await close_embedded(held)


def test_an_export_holds_everything_but_secrets(asoe: CommandLine, tmp_path: Path) -> None:
    folder = tmp_path / "export"
    written = asoe("export", folder, "--json").json
    for noun, rows in written.items():
        assert len((folder / f"{noun}.jsonl").read_text(encoding="utf-8").splitlines()) == rows
    assert "hash" not in json.loads((folder / "keys.jsonl").read_text(encoding="utf-8").splitlines()[0])
    assert asoe("export", folder).code == 5


async def test_an_audit_trail_is_proved_exported_and_its_break_named(asoe: CommandLine, tmp_path: Path) -> None:
    fresh = asoe("audit", "verify", "--json")
    assert (fresh.code, fresh.json["is_whole"], fresh.json["blocks"]) == (0, True, 0)
    assert fresh.json["unsealed"] > 0
    assert asoe("audit", "export", tmp_path / "trail.jsonl").code == 0
    assert asoe("audit", "verify", "--file", tmp_path / "trail.jsonl").code == 0
    assert asoe("audit", "verify", "--head", "nonsense").code == 2
    held = await open_embedded(asoe.data_dir)
    owner = await asyncpg.connect(held.owner_dsn)
    try:
        engine = await owner.fetchrow("select org_id, user_id from asoe.members where kind = 'engine'")
        claims = json.dumps({"sub": str(engine["user_id"]), "org_id": str(engine["org_id"])})
        async with owner.transaction():
            await owner.execute("select set_config('request.jwt.claims', $1, true)", claims)
            await owner.execute("select * from asoe.seal_facts(100)")
        forged = asoe("audit", "verify")
        assert forged.code == 1
        assert "resealed at block 1" in forged.err
        assert "Proved: nothing, it breaks in the first block." in forged.err
        await owner.execute("delete from asoe.audit_blocks")
    finally:
        await owner.close()
        await close_embedded(held)


def test_who_opens_a_ticket_hears_that_no_worker_runs(asoe: CommandLine) -> None:
    opened = asoe("ticket", "open", "Where is the invoice of May?", "--json")
    assert (opened.code, opened.json["status"]) == (0, "open")
    assert "No worker is at work here" in opened.err


def test_triage_judges_without_an_installation(asoe: CommandLine, tmp_path: Path) -> None:
    file = tmp_path / "lines.jsonl"
    file.write_text('{"text": "You charged my card twice, please refund"}\n{"subject": "Hi", "body": "It is down"}\n')
    judged: list[dict[str, Any]] = [json.loads(line) for line in asoe("triage", file, "--json").out.splitlines()]
    assert judged[0]["category"]["value"] == "billing"
    assert all(0 <= one["severity"]["confidence"] <= 1 and one["evidence"] is not None for one in judged)
    file.write_text("not json\n")
    refused = asoe("triage", file)
    assert (refused.code, "line 1" in refused.err) == (2, True)


def test_connectors_are_kept_and_their_secrets_never_shown(asoe: CommandLine, tmp_path: Path) -> None:
    secret = "s3cr3t-never-shown-4711"
    with_secret = {**asoe.environment, "CRM_TOKEN": secret}
    document = {"openapi": "3.0.0", "info": {"title": "CRM"}, "paths": {"/a": {"post": {"operationId": "mend"}}}}
    (tmp_path / "crm.json").write_text(json.dumps(document), encoding="utf-8")
    (tmp_path / "crm.yaml").write_text("base_url: http://127.0.0.1:9\nallow_http: true\nauth: {type: bearer}\n")
    added = asoe(
        "connector", "add", "crm", "--config", tmp_path / "crm.yaml", "--openapi", tmp_path / "crm.json",
        "--set", "risks={mend: reversible}", "--secret-env", "token=CRM_TOKEN", "--allow-private", "--json",
        environment=with_secret,
    )  # fmt: skip
    assert added.code == 0, added.err
    assert added.json["config"]["openapi"] == {"title": "CRM", "paths": 1}
    checked = asoe("connector", "check", "crm", "--json")
    assert (checked.code, checked.json["is_up"]) == (1, False)
    shown = asoe("connector", "show", "crm", "--json")
    assert (shown.json["secrets"], shown.json["actions"]) == (["token"], {"mend": "reversible"})
    assert asoe("connector", "disable", "crm", "--why", "audit").code == 0
    listed = asoe("connector", "list", "--json")
    assert [each["disabled_why"] for each in listed.json] == ["audit"]
    assert asoe("connector", "remove", "crm", "--yes").code == 0
    for each in (added, checked, shown, listed):
        assert secret not in each.out + each.err


@pytest.mark.parametrize(
    ("command", "code", "words"),
    [
        (("org", "create", "acme", "--name", "A", "--owner-email", "a@b.example"), 5, "slug_taken"),
        (("org", "create", "Not A Slug", "--name", "A", "--owner-email", "a@b.example"), 2, "bad_slug"),
        (("member", "role", "nobody@acme.example", "admin"), 4, "no_member"),
        (("member", "list", "--org", "acmee"), 4, "Here are: acme (asoe org list)"),
        (("knowledge", "publish", "invoices"), 4, "asoe knowledge list shows which there are"),
        (("approval", "show", "this"), 2, "'this' is no id of an approval"),
        (("ticket", "show", "4711"), 4, "ticket_missing"),
        (("ticket", "list", "--status", "opne"), 2, "choose from open, triaging"),
        (("ticket", "list", "--category", "billing", "--category", "money"), 2, "'money'"),
        (("ticket", "list", "--severity", "urgent"), 2, "choose from low, medium"),
        (("org", "delete", "acme"), 2, "not_confirmed"),
        (("import", "csv", "/nowhere.csv"), 2, "unreadable_file"),
        (("replay", "/nowhere.jsonl"), 2, "unreadable_file"),
        (("connector", "add", "crm", "--secret-env", "token=NO_SUCH_VARIABLE"), 2, "bad_connector"),
        (("connector", "show", "crm"), 4, "no_connector"),
    ],
)
def test_errors_are_words_with_an_exit_code(asoe: CommandLine, command: tuple[str, ...], code: int, words: str) -> None:
    done = asoe(*command)
    assert (done.code, words in done.err, done.out) == (code, True, ""), done.err


def test_a_wrong_setting_is_named(asoe: CommandLine) -> None:
    (asoe.data_dir.parent / ".env").write_text("ASOE_PORT=many\n", encoding="utf-8")
    try:
        done = asoe("org", "list")
    finally:
        (asoe.data_dir.parent / ".env").unlink()
    assert (done.code, "ASOE_PORT" in done.err) == (2, True)
