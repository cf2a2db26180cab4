"""ASOE, the Autonomous Support & Ops Engine. Heavy parts are imported when they are first asked for."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from asoe.engine import AIResolutionEngine, Connection, OpsAutoFixer, SupportOpsEngine, connect

__all__ = ["AIResolutionEngine", "Connection", "OpsAutoFixer", "SupportOpsEngine", "connect"]
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    if name in __all__:
        return getattr(import_module("asoe.engine"), name)
    raise AttributeError(f"module 'asoe' has no attribute {name!r}")
