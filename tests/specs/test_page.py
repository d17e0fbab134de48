import copy
import json

import pytest

from records.errors import UserError
from records.files import digest
from specs.page import PageSpec, load_page
from specs.strict import validated
from tests.reports.conftest import claim_content, page_content, row_spec
from tests.specs.scale_case import refuse_tables

PAGE = page_content(
    [row_spec("plain"), row_spec("guided")],
    claims=[claim_content("fid", "guided", "less", "plain")],
    pages=[{"name": "table3", "title": "Table 3"}],
)
OTHER = {"path": "a.json", "digest": "0" * 64}
SEEDS = ["rows", 1, "cells", "final", "seeds"]
COMPARISON = ["claims", 0, "comparisons", 0]


def change(path, value):
    page = copy.deepcopy(PAGE)
    place = page
    for key in path[:-1]:
        place = place[key]
    if value is KeyError:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    return page


def test_a_page_is_read_as_it_was_written(tmp_path):
    path = tmp_path / "page.json"
    path.write_text(json.dumps(PAGE))
    assert load_page(path).content() == PAGE


def test_the_content_decides_the_digest():
    contents = [PAGE, change(["table", "title"], "Other"), change(["pages"], [])]
    digests = [validated(PageSpec, content, "page.json").digest for content in contents]
    assert digests == [digest(content) for content in contents] and len({*digests}) == 3


@pytest.mark.parametrize(
    "path, value, message",
    [
        (["format"], 2, "format: got 2"),
        (["source"], "guess", "source: got 'guess'"),
        (["rows"], KeyError, "rows: missing"),
        (["rows"], [], "rows: got []"),
        (["rows"], {}, "rows: got {}"),
        (["row"], [], "row: unknown key; did you mean 'rows'?"),
        (["table", "metrics"], [], "table: metrics: got []"),
        (["table", "metrics"], ["fidd"], "table: metrics: 0: got 'fidd'"),
        (["table", "layout"], "square", "should be 'deltas', 'plain' or 'by_task'"),
        (["table", "name"], "../table3", "table: name: got '../table3' (str); String should match"),
        (["table", "neurips"], True, "neurips: got True (bool)"),
        (["rows", 1, "id"], "plain", "is there twice; ids must differ"),
        (["rows", 1, "id"], "<b>", "rows: 1: id: got '<b>'"),
        (["rows", 1, "kind"], "gan", "rows: 1: kind: got 'gan'"),
        (["rows", 1, "cells"], {}, "cells: got []; needed: ['final'] too"),
        (["rows", 1, "cells", "final", "samples"], KeyError, "cells: final: samples: missing"),
        (["rows", 1, "cells", "final", "others"], {"a": OTHER}, "others: got the name 'a'"),
        (["rows", 1, "cells", "final", "others"], {"rescore": "p"}, "others: rescore: got 'p'"),
        (["rows", 1, "published", "final"], 3, "published: final: got 3; a mapping is needed"),
        (["rows", 1, "published", "final", "fid"], "~10", "final: fid: got '~10' (str)"),
        (["rows", 1, "notes"], [{}], "rows: 1: notes: 0: got {}"),
        ([*COMPARISON[:-1]], [], "comparisons: got []"),
        ([*COMPARISON, "metric"], "kid", "metric: got 'kid'"),
        ([*COMPARISON, "relation"], "equal", "should be 'greater', 'less' or 'nearer'"),
        ([*COMPARISON, "relation"], "nearer", "comparisons: 0: relation nearer without towards"),
        (
            [*COMPARISON, "left", "row"],
            "other",
            "0: row: got 'other'; one of plain, guided",
        ),
        ([*COMPARISON, "left", "mark"], "700K", "comparisons: 0: mark: got '700K'; one of final"),
        (["claims", 0, "id"], "a b", "claims: 0: id: got 'a b'"),
        ([*SEEDS], ["a.json"], "seeds: 0: got 'a.json'; a mapping is needed"),
        ([*SEEDS], [{"metrics": OTHER}], "seeds: 0: seed: missing"),
        ([*SEEDS], [{"seed": 1, "metrics": "a"}], "seeds: 0: metrics: got 'a'"),
        (["rows", 1, "cells", "final", "metrics"], {"path": "a"}, "metrics: digest: missing"),
        ([*COMPARISON[:2], "varies"], ["noise"], "varies: 0: got 'noise'"),
        (["ceilings"], {"a": []}, "ceilings: a: got []"),
        (["pages"], {}, "pages: got {}"),
        (["pages", 0, "name"], "a/b", "pages: 0: name: got 'a/b'"),
        (["known_evaluation"], {"row": "x", "values": {}}, "known_evaluation: row: got 'x'"),
        (["agreement"], {"reference_images": 0}, "reference_images: got 0"),
    ],
)
def test_what_is_wrong_is_named(path, value, message):
    with pytest.raises(UserError, match=r"^page\.json: ") as error:
        validated(PageSpec, change(path, value), "page.json")
    assert message in str(error.value) and "\n" not in str(error.value)


def test_a_claim_compares_metrics_that_the_table_has():
    page = change(["table", "metrics"], ["is"])
    with pytest.raises(UserError, match=r"comparisons: 0: metric: got '.*'; one of is is needed"):
        validated(PageSpec, page, "page.json")


def test_a_list_is_no_page(tmp_path):
    (tmp_path / "page.json").write_text("[]")
    with pytest.raises(UserError, match=r"page.json: got \[\]; a mapping is needed"):
        load_page(tmp_path / "page.json")


@pytest.mark.parametrize("part", ["rows", "claims"])
def test_a_table_whose_page_would_have_such_a_name_is_refused(tmp_path, part):
    def rename(tables):
        entries = tables["table3"][part]
        entries["a b"] = entries.pop(next(reversed(entries)))

    assert f"table3: {part}: got the name 'a b'" in refuse_tables(tmp_path, rename)
