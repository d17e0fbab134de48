"""Every random stream of the project is named here: by its parts, never by what ran before it."""

import hashlib

import numpy as np
import torch

from records.files import canonical_json

# Where torch keeps the 624 words of the Mersenne Twister in a CPU generator's state, 8 bytes each.
_WORDS = slice(24, 24 + 624 * 8)


def seed_for(*parts: str | int | bool | None) -> int:
    """Derive a seed from the parts that name a random stream.

    Args:
        parts: what the numbers are for, e.g. `"training", seed, "noise", iteration`.

    Returns:
        The first 63 bits of SHA-256 over the parts' canonical JSON.
    """
    block = hashlib.sha256(canonical_json(list(parts)).encode()).digest()
    return int.from_bytes(block[:8], "big") >> 1


def make_generator(
    *parts: str | int | bool | None, device: str | torch.device = "cpu"
) -> torch.Generator:
    """Make the generator of the random stream that the parts name.

    On the CPU torch seeds its Mersenne Twister from the low 32 bits of a seed only: among 50,000
    streams two would be equal with a probability of 1 in 4. So all 624 words of the twister are
    set, from SHAKE-256 over the parts.

    Args:
        parts: as for `seed_for`.
        device: where the numbers are drawn; each kind of device has its own stream.

    Returns:
        A generator at the start of its stream.
    """
    generator = torch.Generator(device=device)
    generator.manual_seed(seed_for(*parts))
    if generator.device.type == "cpu":
        key = hashlib.shake_256(canonical_json(list(parts)).encode()).digest(624 * 4)
        words = np.frombuffer(key, dtype="<u4").astype(np.int64)
        state = generator.get_state()
        state[_WORDS] = torch.from_numpy(words).view(torch.uint8)
        generator.set_state(state)
    return generator
