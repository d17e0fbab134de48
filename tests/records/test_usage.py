"""What a piece of work costs."""

import subprocess
import sys
import time
from types import SimpleNamespace

from records.usage import Usage

SECONDS = 0.3


def burn(seconds):
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass


def test_a_part_of_a_process_is_counted_from_its_start():
    burn(SECONDS)
    usage = Usage()
    burn(SECONDS)
    time.sleep(0.1)
    used = usage.read()
    assert SECONDS <= used["cpu_seconds"] < 1.8 * SECONDS
    assert used["wall_seconds"] >= used["cpu_seconds"] * 0.9 + 0.1
    assert 10 < used["peak_memory_mb"] < 100_000


def test_processes_that_were_waited_for_count_too():
    usage = Usage()
    code = f"import time; end = {SECONDS}\nwhile time.process_time() < end: pass"
    subprocess.run([sys.executable, "-c", code], check=True)
    assert usage.read()["cpu_seconds"] >= SECONDS


def test_a_command_counts_its_own_start():
    code = (
        "import records.usage, time\n"
        f"while time.process_time() < {SECONDS}: pass\n"
        "print(records.usage.Usage(whole_process=True).read()['cpu_seconds'])\n"
        "print(records.usage.Usage().read()['cpu_seconds'])"
    )
    answer = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
    whole, part = map(float, answer.stdout.split())
    assert whole >= SECONDS > part


def test_a_process_that_has_used_a_gpu_says_so(monkeypatch):
    assert "device" not in Usage().read()
    cuda = SimpleNamespace(is_initialized=lambda: True)
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(cuda=cuda))
    assert Usage().read()["device"] == "cuda"
