"""A query that is declared but not written, or the reverse, stops the import; so importing every room is the test."""

from __future__ import annotations

import importlib
import pkgutil
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

import asoe.store
from asoe.store.queries import NamedQueries, parse_queries

STORE = Path(asoe.store.__file__).parent
FILES = sorted(path for path in STORE.glob("*.sql") if path.stem != "roles")


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_file_of_queries_belongs_to_a_module_that_declares_them(path):
    module = importlib.import_module(f"asoe.store.{path.stem}")
    declared = [
        v
        for v in vars(module).values()
        if isinstance(v, type) and issubclass(v, NamedQueries) and v is not NamedQueries
    ]
    assert declared, f"{path.stem}.py declares none of {path.name}"
    assert all(getattr(declared[0], name) for name in parse_queries(path.read_text(encoding="utf-8")))


def test_every_module_that_declares_queries_is_imported_by_name():
    for found in pkgutil.iter_modules(asoe.store.__path__):
        importlib.import_module(f"asoe.store.{found.name}")


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_no_query_takes_all_columns(path):
    for name, sql in parse_queries(path.read_text(encoding="utf-8")).items():
        selected = re.search(r"\bselect\s+(\w+\.)?\*(?!\s+from\s+asoe\.\w+\()", sql, re.IGNORECASE)
        assert selected is None, f"{path.name}: {name} selects all columns"


@pytest.mark.parametrize(
    ("written", "complaint"),
    [
        ("-- name: one\nselect 1\n", "declared but not written: ['two']"),
        ("-- name: one\n-- name: two\n-- name: three\n", "not declared: ['three']"),
    ],
)
def test_a_difference_stops_the_import(tmp_path, monkeypatch, written, complaint):
    (tmp_path / "module_of_test.sql").write_text(written)
    module = ModuleType("module_of_test")
    module.__file__ = str(tmp_path / "module_of_test.py")
    monkeypatch.setitem(sys.modules, "module_of_test", module)
    body = {"__module__": "module_of_test", "__annotations__": {"one": str, "two": str}}
    with pytest.raises(RuntimeError, match=re.escape(complaint)):
        type("Declared", (NamedQueries,), body)


def test_a_query_written_twice_stops_the_import():
    with pytest.raises(ValueError, match="written twice"):
        parse_queries("-- name: one\nselect 1\n-- name: one\nselect 2\n")
