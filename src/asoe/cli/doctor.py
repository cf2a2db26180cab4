"""`asoe doctor`: looks at an installation and says what is wrong and what to do. Each check is one function; none repairs."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, Literal

import asyncpg
import typer
from rich.table import Table

from asoe.cli.door import DataDir, Json, err, has_database, how_many, load, out, print_json, run
from asoe.config import Settings
from asoe.domain.errors import AsoeError

Verdict = Literal["ok", "warn", "fail"]
_COLORS: Final = {"ok": "green", "warn": "yellow", "fail": "bold red"}
_LOW_SPACE: Final = 2 << 30
_SLOW_QUEUE: Final = 60.0
_SKEW: Final = 2.0
_SAMPLE: Final = 20


@dataclass(frozen=True, slots=True)
class Finding:
    """One check's result; `remedy` says what to do when it is not ok."""

    check: str
    verdict: Verdict
    detail: str
    remedy: str = ""


@dataclass(slots=True)
class Patient:
    """What the checks look at. Without `app` (asoe_app's connection) or `owner` those that need one are left out."""

    settings: Settings
    app: Any = None
    owner: Any = None
    urls: dict[str, str] = field(default_factory=dict)
    trouble: str | None = None


Check = Callable[[Patient], Awaitable[list[Finding]]]


def add_to(app: typer.Typer) -> None:
    app.command()(doctor)


def doctor(*, data_dir: DataDir = None, as_json: Json = False) -> None:
    """Look at the installation: settings, store, roles, schema, queue, models, key. Ends with 1 when something is wrong."""
    findings = run(examine(lambda: load(data_dir=data_dir)))
    if as_json:
        print_json({"ok": _is_well(findings), "checks": [asdict(finding) for finding in findings]})
    else:
        table = Table(box=None, show_header=False, padding=(0, 1))
        for finding in findings:
            table.add_row(f"[{_COLORS[finding.verdict]}]{finding.verdict}[/]", finding.check, _plain(finding.detail))
            if finding.remedy:
                table.add_row("", "", f"→ {_plain(finding.remedy)}")
        out.print(table)
        err.print(
            "All is well." if _is_well(findings) else "[bold red]Something is wrong; the arrows say what to do.[/]"
        )
    if not _is_well(findings):
        raise typer.Exit(1)


async def examine(settings: Callable[[], Settings]) -> list[Finding]:
    """Run every check; one that cannot run is a finding, never an end."""
    try:
        patient = Patient(settings())
    except AsoeError as error:
        return [Finding("settings", "fail", error.message, "Correct the named variables.")]
    findings = [Finding("settings", "ok", _described(patient.settings))]
    async with _reached(patient):
        for check in CHECKS:
            try:
                findings += await check(patient)
            except (AsoeError, asyncpg.PostgresError, OSError) as error:
                words = error.message if isinstance(error, AsoeError) else f"{type(error).__name__}: {error}"
                findings.append(Finding(check.__name__.strip("_"), "fail", words, "See the check before this one."))
    return findings


@asynccontextmanager
async def _reached(patient: Patient) -> AsyncIterator[None]:
    """Open what connections there are; the embedded server is attached to, or started for the look."""
    from asoe.store import installation
    from asoe.store.embedded import close_embedded, open_embedded

    server = None
    try:
        try:
            if patient.settings.is_embedded:
                if has_database(patient.settings.data_dir):
                    server = await open_embedded(patient.settings.data_dir)
                    patient.urls = {"app": server.app_dsn, "owner": server.owner_dsn, "system": server.system_dsn}
            else:
                given = {
                    "app": patient.settings.database_app_url,
                    "owner": patient.settings.database_url,
                    "system": patient.settings.system_url,
                }
                patient.urls = {name: url for name, url in given.items() if url}
            if "app" in patient.urls:
                patient.app = await asyncpg.connect(patient.urls["app"], timeout=10, statement_cache_size=0)
            if "owner" in patient.urls:
                patient.owner = await asyncpg.connect(patient.urls["owner"], timeout=10)
                await installation.become_owner(patient.owner)
        except AsoeError as error:
            patient.trouble = error.message
        except (OSError, TimeoutError, asyncpg.PostgresError) as error:
            patient.trouble = f"{type(error).__name__}: {error}"
        yield
    finally:
        for connection in (patient.app, patient.owner):
            if connection is not None:
                await connection.close()
        if server is not None:
            await close_embedded(server)


