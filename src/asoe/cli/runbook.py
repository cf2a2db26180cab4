"""`asoe runbook`: writes, checks and tests runbooks as files. What needs an organization is in `runbook_shelf.py`."""

from __future__ import annotations

import re
import sys
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from asoe.cli.door import DataDir, Json, acting, err, out, print_json, run, say, show
from asoe.domain.errors import AsoeError, Conflict, Invalid, Missing
from asoe.domain.runbook import Runbook

app = typer.Typer(help="Runbooks: check, act once, verify, undo.", no_args_is_help=True)

Files = Annotated[list[Path], typer.Argument(help="Runbooks in YAML.")]


@app.command()
def new(
    *,
    name: Annotated[str, typer.Argument(help="Lower-case letters, digits and -, as in unlock-account.")],
    folder: Annotated[Path, typer.Option("--folder", help="Where to write it.")] = Path(),
    shipped: Annotated[
        str | None, typer.Option("--from", help="Begin with a shipped runbook: see `asoe runbook templates`.")
    ] = None,
) -> None:
    """Write a beginning, NAME.yaml, and cases for it, NAME.cases.yaml; both pass their checks."""
    from asoe.desk.runbook.template import cases_text, runbook_text

    if not re.fullmatch(r"[a-z][a-z0-9-]{0,62}", name):
        raise Invalid(f"{name!r} is no name for a runbook: use lower-case letters, digits and -.", code="bad_name")
    written = {
        folder / f"{name}.yaml": runbook_text(name, shipped),
        folder / f"{name}.cases.yaml": cases_text(name, shipped),
    }
    for path in written:
        if path.exists():
            raise Conflict(f"{path} exists already; choose another name, or remove it.", code="already_exists")
    folder.mkdir(parents=True, exist_ok=True)
    for path, text in written.items():
        path.write_text(text, encoding="utf-8")
        say(f"Wrote {path}.")
    say(f"Next: asoe runbook check {folder / name}.yaml && asoe runbook test {folder / name}.yaml")


@app.command()
def templates(*, as_json: Json = False) -> None:
    """List the shipped runbooks, to begin with: asoe runbook new NAME --from TEMPLATE."""
    from asoe.desk.runbook.template import shipped_runbooks

    rows = [
        {
            "template": runbook.name,
            "resolution_type": runbook.resolution_type,
            "connectors": ", ".join(runbook.connectors),
            "title": runbook.title,
        }
        for runbook in shipped_runbooks()
    ]
    show(rows, ("template", "resolution_type", "connectors", "title"), as_json=as_json)


@app.command()
def check(
    *,
    files: Files,
    org: Annotated[
        str | None,
        typer.Option("--org", help="Check also against the connectors and runbooks of this organization (slug or id)."),
    ] = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Say what is wrong or doubtful, with lines and remedies; ends with 1 when something is wrong.

    By itself it reads the files alone; with --org it names calls that a connector does not offer, and connectors that the
    organization lacks.
    """
    texts = {path: _read(path) for path in files}
    judged = _judged_alone(texts) if org is None else run(acting(_judged_for(texts), org, data_dir))
    found = [{"file": str(path), **finding.to_json()} for path, findings in judged.items() for finding in findings]
    errors = sum(finding["severity"] == "error" for finding in found)
    if as_json:
        print_json(found)
    else:
        for finding in found:
            out.print(f"{finding['file']}:{finding['line']}: {finding['severity']}: ", end="", markup=False)
            place = f"{finding['path']}: " if finding["path"] else ""
            out.print(f"{place}{finding['problem']}; {finding['remedy']}.", markup=False)
        say(f"{len(files)} checked: {errors} errors, {len(found) - errors} warnings.")
    if errors:
        raise typer.Exit(1)


@app.command("test")
def play_cases(*, files: Files, as_json: Json = False) -> None:
    """Play each runbook's recorded cases (NAME.cases.yaml, or .json, beside it); ends with 1 when one differs."""
    from asoe.desk.runbook.language import read_runbook
    from asoe.desk.runbook.recorded import play, read_cases

    rows: list[dict[str, Any]] = []
    for path in files:
        runbook = read_runbook(_read(path))
        cases = read_cases(_read(_cases_of(path)))
        rows += [{"runbook": runbook.name, **play(runbook, case, library=_library(path)).to_json()} for case in cases]
    failed = [row for row in rows if not row["passed"]]
    if as_json:
        print_json(rows)
    else:
        show(
            [{**row, "acts": len(row["acts"])} for row in rows],
            ("runbook", "name", "passed", "verdict", "reason", "acts"),
            as_json=False,
        )
        for row in failed:
            for difference in row["differences"]:
                err.print(f"{row['runbook']}: {row['name']}: {difference}", markup=False)
        say(f"{len(rows)} cases: {len(rows) - len(failed)} passed, {len(failed)} failed.")
    if failed:
        raise typer.Exit(1)


@app.command()
def schema() -> None:
    """Print the JSON Schema of runbooks, for editors."""
    from asoe.desk.runbook.language import schema as found

    print_json(found())
    sys.stdout.flush()


def _judged_alone(texts: Mapping[Path, str]) -> dict[Path, Sequence[Any]]:
    from asoe.desk.runbook.lint import check as findings_of

    return {path: findings_of(text, library=_library(path) or None) for path, text in texts.items()}


def _judged_for(texts: Mapping[Path, str]) -> Callable[[Any, Any], Awaitable[dict[Path, Sequence[Any]]]]:
    async def work(desk: Any, owner: Any) -> dict[Path, Sequence[Any]]:
        from asoe.desk.runbook import shelf

        return {path: await shelf.check(desk, owner, text, nearby=_library(path)) for path, text in texts.items()}

    return work


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise Missing(f"There is no file {path}.", code="no_file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise Invalid(f"{path} cannot be read as UTF-8 text ({error}).", code="bad_file") from None


def _cases_of(path: Path) -> Path:
    candidates = [path.with_suffix(f".cases{suffix}") for suffix in (".yaml", ".yml", ".json")]
    found = next((one for one in candidates if one.exists()), None)
    if found is None:
        raise Missing(f"{path} has no recorded cases: write {candidates[0]}.", code="no_cases")
    return found


def _library(path: Path) -> Mapping[str, Runbook]:
    """The other runbooks of the folder, by name: those that can be read."""
    return {runbook.name: runbook for runbook in _readable(path)}


def _readable(path: Path) -> Iterable[Runbook]:
    from asoe.desk.runbook.language import parse

    for other in sorted(path.parent.glob("*.yaml")):
        if other.name.endswith(".cases.yaml") or other.resolve() == path.resolve():
            continue
        try:
            yield parse(other.read_text(encoding="utf-8")).runbook
        except (AsoeError, OSError, UnicodeDecodeError):
            continue
