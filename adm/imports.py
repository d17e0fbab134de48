"""Turn a published checkpoint into the weights of a model spec: `python -m adm.imports`."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from records.errors import main_guard
from records.files import read_json


def run(argv: Sequence[str] | None = None) -> int:
    """Import one checkpoint as the weights that the workflow planned.

    Raises:
        UserError: see `adm.checkpoints.import_checkpoint`.
    """
    parser = argparse.ArgumentParser(prog="python -m adm.imports", description=__doc__)
    parser.add_argument("checkpoint", help="pickled state dict (.pt)")
    parser.add_argument("--spec", required=True, help="model spec (JSON)")
    parser.add_argument("--mark", required=True, help="mark at which the training ended")
    parser.add_argument("--iteration", required=True, type=int, help="iterations at the mark")
    parser.add_argument("--scale", required=True, help="whose other models the message may name")
    parser.add_argument("--out", required=True, help="weights to write (safetensors)")
    args = parser.parse_args(argv)
    from adm.checkpoints import import_checkpoint
    from adm.names import Named, load_sources

    spec = read_json(args.spec, "model spec")
    named = Named(spec["name"], spec["name"], spec, args.mark, args.iteration)
    about = {"checkpoint": Path(args.checkpoint).name}
    import_checkpoint(args.checkpoint, args.out, named, load_sources(args.scale), about=about)
    return 0


main = main_guard(run)

if __name__ == "__main__":
    sys.exit(main())
