"""The shell frame of all rules."""

import os
import subprocess
import time

from workflow.rule_parts import MEND_TIMES


def test_inputs_from_a_clock_that_is_ahead_become_as_old_as_now(tmp_path):
    """Snakemake deletes an output that seems older than an input."""
    ahead, behind = tmp_path / "ahead", tmp_path / "behind"
    for path, seconds in ((ahead, 100), (behind, -100)):
        path.touch()
        os.utime(path, (time.time() + seconds,) * 2)
    before = behind.stat().st_mtime
    for inputs in (f"{ahead} {behind} {tmp_path / 'missing'}", ""):
        script = MEND_TIMES.replace("{input:q}", inputs).replace("{{}}", "{}")
        subprocess.run(["bash", "-euo", "pipefail", "-c", script], check=True)
    assert abs(ahead.stat().st_mtime - time.time()) < 50 and behind.stat().st_mtime == before
