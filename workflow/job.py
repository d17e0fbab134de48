"""What a job is made of, and a kind of jobs: the shapes in which `workflow.graph` has them."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from workflow.layout import Stored

Key = tuple[str, ...]  # rule and names of a job


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
        digest: of its identity, where its manifest carries one that no part of the identity is.
        missing: what the user has to bring first, in words.
    """

    identity: dict[str, Any]
    reads: dict[str, list[Stored]] = field(default_factory=dict)
    gathers: dict[str, list[str]] = field(default_factory=dict)
    options: list[str] = field(default_factory=list)
    digest: str | None = None
    missing: list[str] = field(default_factory=list)

    @property
    def inputs(self) -> dict[str, list[str]]:
        """Return all inputs by name; `specs` are those of what it reads."""
        files = {name: [one.file for one in stored] for name, stored in self.reads.items()}
        specs = [one.spec for stored in self.reads.values() for one in stored]
        return {**files, "specs": specs, **self.gathers}


@dataclass(frozen=True)
class Kind:
    """A kind of job, which has a rule.

    Attributes:
        wildcards: what the names of a job are.
        describe: makes a job, given the plan and its names.
        write: returns its outputs, given the layout and its names: a path, Stored, or paths.
        folder: of its logs, where it is not the rule's name.
        on_device: whether it computes on the plan's device.
    """

    wildcards: tuple[str, ...]
    describe: Callable[..., Job]
    write: Callable[..., str | Stored | dict[str, str]]
    folder: str = ""
    on_device: bool = False