async def _data_folder(patient: Patient) -> list[Finding]:
    """Its rights and the free space."""
    folder = patient.settings.data_dir.expanduser().absolute()
    if patient.settings.is_embedded and not has_database(folder):
        remedy = "Name its folder with --data-dir or ASOE_DATA_DIR, or make one: asoe org create --help"
        return [Finding("data folder", "fail", f"There is no installation at {folder}.", remedy)]
    if not folder.exists():
        return [Finding("data folder", "ok", f"{folder} does not exist yet; the first start makes it.")]
    free = shutil.disk_usage(folder).free
    if free < _LOW_SPACE:
        return [
            Finding(
                "disk space", "warn", f"{free >> 20} MB are free for {folder}.", "Make room before PostgreSQL stops."
            )
        ]
    return [Finding("data folder", "ok", f"{folder}, {free >> 30} GB free")]


async def _embedded_server(patient: Patient) -> list[Finding]:
    from asoe.store.embedded import embedded_status

    if not patient.settings.is_embedded:
        return []
    found = await asyncio.to_thread(embedded_status, patient.settings.data_dir)
    if not found.exists:
        return []
    state = "running" if found.is_running else "at rest"
    findings = [
        Finding(
            "embedded PostgreSQL", "ok", f"{found.version}, {state}, {found.size_bytes / 1e6:.0f} MB, {found.log_file}"
        )
    ]
    return findings + [
        Finding("embedded PostgreSQL", "warn", problem, "See the line itself.") for problem in found.problems
    ]


async def _connection(patient: Patient) -> list[Finding]:
    """Whether the database lets us in, and whether it can be what we need."""
    from asoe.store import installation

    if patient.trouble is not None:
        remedy = "Check ASOE_DATABASE_URL and ASOE_DATABASE_APP_URL; `asoe migrate` makes roles and passwords."
        return [Finding("database", "fail", patient.trouble, remedy)]
    if patient.app is None:
        if patient.settings.is_embedded:
            return []
        return [Finding("database", "fail", "ASOE_DATABASE_APP_URL is not set.", "Set it, with user asoe_app.")]
    server = await installation.server(patient.app)
    findings = [Finding("database", "ok", f"PostgreSQL {server.version}, {server.bytes / 1e6:.0f} MB")]
    if server.number < 150000:
        findings.append(Finding("database", "fail", "PostgreSQL is older than 15.", "Upgrade PostgreSQL."))
    if server.vector is None:
        findings.append(
            Finding("database", "fail", "The extension vector is not there.", "Install pgvector, then `asoe migrate`.")
        )
    return findings


async def _clock(patient: Patient) -> list[Finding]:
    from asoe.store import installation

    if patient.app is None:
        return []
    skew = abs((await installation.clock(patient.app) - datetime.now(UTC)).total_seconds())
    if skew > _SKEW:
        return [Finding("clocks", "warn", f"This machine and the database differ by {skew:.1f} s.", "Run NTP on both.")]
    return [Finding("clocks", "ok", f"{skew * 1000:.0f} ms apart")]


async def _privileges(patient: Patient) -> list[Finding]:
    """The app's role must be bound by row-level security, and every table of ours must have it."""
    from asoe.store import installation
    from asoe.store.db import refuse_privileged

    findings = []
    if patient.app is not None:
        try:
            await refuse_privileged(patient.app)
            findings.append(Finding("app role", "ok", "bound by row-level security, owns nothing"))
        except AsoeError as error:
            findings.append(
                Finding("app role", "fail", error.message, "Use role asoe_app, as `asoe migrate` makes it.")
            )
    if patient.owner is not None:
        roles = {role.name: role for role in await installation.roles(patient.owner)}
        for name, may_bypass in (("asoe_owner", True), ("asoe_app", False), ("asoe_system", False)):
            role = roles.get(name)
            if role is None or role.rolsuper or role.rolbypassrls != may_bypass:
                said = "is missing" if role is None else "has rights it must not have, or lacks BYPASSRLS"
                findings.append(Finding("roles", "fail", f"{name} {said}.", "Run `asoe migrate`; see docs/operations."))
        open_tables = await installation.unprotected_tables(patient.owner)
        if open_tables:
            findings.append(
                Finding(
                    "row-level security",
                    "fail",
                    f"off on {', '.join(open_tables)}",
                    "Somebody changed the schema: restore it.",
                )
            )
        else:
            findings.append(Finding("row-level security", "ok", "enabled and forced on every table of ours"))
    return findings


