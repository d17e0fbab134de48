"""The options by which a job records its events."""

from workflow.plan import Plan, find_pages


def tag_events(plan: Plan, name: str = "") -> list[str]:
    """Put scale, source, and the pages of a model, a batch or a table, into events."""
    tags = {"scale": plan.scale.name, "source": plan.source}
    if pages := {name} & {*plan.tables} or find_pages(plan, name):
        tags["pages"] = ",".join(sorted(pages))
    return [word for key, value in tags.items() for word in ("--tag", f"{key}={value}")]


def record_events(plan: Plan, job: str, name: str = "") -> list[str]:
    """Record events in a file to which one job writes; `name` is as of `tag_events`."""
    return ["--events", plan.layout.events(job), *tag_events(plan, name)]
