"""ADM: data, models, diffusion process, training and sampling.

The published modules are here by name: ADM (the diffusion model), ADM_classifier (the noisy
classifier), ADM_U (the upsampler), ADM_G (model and classifier joined), and load(NAME) for their
weights. They are imported when they are first used: `import adm` alone loads no torch.
"""

import importlib
from typing import Any

_EXPORTS = {
    "ADM": "adm.published.modules",
    "ADM_G": "adm.published.modules",
    "ADM_U": "adm.published.modules",
    "ADM_classifier": "adm.published.modules",
    "load": "adm.published.load",
}


def __getattr__(name: str) -> Any:
    if name not in _EXPORTS:
        raise AttributeError(f"module 'adm' has no attribute {name!r}")
    value = getattr(importlib.import_module(_EXPORTS[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_EXPORTS})
