"""A copy of a report for a web server: all links lead somewhere, large files stay away."""

import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest

from records.errors import UserError, main_guard
from reports.cli import main
from reports.site import MAX_BYTES, make_site
from tests.reports.browser import find_broken_links, needs_chromium, open_page

HEAD = '<!doctype html><html lang="en"><title>x</title><link rel="icon" href="data:,">'


@pytest.fixture
def report(tmp_path):
    """A report whose pages link to each other and to files of all kinds."""
    scale = tmp_path / "results" / "digits"
    files = {
        "report/index.html": '<a href="table3.html#a">3</a> <a id="x" href="sub/page.html">s</a>',
        "report/table3.html": """<p id="a"><a href="table3.csv">CSV</a> <a href="#a">a</a>
            <a href="../retrain/metrics/a%20b.json">run</a>
            <a href="../retrain/large.json">large</a>
            <a href="../retrain/gone.json">gone</a> <a href="../../../secret.txt">out</a></p>""",
        "report/sub/page.html": '<a href="../index.html">up</a>'
        '<a href="../../retrain/log.json">l</a>'
        '<a href="../../retrain/log">log</a>',
        "report/table3.csv": "row\n",
        "report/unlinked.txt": "",
        "retrain/metrics/a b.json": "{}",
        "retrain/log.json": "[]",
        "retrain/log": "done",
        "retrain/large.json": "1" * (MAX_BYTES + 1),
        "../../secret.txt": "secret",
    }
    for name, text in files.items():
        path = scale / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(HEAD + text if name.endswith(".html") else text)
    return scale / "report"


def test_a_site_holds_pages_and_what_they_link_to(report, tmp_path):
    out = tmp_path / "site"
    num_files, num_bytes = make_site(report, out)
    found = sorted(str(path.relative_to(out)) for path in out.rglob("*") if path.is_file())
    assert found == [
        ".nojekyll", "files/retrain/log.json", "files/retrain/metrics/a b.json", "index.html",
        "sub/page.html", "table3.csv", "table3.html",
    ]  # fmt: skip
    assert num_files == 6 and num_bytes == sum((out / one).stat().st_size for one in found)
    assert find_broken_links(out) == []
    page = (out / "table3.html").read_text()
    assert '<a href="files/retrain/metrics/a%20b.json">run</a>' in page
    assert "<a>large</a>" in page and "<a>gone</a>" in page and "<a>out</a>" in page
    assert '<a href="#a">a</a>' in page
    page = (out / "sub" / "page.html").read_text()
    assert '<a href="../files/retrain/log.json">' in page and "<a>log</a>" in page


def test_a_site_has_the_pdf_where_there_is_one(report, tmp_path):
    index = report / "index.html"
    index.write_text(index.read_text() + "<!-- pdf -->")
    make_site(report, tmp_path / "site")
    assert "pdf" not in (tmp_path / "site" / "index.html").read_text()
    (report / "tables.pdf").write_bytes(b"%PDF")
    make_site(report, tmp_path / "site")
    assert '<a href="tables.pdf">' in (tmp_path / "site" / "index.html").read_text()
    assert (tmp_path / "site" / "tables.pdf").read_bytes() == b"%PDF"
    assert find_broken_links(tmp_path / "site") == []


def test_a_site_takes_the_place_of_an_earlier_one_and_of_nothing_else(report, tmp_path, capsys):
    out = tmp_path / "site"
    make_site(report, out)
    (out / "old.html").touch()
    make_site(report, out)
    assert not (out / "old.html").exists() and not (tmp_path / "site.tmp").exists()
    own = tmp_path / "own"
    own.mkdir()
    (own / "thesis.tex").touch()
    assert main_guard(main)(["site", str(report), "--out", str(own)]) == 2
    assert "exists and is no site" in capsys.readouterr().err and (own / "thesis.tex").exists()
    with pytest.raises(UserError, match=r"no index\.html there; make a report first"):
        make_site(tmp_path / "nowhere", out)
    assert (out / "index.html").exists()


@pytest.mark.slow
@needs_chromium
def test_a_served_site_has_no_request_that_fails(browser, report, tmp_path):
    out = tmp_path / "site"
    make_site(report, out)

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, format, *args):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=out)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        root = f"http://127.0.0.1:{server.server_port}/"
        waiting, seen = [root], set()
        while waiting:
            address = waiting.pop()
            seen.add(address)
            with open_page(browser, address) as page:
                links = page.evaluate("[...document.links].map(one => one.href.split('#')[0])")
                assert all(page.request.get(one).ok for one in links)
            waiting += [one for one in links if one.endswith(".html") and one not in seen]
        server.shutdown()
    assert {one.removeprefix(root) for one in seen} >= {"", "table3.html", "sub/page.html"}
