from html.parser import HTMLParser

import pytest

from reports.pictures import make_pictures
from reports.render import (
    has_page,
    make_cost_tables,
    make_cost_totals,
    make_environment,
    render_index,
    render_table,
    squeeze,
)
from specs.page import PageLink
from tests.reports.conftest import evaluate, read_page, wanted

HOSTILE = '<script>alert("&%_")</script>'
VOID = {"meta", "link", "img", "br", "input"}


class Page(HTMLParser):
    """Collects what a page is made of and fails on tags that do not nest."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.ids, self.links, self.text = [], [], [], [], ""
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.tags.append((tag, attributes))
        self.ids += [attributes["id"]] if "id" in attributes else []
        self.links += [attributes["href"]] if "href" in attributes else []
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


@pytest.fixture
def spec(project, make_spec, make_row, make_claim):
    rows = [
        make_row("a", project.write_metrics("a", fid=(12.0, 0.1), memorised=0.58), label=HOSTILE),
        make_row("b", project.write_metrics("b", fid=(14.0, 0.1))),
        make_row("late", "later.json", assumed=["learning rate"]),
        make_row("gan", kind="baseline", reason="quoted from elsewhere", task="other"),
    ]
    rows[0]["cells"]["final"]["samples"] = wanted(project.write_samples("batch"))
    rows[1]["cells"]["final"]["samples"] = wanted("batch.npz")
    ceilings = {"imagenet_256": project.write_metrics("real", fid=0.3, memorised=0.55)}
    claims = [
        make_claim("fid", "a", "less", "b"),
        make_claim("fid", "b", "less", "a", differ=True),
        make_claim("fid", "late", "less", "a"),
        make_claim("fid", "gan", "less", "a", sources=["rescore"]),
    ]
    return make_spec(rows, claims=claims, ceilings=ceilings)


@pytest.mark.parametrize("layout", ["plain", "deltas", "by_task"])
def test_page_is_whole_offline_and_accessible(spec, layout):
    spec["table"]["layout"] = layout
    page = Page(render_table(evaluate(spec), make_pictures(read_page(spec), []), []))
    tags = [tag for tag, _ in page.tags]
    assert {tag for tag, attributes in page.tags if "src" in attributes} <= {"img"}
    assert all(attributes.get("scope") for tag, attributes in page.tags if tag == "th")
    assert all(attributes.get("alt") for tag, attributes in page.tags if tag == "img")
    assert ("html", {"lang": "en"}) in page.tags
    assert tags.count("title") == 1 and tags.count("h1") == 1
    assert len(page.ids) == len(set(page.ids))
    assert not [link for link in page.links if "//" in link]
    targets = [link[1:] for link in page.links if link.startswith("#")]
    assert targets and set(targets) <= set(page.ids)


def test_page_says_numbers_verdicts_and_reasons_in_words(spec):
    page = Page(render_table(evaluate(spec), make_pictures(read_page(spec), []), []))
    text = " ".join(page.text.split())
    assert HOSTILE in text
    for words in (
        "NeurIPS 2021 Table 3 = arXiv v4 Table 4",
        "supported",
        "the spread between training seeds is not known",
        "Only source rescore can test this",
        "Not run: “late”",
        "snakemake --cores all reproduce_table3",
        "quoted from elsewhere",
        "not stated by the paper, chosen here: learning rate",
        "58.0 %",
        "55.0 %",
        "real images against real images",
        "11.80 to 12.20",
        "paper 5.00",
    ):
        assert words in text


def test_rows_that_share_samples_share_a_sheet(spec):
    sheets = make_pictures(read_page(spec), [])[0]["sheets"]
    assert [sheet["title"] for sheet in sheets] == [f"{HOSTILE} = b"]


def test_pages_are_linked(spec):
    pages = [PageLink(name=f"table{one}", title=f"Table {one}: x") for one in (1, 3)]
    page = Page(render_table(evaluate(spec), [], pages))
    assert {"index.html", "table1.html", "table3.csv", "table3.tex"} <= set(page.links)
    assert "table3.html" not in page.links and ("b", {"aria-current": "page"}) in page.tags


def test_verdicts_stand_beside_the_values_that_they_judge(spec):
    spec["table"]["layout"] = "deltas"
    spec["agreement"] = {"reference_images": 1000}
    numbers, values = render_table(evaluate(spec), [], []).split('<h3 id="view-values">')
    values, _, rest = values.partition("</table>")
    assert 'class="agreement' not in numbers and 'class="agreement differs">' in values
    assert "paper 10.00" in values  # the first row's 5.00 and the second's +5.00
    assert "The verdicts are on these values." in values and "not of differences" in rest


def test_a_hyphenated_word_of_a_label_is_not_broken(spec):
    spec["rows"][1]["label"] = "ADM-G, ADM-U"
    page = render_table(evaluate(spec), [], [])
    whole = [f'<span class="whole">{word}</span>' for word in ("ADM-G,", "ADM-U")]
    assert f'<th scope="row">{" ".join(whole)}' in page


def test_equal_inputs_give_equal_pages(spec):
    first = render_table(evaluate(spec), make_pictures(read_page(spec), []), [])
    assert render_table(evaluate(spec), make_pictures(read_page(spec), []), []) == first


def test_index_puts_claims_first_and_links_them(spec):
    costs = {
        "models": [{"name": "m", "iterations": 500, "cpu_seconds": 90.0}],
        "stages": {"train": {"jobs": 2, "cpu_seconds": 90.0}},
        "total_cpu_seconds": 7200.0,
    }
    text = render_index([evaluate(spec)], costs)
    page = Page(text)
    assert page.ids.index("facts") < page.ids.index("claims") < page.ids.index("tables")
    assert page.ids.index("tables") < page.ids.index("costs") < page.ids.index("protocol")
    assert "table3.html#claim-claim_a" in page.links
    # A verdict that no claim has leads nowhere.
    assert {"#supported", "#inconclusive"} < set(page.links) and "#contradicted" not in page.links
    words = " ".join(page.text.split())
    for found in (
        "1 claim holds 0 fail 1 undecided",
        "2 claims were tested here: 1 supported, 0 contradicted, 1 undecided (of the others 1 "
        "cannot be tested here, 1 not run yet).",
        "Those supported are in Table 3 (1).",
        "+16.7 % (+1",
        "FID 12.00 against 14.00",
        "paper +0 %: 5.00 against 5.00",
        "The spread between training seeds is not known.",
        "Only source rescore can test this.",
        "Not run: “late”.",
        "CPU time2.0 h",
        "1.5 min",
    ):
        assert found in words
    assert "Many claims at once" not in words
    both = render_index([evaluate(spec), {**evaluate(spec), "name": "table9"}], None)
    words = " ".join(Page(both).text.split())
    assert "2 tests at 95 % would decide 0.1 by chance alone" in words
    assert "2 of the 2 decided here stay so by Holm’s correction" in words


def test_index_keeps_hostile_words_as_text_and_shows_tables_of_an_earlier_version(spec):
    spec["claims"][0]["text"] = HOSTILE
    table = evaluate(spec)
    for claim in table["claims"]:
        for one in claim["comparisons"]:
            del one["null"], one["published_effect"]
    text = render_index([table], None)
    page = Page(text)
    assert HOSTILE in page.text and [tag for tag, _ in page.tags].count("script") == 1
    assert "FID 12.00 against 14.00" in " ".join(page.text.split()) and "paper +" not in page.text


def test_index_flags_mixed_sources(spec):
    one, other = evaluate(spec), {**evaluate(spec), "name": "table9", "source": "rescore"}
    assert "from different sources" in render_index([one, other], None)
    assert "from different sources" not in render_index([one], None)


def test_costs_keeps_what_it_does_not_know():
    costs = {
        "rows": [{"name": "a", "num_images": 1000}, {"name": "b", "wall_seconds": 5}],
        "peak_memory_mb": 512.0,
        "note": "two cores",
    }
    (rows,) = make_cost_tables(costs, {})
    assert rows["columns"] == ["images", "wall time"]
    assert [row["cells"] for row in rows["rows"]] == [["1,000", "\u2013"], ["\u2013", "5.0 s"]]
    totals = [("note", "two cores"), ("peak memory (MB)", "512")]
    assert make_cost_totals(costs) == totals


def test_styles_lose_what_only_people_read_and_nothing_else():
    style = "/* why\n   so */\na > b {\n  margin: 0 auto;\n  font: 1px/2 x, y;\n}\n"
    style += "@media print { c {} }"
    assert squeeze(style) == "a > b{margin: 0 auto;font: 1px/2 x,y;}@media print{c{}}"


def test_seeds_of_rows_with_one_label_are_told_apart_by_their_tasks(project, make_spec, make_row):
    rows = []
    for task, fid in (("imagenet_256", 12.0), ("imagenet_512", 14.0)):
        names = [project.write_metrics(f"{task}-{seed}", fid=fid + seed) for seed in range(2)]
        rows.append(make_row(f"adm_{task}", names[0], names[1:], task=task, label="ADM"))
    text = Page(render_table(evaluate(make_spec(rows, layout="by_task")), [], [])).text
    assert "FID of “ADM”, imagenet_256 with seeds 0, 1: 12.00, 13.00." in text
    assert "FID of “ADM”, imagenet_512 with seeds 0, 1: 14.00, 15.00." in text
    alone = Page(render_table(evaluate(make_spec(rows[:1])), [], [])).text
    assert "FID of “ADM” with seeds 0, 1: 12.00, 13.00." in alone


def test_changes_of_a_loss_have_the_decimals_of_their_intervals():
    macros = make_environment().get_template("macros.html.j2").module
    cell = macros.change_cell({"change": -0.449, "low": -1.05, "high": 0.156})
    words = ["\u22120.45\u00a0%", "\u22121.05\u00a0% to +0.16\u00a0%"]
    assert [one for one in words if f">{one}<" in cell] == words
    assert "\u2013" in macros.change_cell({"change": None, "low": None, "high": None})


def test_effects_need_claims(project, make_spec, make_row, make_claim):
    rows = [make_row(one, project.write_metrics(one, fid=12.0)) for one in "ab"]
    for claims in ([], [make_claim("fid", "a", "less", "b")]):
        page = render_table(evaluate(make_spec(rows, claims=claims)), [], [])
        assert ("A claim is supported when" in page) == bool(claims)


def test_the_page_of_figures_is_linked_while_it_is_rendered_again(tmp_path):
    assert not has_page(tmp_path, "figures")
    (tmp_path / "figures.manifest.json").write_text("{}")  # no output: Snakemake leaves it there
    assert has_page(tmp_path, "figures")
    (tmp_path / "figures.manifest.json").unlink()
    (tmp_path / "figures.html").write_text("")
    assert has_page(tmp_path, "figures")
