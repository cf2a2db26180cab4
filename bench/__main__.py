"""`make bench`: every speed the project promises, each beside its yardstick in the same run. ARGS="accept" runs one."""

from __future__ import annotations

import subprocess
import sys

BENCHES = {
    "accept": ["--variants"],
    "journeys": [],
    "triage": [],
    "million": [],
    "reports": [],
    "recorder": [],
    "pages": [],
}


def main(names: list[str]) -> int:
    """Run the named benches, or all; the exit code counts those that failed."""
    unknown = set(names) - set(BENCHES)
    if unknown:
        print(f"There is no bench {', '.join(sorted(unknown))}; there are {', '.join(BENCHES)}.", file=sys.stderr)
        return 2
    failed = 0
    for name in names or BENCHES:
        print(f"== {name}", flush=True)
        failed += subprocess.run([sys.executable, "-m", f"bench.{name}", *BENCHES[name]], check=False).returncode != 0
    return failed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
