"""The bench of intervals in small: a line for each choice of metrics."""

import sys

from bench import intervals


def test_every_choice_of_metrics_has_a_line(monkeypatch, capsys):
    command = "bench --num-samples 60 --num-reference 40 --dims 8"
    monkeypatch.setattr(sys, "argv", command.split())
    intervals.main()
    head, *lines, foot = capsys.readouterr().out.splitlines()
    assert head.split()[:2] == ["metrics", "s"] and foot.startswith("60 x 40 x 8, 1 threads")
    assert [line[:20].strip() for line in lines] == [", ".join(one) for one in intervals.SHOWN]
    assert all(float(line.split()[-2]) >= 0 for line in lines)
