from eval.networks import progress


def test_a_line_a_minute_where_there_is_no_terminal(monkeypatch, capsys):
    now = [1000.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    for shown in (True, False):
        with progress.show_progress(4000, "a.npz", shown=shown) as advance:
            for _ in range(40):
                now[0] += 10
                advance(100)
        printed = capsys.readouterr()
        lines = printed.err.splitlines()
        assert printed.out == "" and len(lines) == (6 if shown else 0)
        if shown:
            assert lines[0] == "a.npz: 600 of 4,000 images, 10 images/s, 6 minutes left"


def test_a_bar_in_a_terminal(monkeypatch, capsys):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    with progress.show_progress(20, "a.npz", shown=True) as advance:
        advance(20)
    assert "20/20" in capsys.readouterr().err
