"""Every fault by name. To add some: call `add` in a module and import it; nothing else needs to know."""

from asoe.demo.estate.faults import access, billing, connections, work
from asoe.demo.estate.faults.fault import FAULTS, SYMPTOMS, Breakage, Fault, Scene, add

__all__ = ["FAULTS", "SYMPTOMS", "Breakage", "Fault", "Scene", "access", "add", "billing", "connections", "work"]
