"""Every mending operation, by name. The estate does what an operator asks; the policy of the handbook is the operator's to keep."""

from asoe.demo.estate.operations import access, billing, connections, work
from asoe.demo.estate.operations.operation import OPERATIONS, Operation, Refused

__all__ = ["OPERATIONS", "Operation", "Refused", "access", "billing", "connections", "work"]
