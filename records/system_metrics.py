"""How busy a machine is while a job runs: CPU, memory and GPUs, under MLflow's own names."""

import os
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from records.errors import UserError

INTERVAL_S = 10.0  # MLflow's own
# After 10,000 seconds the interval grows with the time that has passed: 5,500 looks in ten days.
MAX_LOOKS = 1000
ASKED = ("utilization.gpu", "memory.used", "memory.total", "power.draw", "enforced.power.limit")
MEBIBYTE = 2**20


@contextmanager
def watch_machine(write: Callable[..., None], *, interval_s: float = INTERVAL_S) -> Iterator[None]:
    """Tell how busy the machine is, every few seconds for the length of a block.

    A thread of its own looks and tells, so that the block never waits, and nothing that goes wrong
    there reaches it. The values are those of the whole machine, under the names of
    mlflow.system_metrics, and of this process (`process_...`).

    Args:
        write: takes the word `system` and the values, as `EventLog.write` does.
        interval_s: between two looks.
    """
    import psutil  # takes time, and is needed only here

    process, is_over, telling = psutil.Process(), threading.Event(), threading.Lock()

    def read_values() -> dict[str, float]:
        memory = psutil.virtual_memory()
        values = {
            "cpu_utilization_percentage": psutil.cpu_percent(),  # since the last look
            "system_memory_usage_megabytes": memory.used / 1e6,
            "system_memory_usage_percentage": 100 * memory.used / memory.total,
            "process_cpu_utilization_percentage": process.cpu_percent(),  # 100: one CPU
            "process_memory_usage_megabytes": process.memory_info().rss / 1e6,
        }
        return {name: round(value, 1) for name, value in (values | read_gpus()).items()}

    def look() -> None:
        began = time.monotonic()
        psutil.cpu_percent()
        process.cpu_percent()
        while not is_over.wait(max(interval_s, (time.monotonic() - began) / MAX_LOOKS)):
            with suppress(UserError, OSError, psutil.Error):
                values = read_values()
                with telling:  # never after the end
                    if not is_over.is_set():
                        write("system", **values)

    threading.Thread(target=look, name="system metrics", daemon=True).start()
    try:
        yield
    finally:
        with telling:
            is_over.set()


def read_gpus() -> dict[str, float]:
    """Read utilisation, memory and power of the NVIDIA GPUs that this process may use.

    Returns:
        `gpu_0_utilization_percentage` and so on; nothing where nvidia-smi is missing or fails.
    """
    command = ["nvidia-smi", f"--query-gpu={','.join(ASKED)}", "--format=csv,noheader,nounits"]
    if (visible := os.environ.get("CUDA_VISIBLE_DEVICES")) is not None:
        command.append(f"--id={visible}")
    try:
        said = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return {}
    found: dict[str, float] = {}
    for number, line in enumerate(said.stdout.splitlines()):
        values = [_parse(word) for word in line.split(",")]
        if len(values) == len(ASKED):
            found |= {f"gpu_{number}_{key}": value for key, value in _name_values(*values)}
    return found


def _name_values(
    utilization: float | None,
    used: float | None,
    total: float | None,
    power: float | None,
    limit: float | None,
) -> Iterator[tuple[str, float]]:
    """Yield MLflow's names and the values, what a GPU does not tell left out."""
    if utilization is not None:
        yield "utilization_percentage", utilization
    if used is not None:
        yield "memory_usage_megabytes", used * MEBIBYTE / 1e6
    if used is not None and total:
        yield "memory_usage_percentage", 100 * used / total
    if power is not None:
        yield "power_usage_watts", power
    if power is not None and limit:
        yield "power_usage_percentage", 100 * power / limit


def _parse(word: str) -> float | None:
    """Parse a value of nvidia-smi; None for [N/A] and the like."""
    try:
        return float(word)
    except ValueError:
        return None
