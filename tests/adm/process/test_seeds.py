import hashlib

import numpy as np
import torch

from adm.process.seeds import make_generator, seed_for


def test_seed_is_a_function_of_its_parts():
    assert seed_for("training", 0, "noise", 7) == seed_for("training", 0, "noise", 7)
    assert seed_for("a", 1) != seed_for("a", "1") != seed_for("a1")
    assert all(0 <= seed_for(i) < 2**63 for i in range(100))
    # Pinned: another value would change every trained weight and every sample.
    assert seed_for("training", 0, "noise", 7) == 2447179392315589200


def test_equal_parts_give_equal_numbers_and_others_do_not():
    first, second = (torch.randn(100, generator=make_generator("x", 3)) for _ in range(2))
    assert torch.equal(first, second)
    other = torch.randn(100, generator=make_generator("x", 4))
    assert abs(torch.corrcoef(torch.stack([first, other]))[0, 1]) < 0.4


def test_the_twister_starts_from_all_its_words():
    """numpy's Mersenne Twister, given the same 624 words, draws the same numbers."""
    key = hashlib.shake_256(b'["pinned",0]').digest(624 * 4)
    twister = np.random.MT19937()
    words = np.frombuffer(key, dtype="<u4")
    twister.state = {"bit_generator": "MT19937", "state": {"key": words, "pos": 624}}
    expected = (twister.random_raw(2000) % 1000).tolist()
    drawn = torch.randint(1000, (2000,), generator=make_generator("pinned", 0)).tolist()
    assert drawn == expected
    assert drawn[:5] == [898, 664, 155, 582, 339]


def test_streams_whose_seeds_share_32_bits_differ(monkeypatch):
    """torch alone would give both the same numbers, since it looks at the low 32 bits only."""
    monkeypatch.setattr("adm.process.seeds.seed_for", lambda *parts: 5 + (parts[-1] << 32))
    plain = [torch.Generator().manual_seed(5 + (i << 32)) for i in range(2)]
    assert torch.equal(*(torch.rand(9, generator=one) for one in plain))
    ours = [torch.rand(9, generator=make_generator("x", i)) for i in range(2)]
    assert not torch.equal(*ours)


def test_normal_numbers_are_normal():
    draws = torch.cat([torch.randn(50, generator=make_generator("n", i)) for i in range(400)])
    assert abs(draws.mean()) < 0.03
    assert abs(draws.std() - 1) < 0.03
