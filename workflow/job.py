"""What a job is made of: what it reads, what makes its work stale, and how it is run."""

from dataclasses import dataclass, field
from typing import Any

from workflow.layout import Stored


@dataclass(frozen=True)
class Job:
    """What a job is made of.

    Its work is stale when its identity or the set of its inputs has changed, or when an input was
    made again: of what it reads the spec, of what it gathers the file itself.

    Attributes:
        identity: what makes its work stale when it changes, by name; functions where it takes time.
        reads: inputs that have a spec beside them, by name.
        gathers: other inputs, by name.
        options: how its command is run; nothing of it makes its work stale.
        missing: what the user has to bring first, in words.
    """

    identity: dict[str, Any]
    reads: dict[str, list[Stored]] = field(default_factory=dict)
    gathers: dict[str, list[str]] = field(default_factory=dict)
    options: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)

    @property
    def inputs(self) -> dict[str, list[str]]:
        """Return all inputs by name; `specs` are those of what it reads."""
        files = {name: [one.file for one in stored] for name, stored in self.reads.items()}
        specs = [one.spec for stored in self.reads.values() for one in stored]
        return {**files, "specs": specs, **self.gathers}