async def _migrations(patient: Patient) -> list[Finding]:
    from asoe.store.migrate import edited, pending

    url = patient.urls.get("app") or patient.urls.get("owner")
    if patient.trouble is not None or url is None:
        return []
    changed = await edited(url)
    if changed:
        names = ", ".join(f"{migration.number} {migration.name}" for migration in changed)
        return [
            Finding(
                "migrations",
                "fail",
                f"Applied in another wording than this release has: {names}.",
                "Install the release that made this database, or restore its backup into a new one.",
            )
        ]
    missing = await pending(url)
    if missing:
        names = ", ".join(str(migration.number) for migration in missing)
        return [Finding("migrations", "fail", f"{len(missing)} are pending: {names}", "Run `asoe migrate`.")]
    return [Finding("migrations", "ok", "the schema is that of this release")]


async def _partitions(patient: Patient) -> list[Finding]:
    from asoe.store import installation

    if patient.owner is None:
        return []
    now = datetime.now(UTC)
    coming = f"{now.year + now.month // 12}_{now.month % 12 + 1:02d}"
    late = [
        name for name, until in (await installation.partitions_until(patient.owner)).items() if (until or "") < coming
    ]
    if late or await installation.has_default_rows(patient.owner):
        what = f"not prepared for {coming}: {', '.join(late)}" if late else "rows fell into a default partition"
        return [Finding("partitions", "warn", what, "A worker prepares them every 6 hours: is one running?")]
    return [Finding("partitions", "ok", f"prepared for {coming} and later")]


async def _queue(patient: Patient) -> list[Finding]:
    from asoe.store import installation

    if patient.app is None:
        return []
    jobs = await installation.queue(patient.app)
    detail = f"{jobs.queued} waiting, {jobs.running} running, {jobs.failed} failed"
    findings = []
    if jobs.oldest_seconds > _SLOW_QUEUE:
        findings.append(
            Finding("queue", "warn", f"A job has waited {jobs.oldest_seconds:.0f} s.", "Does a worker run? asoe work")
        )
    if jobs.abandoned:
        findings.append(
            Finding(
                "queue",
                "warn",
                f"{jobs.abandoned} jobs have a worker without heartbeats.",
                "Any worker takes them over.",
            )
        )
    if jobs.failed:
        findings.append(
            Finding("queue", "warn", f"{jobs.failed} jobs failed for good.", "The worker's log names their errors.")
        )
    return findings or [Finding("queue", "ok", detail)]


async def _knowledge(patient: Patient) -> list[Finding]:
    """Published articles that search does not find yet."""
    from asoe.store import installation

    if patient.owner is None or patient.trouble is not None or await _lacks(patient, "asoe.articles"):
        return []
    behind = await installation.indexing(patient.owner)
    if not behind:
        return [Finding("knowledge", "ok", "every published article is indexed")]
    told = ", ".join(f"{found.slug} {found.indexed} of {found.total}" for found in behind)
    return [
        Finding(
            "knowledge",
            "warn",
            f"Indexed: {told} published articles.",
            "A worker indexes them, and finds lost ones within minutes: is one running? asoe work",
        )
    ]


async def _lacks(patient: Patient, table: str) -> bool:
    return await patient.owner.fetchval("select to_regclass($1)", table) is None


