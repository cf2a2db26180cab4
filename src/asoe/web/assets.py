"""The dashboard's files, read once at start and served from memory: named by content, so browsers keep them for good."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from asoe.domain.errors import Unavailable

BUILT: Final = Path(__file__).resolve().parents[1] / "_built" / "web"
_TYPES: Final = {
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}
_ENCODINGS: Final = (("br", ".br"), ("gzip", ".gz"))


@dataclass(frozen=True, slots=True)
class Assets:
    """`paths` maps a file's plain name to its address; `bodies` an address's last part and encoding to bytes."""

    paths: dict[str, str]
    bodies: dict[tuple[str, str], bytes]

    def respond(self, request: Request, name: str) -> Response | None:
        """The file in the best encoding the browser takes; None when there is none of this name."""
        if (name, "") not in self.bodies:
            return None
        accepted = {part.partition(";")[0].strip() for part in request.headers.get("accept-encoding", "").split(",")}
        encoding = next((each for each, _ in _ENCODINGS if each in accepted and (name, each) in self.bodies), "")
        headers = {"Cache-Control": "public, max-age=31536000, immutable", "Vary": "Accept-Encoding"}
        if encoding:
            headers["Content-Encoding"] = encoding
        return Response(self.bodies[name, encoding], media_type=_TYPES[name.rpartition(".")[2]], headers=headers)


def load_assets(folder: Path = BUILT) -> Assets:
    """Raises `Unavailable(web_not_built)` when `python -m asoe.web.build` has not run."""
    try:
        manifest: dict[str, str] = json.loads((folder / "manifest.json").read_text())
    except OSError:
        raise Unavailable(
            f"The dashboard's files are not in {folder}: run `make setup`, or `python -m asoe.web.build`.",
            code="web_not_built",
            permanent=True,
        ) from None
    bodies: dict[tuple[str, str], bytes] = {}
    for name in manifest.values():
        bodies[name, ""] = (folder / name).read_bytes()
        for encoding, suffix in _ENCODINGS:
            compressed = folder / (name + suffix)
            if compressed.exists():
                bodies[name, encoding] = compressed.read_bytes()
    return Assets({plain: f"/assets/{name}" for plain, name in manifest.items()}, bodies)
