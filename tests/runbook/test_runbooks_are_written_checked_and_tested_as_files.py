"""`asoe runbook new | check | test`: files in, words and exit codes out."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from asoe.cli.main import app
from asoe.domain.errors import Conflict, Invalid, Missing


def asoe(*arguments: object):
    return CliRunner().invoke(app, ["runbook", *map(str, arguments)])


@pytest.fixture
def folder(tmp_path):
    assert asoe("new", "unlock", "--folder", tmp_path).exit_code == 0
    return tmp_path


def test_what_new_writes_checks_clean_and_passes(folder):
    assert sorted(path.name for path in folder.iterdir()) == ["unlock.cases.yaml", "unlock.yaml"]
    checked = asoe("check", folder / "unlock.yaml", "--json")
    assert (checked.exit_code, json.loads(checked.stdout)) == (0, [])
    tested = asoe("test", folder / "unlock.yaml", "--json")
    assert tested.exit_code == 0
    assert [row["passed"] for row in json.loads(tested.stdout)] == [True, True]
    assert "a locked account is unlocked" in asoe("test", folder / "unlock.yaml").stdout


def test_new_overwrites_nothing_and_takes_only_names(folder):
    assert isinstance(asoe("new", "unlock", "--folder", folder).exception, Conflict)
    assert isinstance(asoe("new", "../unlock", "--folder", folder).exception, Invalid)


def test_a_shipped_runbook_is_copied_under_a_new_name_with_its_cases(tmp_path):
    listed = {row["template"]: row for row in json.loads(asoe("templates", "--json").stdout)}
    assert listed.keys() >= {"credits-failed-work", "prefect-reset", "stripe-double-charge"}
    assert listed["prefect-reset"]["resolution_type"] == "workflow_reset"
    for template in listed:
        assert asoe("new", "of-ours", "--from", template, "--folder", tmp_path / template).exit_code == 0
        path = tmp_path / template / "of-ours.yaml"
        assert path.read_text().startswith("runbook: of-ours\n")
        assert (asoe("check", path).exit_code, asoe("test", path).exit_code) == (0, 0)
    for unknown in ("nothing", "../shipped/prefect-reset", "prefect-reset.cases"):
        missing = asoe("new", "another", "--from", unknown, "--folder", tmp_path)
        assert isinstance(missing.exception, Missing)
        assert "there are" in missing.exception.message
    assert not (tmp_path / "another.yaml").exists()


def test_errors_are_printed_with_file_and_line_and_end_with_1(folder):
    path = folder / "unlock.yaml"
    text = path.read_text().replace("met: =account", "met: =acount")
    path.write_text(text)
    line = next(number for number, one in enumerate(text.splitlines(), 1) if "met: =acount" in one)
    checked = asoe("check", path)
    assert checked.exit_code == 1
    assert f"unlock.yaml:{line}: error: goal.met: nothing is named 'acount' here" in checked.stdout.replace("\n", "")
    assert isinstance(asoe("test", path).exception, Invalid)


def test_a_case_that_differs_is_named_and_ends_with_1(folder):
    cases = folder / "unlock.cases.yaml"
    cases.write_text(cases.read_text().replace("verdict: verified", "verdict: failed"))
    tested = asoe("test", folder / "unlock.yaml")
    assert tested.exit_code == 1
    assert "verdict: expected failed, was verified" in tested.output


def test_procedures_of_other_files_beside_it_are_found(folder):
    path = folder / "both.yaml"
    text = (folder / "unlock.yaml").read_text().replace("runbook: unlock", "runbook: both")
    path.write_text(text.replace("steps:\n", "steps:\n  - do: unlock\n"))
    assert asoe("check", path).exit_code == 0
    assert json.loads(asoe("check", path, "--json").stdout) == []
    path.write_text(text.replace("steps:\n", "steps:\n  - do: nobody\n"))
    assert asoe("check", path).exit_code == 1


def test_what_is_not_there_is_said(tmp_path, folder):
    assert isinstance(asoe("check", tmp_path / "none.yaml").exception, Missing)
    (folder / "unlock.cases.yaml").unlink()
    assert isinstance(asoe("test", folder / "unlock.yaml").exception, Missing)
    (folder / "raw.yaml").write_bytes(b"\xff\xfe\xfa")
    assert isinstance(asoe("check", folder / "raw.yaml").exception, Invalid)


def test_the_schema_is_printed_for_editors():
    printed = asoe("schema")
    assert json.loads(printed.stdout)["title"] == "ASOE runbook"