async def _models(patient: Patient) -> list[Finding]:
    import json

    from asoe.ai.build import BUILT

    del patient
    findings = []
    for name, file in (("encoder", "model.onnx"), ("triage", "model.npz")):
        mark = BUILT / name / "build.json"
        if not (BUILT / name / file).exists():
            findings.append(
                Finding("models", "fail", f"The {name} model is not there.", "Run `python -m asoe.ai.build`.")
            )
        elif not mark.exists():
            remedy = "Run `python -m asoe.ai.build` again."
            findings.append(Finding("models", "warn", f"Building the {name} model was broken off.", remedy))
        else:
            told = json.loads(mark.read_text(encoding="utf-8"))
            findings.append(Finding("models", "ok", f"{name}: {str(next(iter(told.values()), '?'))[:16]}"))
    return findings


async def _secret_key(patient: Patient) -> list[Finding]:
    from asoe.secret_key import FILE, read_secret_key
    from asoe.store import secret_key as store

    path = patient.settings.data_dir / FILE
    known = await store.remembered(patient.app) if patient.app is not None else None
    if not path.exists():
        if known is None:
            return [Finding("secret key", "ok", "none yet; the first start makes it")]
        remedy = f"Copy {FILE} from another machine of this installation, or from your backup."
        return [Finding("secret key", "fail", f"{path} is lost (the database knows {known}).", remedy)]
    try:
        key = read_secret_key(path)
    except AsoeError as error:
        return [Finding("secret key", "fail", error.message, "See the line itself.")]
    if known is not None and known != key.fingerprint:
        remedy = f"Every machine needs the same file: copy {FILE} from the one that made or rotated it."
        return [Finding("secret key", "fail", f"{path} is {key.fingerprint}, the database knows {known}.", remedy)]
    return [Finding("secret key", "ok", f"{key.fingerprint}, {len(key.keys)} in the file")]


async def _mail(patient: Patient) -> list[Finding]:
    """Whether the servers of every mailbox let us in."""
    from asoe.cli.doctor_mail import mail_lines

    if patient.owner is None or patient.trouble is not None or await _lacks(patient, "asoe.mails"):
        return []
    return [Finding("mail", *line) for line in await mail_lines(patient.owner, patient.settings)]


async def _audit(patient: Patient) -> list[Finding]:
    """The newest blocks of every audit trail are proved, and none may wait long to be sealed."""
    from asoe.cli.doctor_audit import audit_lines

    if patient.owner is None or patient.trouble is not None or await _lacks(patient, "asoe.audit_blocks"):
        return []
    return [Finding("audit trail", *line) for line in await audit_lines(patient.owner, patient.settings, patient.urls)]


async def _language_model(patient: Patient) -> list[Finding]:
    from asoe.cli.doctor_model import model_line

    return [Finding("language model", *await model_line(patient.settings))]


async def _tallies(patient: Patient) -> list[Finding]:
    """Counters must equal a recount; a sample of organizations is recounted."""
    from asoe.store import installation

    if patient.owner is None or patient.trouble is not None:
        return []
    wrong = []
    listed = await installation.all_organizations(patient.urls["owner"])
    for found in listed[:_SAMPLE]:
        async with patient.owner.transaction(isolation="repeatable_read", readonly=True):
            counted, there = await installation.tally(patient.owner, found.org_id)
        if counted != there:
            wrong.append(f"{found.slug}: {counted} counted, {there} there")
    if wrong:
        return [
            Finding("counters", "fail", "; ".join(wrong), "Rows were changed past the triggers; please report this.")
        ]
    return [Finding("counters", "ok", f"equal a recount of {how_many(min(len(listed), _SAMPLE), 'organization')}")]


CHECKS: Final[tuple[Check, ...]] = (
    _data_folder,
    _embedded_server,
    _connection,
    _clock,
    _privileges,
    _migrations,
    _partitions,
    _queue,
    _knowledge,
    _secret_key,
    _models,
    _language_model,
    _mail,
    _audit,
    _tallies,
)


def _described(settings: Settings) -> str:
    changed = sorted(name for name in settings.model_fields_set if name in type(settings).model_fields)
    store = "embedded" if settings.is_embedded else "external"
    return f"{store} PostgreSQL; set: {', '.join(f'ASOE_{name.upper()}' for name in changed) or 'nothing'}"


def _is_well(findings: list[Finding]) -> bool:
    return all(finding.verdict != "fail" for finding in findings)


def _plain(text: str) -> str:
    return text.replace("[", "\\[")
