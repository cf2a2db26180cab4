"""The yardstick of `bench.accept` is what the API really writes: its statements change, and it must not fall behind unseen."""

import re
from uuid import uuid4

from bench.accept import pgbench_script
from bench.asoe_under_load import Prepared

from asoe.domain.organization import Principal


def test_every_statement_gets_all_its_values() -> None:
    org_id = uuid4()
    owner = Principal(uuid4(), org_id, "owner")
    script = pgbench_script(Prepared(org_id, owner, keys={}, accounts={"agent": uuid4()}))
    assert not re.search(r"\$\d", script)
    assert script.count("insert into") == 6
