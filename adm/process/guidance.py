"""Classifier guidance: the gradient that steers a sampler towards a class."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

CondFn = Callable[[Tensor, Tensor], Tensor]


def make_cond_fn(
    classifier: Callable[[Tensor, Tensor], Tensor], y: Tensor, guidance_scale: float
) -> CondFn:
    """Make the function that samplers ask for guidance: s * grad_{x_t} log p(y | x_t).

    Dhariwal & Nichol 2021, Algorithms 1 and 2. Each image has its own gradient, whatever else is in
    the batch. The gradient is taken even inside no_grad or inference_mode; freeze the classifier
    (requires_grad_(False), eval()) to spare it the bookkeeping for its weights.

    Args:
        classifier: called as classifier(x_t, t_original), returns logits [n, num_classes].
        y: int64 [n], the class wanted for each image.
        guidance_scale: s, any number: 1 is Bayes' rule, more trades diversity for fidelity,
            negative steers away.

    Returns:
        cond_fn(x_t, t_original) -> gradient like x_t, already scaled. t_original is the index in
        the full chain, as the sampler gives it to its network.

    Raises:
        ValueError: from cond_fn, when the batch and y differ in length.
    """

    def cond_fn(x_t: Tensor, t_original: Tensor) -> Tensor:
        if len(x_t) != len(y):
            raise ValueError(
                f"guidance was made for {len(y)} labels but got a batch of {len(x_t)} images"
            )
        with torch.inference_mode(False), torch.enable_grad():
            x_in = x_t.detach().clone().requires_grad_()
            # Clones, since autograd does not keep tensors that were born under inference mode.
            logits = classifier(x_in, t_original.clone()).float()
            log_probability = functional.log_softmax(logits, dim=-1).gather(
                1, y.view(-1, 1).clone()
            )
            (gradient,) = torch.autograd.grad(log_probability.sum(), x_in)
        return gradient * guidance_scale

    return cond_fn
