"""What Snakemake asks of its own records, answered from the files where these can tell."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

from snakemake.persistence import NO_PARAMS_CHANGE, ParamsChange, PersistenceBase

from records.files import sha256_file
from workflow.rule_parts import RuleParts
from workflow.run_owner import find_owners, write_owner


class Differences(ParamsChange):
    """What makes finished work stale, in words."""

    def __str__(self) -> str:
        return "; ".join(sorted(self.only_old))


class FilesFirst(PersistenceBase):
    """Mixed into Snakemake's class of records.

    Attributes:
        rules: the parts of all rules, by name.
    """

    rules: ClassVar[dict[str, RuleParts]] = {}

    def _find_differences(self, job: Any) -> list[str] | None:
        parts = self.rules.get(job.rule.name)
        return None if parts is None else parts.find_differences(job.wildcards)

    def has_metadata(self, job: Any) -> bool:
        return self._find_differences(job) is not None or super().has_metadata(job)

    def has_outdated_metadata(self, job: Any) -> bool:
        return self._find_differences(job) is None and super().has_outdated_metadata(job)

    def params_changed(self, job: Any, file: Any = None) -> Any:
        found = self._find_differences(job)
        if found is None:
            return super().params_changed(job, file)
        files = set(job.output if file is None else [file])
        return Differences(only_old=set(found), files=files) if found else NO_PARAMS_CHANGE

    def input_changed(self, job: Any, file: Any = None) -> Any:
        if self._find_differences(job) is None:
            return super().input_changed(job, file)
        return iter(()) if file is None else False

    def input_checksums(self, job: Any, input_path: Any) -> set[Any]:
        """Let times of specs count for nothing: what is in one is in the spec of who reads it."""
        parts = self.rules.get(job.rule.name)
        told = self._find_differences(job) is not None or not super().has_metadata(job)
        if parts is None or not told or input_path not in parts.list_specs(job.wildcards):
            return super().input_checksums(job, input_path)
        return {f"sha256:{sha256_file(input_path)}"}

    async def incomplete(self, job: Any) -> list[Any]:
        """Return the outputs of a job that was cut off, not of one that outlived Snakemake."""
        found = await super().incomplete(job)
        parts = self.rules.get(job.rule.name)
        if found and parts is not None and parts.is_whole(job.wildcards):
            for file in job.output:
                self._unmark_incomplete(self._get_key(file))
            return []
        return found

    @property
    def locked(self) -> bool:
        """Tell whether a run that may still live holds files of this one."""
        if not super().locked:
            return False
        owners = find_owners(self._lock_folder)
        return not owners or any(one.may_live for one in owners)

    def is_held(self, files: Collection[str]) -> bool:
        """Tell the same before the graph is there, of files that this run may write."""
        if not any(one.may_live for one in find_owners(self._lock_folder)):
            return False
        locks = self._lock_folder.glob("*.output.lock")
        return any(line in files for path in locks for line in path.read_text().splitlines())

    @contextmanager
    def lock(self) -> Iterator[None]:
        if self.locked:
            owners = [one for one in find_owners(self._lock_folder) if one.may_live]
            by = ", ".join(one.words for one in owners) or "a run of an earlier version"
            raise SystemExit(  # Snakemake shows other errors with the lines that raised them
                f"error: {self._lock_folder}: another run works on these results: {by}. Wait for "
                "it to end or stop it; if it is gone, type `snakemake --unlock --cores 1` with the "
                "same --config, and then the same command again"
            )
        if super().locked:
            self.cleanup_locks()  # of runs that were killed
        write_owner(self._lock_folder)
        with super().lock():
            yield

    @property
    def _lock_folder(self) -> Path:
        return Path(self.path) / "locks"
