from bench.probe import measure_convolution


def test_the_probe_takes_time_and_not_long():
    assert 0.01 < measure_convolution() < 60
