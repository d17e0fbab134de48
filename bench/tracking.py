"""How long imports into MLflow take: `python -m bench.tracking`, 100 runs of 1,000 points."""

import argparse
import tempfile
import time
from pathlib import Path

from records.events import EventLog
from records.tracking import track


def write_runs(root: Path, num_runs: int, num_points: int) -> None:
    """Write events of trainings with one metric each."""
    for number in range(num_runs):
        name = f"model{number}"
        log = EventLog(
            root / "bench" / "retrain" / "events" / f"train-{name}.jsonl", {"scale": "bench"}
        )
        with log.record(kind="model", job="train", name=name, digest=name, spec={"channels": 8}):
            for step in range(num_points):
                log.write("progress", iteration=step, loss=1 / (1 + step))


def main() -> None:
    """Print wall and CPU seconds of a first and a second import."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--points", type=int, default=1000, help="recorded points of each run")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        write_runs(root, args.runs, args.points)
        for word in ("first", "again"):
            wall, cpu = time.monotonic(), time.process_time()
            summary = track(root)
            print(
                f"{word}: {summary.num_runs} runs of {args.points} points, "
                f"{summary.num_new} new: {time.monotonic() - wall:.1f} s wall, "
                f"{time.process_time() - cpu:.1f} s CPU",
                flush=True,
            )


if __name__ == "__main__":
    main()
