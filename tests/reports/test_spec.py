import copy

import pytest

from records.errors import UserError
from reports.spec import check_spec, load_spec


@pytest.fixture
def spec(make_spec, make_row, make_claim):
    rows = [make_row("plain"), make_row("guided")]
    return make_spec(rows, claims=[make_claim("fid", "guided", "less", "plain")])


def test_complete_specification_is_read(project, spec):
    assert load_spec(project.write_spec(spec)) == spec


def change(spec, path, value):
    spec = copy.deepcopy(spec)
    place = spec
    for key in path[:-1]:
        place = place[key]
    if value is KeyError:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    return spec


@pytest.mark.parametrize(
    "path, value, message",
    [
        (["format"], 2, "format 2"),
        (["rows"], KeyError, "rows missing"),
        (["rows"], [], "rows is empty"),
        (["rows"], {}, "rows is {}; list is needed"),
        (["table", "metrics"], [], "table.metrics is empty"),
        (["table", "metrics"], ["fidd"], "table.metrics: got 'fidd'"),
        (["table", "layout"], "square", "one of plain, deltas, by_task"),
        (["table", "name"], "../table3", "table.name: got '../table3'"),
        (["table", "neurips"], True, "neurips is True; int or null is needed"),
        (["rows", 1, "id"], "plain", "plain appear twice"),
        (["rows", 1, "id"], "<b>", "rows[1].id: got '<b>'"),
        (["rows", 1, "kind"], "gan", "rows[1] (guided): kind: got 'gan'"),
        (["rows", 1, "cells"], {}, "mark final is needed"),
        (["rows", 1, "cells", "final", "samples"], KeyError, "samples missing"),
        (["rows", 1, "published", "final"], 3, "metric -> number is needed"),
        (["rows", 1, "published", "final", "fid"], "~10", "give a number or null"),
        (["claims", 0, "comparisons"], [], "needs at least one"),
        (["claims", 0, "comparisons", 0, "metric"], "recall", "metric: got 'recall'"),
        (["claims", 0, "comparisons", 0, "relation"], "equal", "one of greater, less, nearer"),
        (["claims", 0, "comparisons", 0, "relation"], "nearer", "nearer without towards"),
        (["claims", 0, "comparisons", 0, "left", "row"], "other", "one of plain, guided"),
        (["claims", 0, "comparisons", 0, "left", "mark"], "700K", "one of final"),
        (["seed_groups"], ["a.json"], "seed_groups[0]: got str"),
        (["seed_groups"], [{"metrics": ["a.json"]}], "seed_groups[0]: model"),
        (["seed_groups"], [{"model": "m", "metrics": [1]}], "seed_groups[0]: metrics[0] is 1; str"),
        (["classifiers"], [{"name": "c"}], "classifiers[0]: accuracy, iteration, mark, rows"),
        (["table", "metrics"], [[]], "table: metrics[0] is []; str is needed"),
        (["rows", 1, "notes"], [{}], "rows[1]: notes[0] is {}; str is needed"),
        (["rows", 1, "cells", "final", "others"], {"a": {}}, "others: got 'a'; one of"),
        (["rows", 1, "cells", "final", "others"], {"rescore": "p"}, "others.rescore: got str; an"),
        (["ceilings"], {"a": []}, "ceilings.a is []; str or null is needed"),
        (["pages"], {}, "pages is {}; list is needed"),
        (["pages"], [{"name": "a/b", "title": "x"}], "pages[0].name: got 'a/b'"),
    ],
)
def test_what_is_wrong_is_named(spec, path, value, message):
    with pytest.raises(UserError, match=r"^s\.json") as error:
        check_spec(change(spec, path, value), "s.json")
    assert message in str(error.value)


def test_a_list_is_no_specification():
    with pytest.raises(UserError, match="got list"):
        check_spec([], "s.json")
