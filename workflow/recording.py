"""What the commands of jobs are told of the events that they record."""

from shlex import quote

from workflow.plan import Plan


def format_tags(plan: Plan) -> str:
    """Return options that put scale and source into events, so that they explain themselves."""
    tags = {"scale": plan.scale.name, "source": plan.source}
    return " ".join(f"--tag {quote(f'{key}={value}')}" for key, value in tags.items())


def record_events(plan: Plan, name: str) -> str:
    """Return the options of a command that records its events.

    Args:
        plan: the plan of a scale and source.
        name: of the events file, `sample-t3_cond`: one job writes to it.
    """
    path = f"{plan.root}/{plan.source}/events/{name}.jsonl"
    return f"--events {quote(path)} {format_tags(plan)}"
