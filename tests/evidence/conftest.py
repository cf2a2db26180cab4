"""How long the long proofs are: a seeded sample, or with ASOE_EVIDENCE=full (make evidence) all of it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from random import Random

import pytest


@dataclass(frozen=True, slots=True)
class Size:
    """`full` proofs take their time; the sample of each ends within a minute. `seed` makes a run repeatable."""

    is_full: bool
    seed: int

    def of(self, sample: int, full: int) -> int:
        return full if self.is_full else sample

    def dice(self) -> Random:
        return Random(self.seed)


@pytest.fixture(scope="session")
def size() -> Size:
    seed = int(os.environ.get("ASOE_EVIDENCE_SEED", "1"))
    found = Size(os.environ.get("ASOE_EVIDENCE") == "full", seed)
    print(f"evidence: {'full' if found.is_full else 'sample'}, seed {seed}")
    return found
