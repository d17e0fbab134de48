"""When a training run is beyond help, and what to tell its owner."""

import math

import torch
from torch import Tensor

from adm.training.precision import LossScale
from adm.training.step import StepResult
from records.errors import UserError

CHECK_EVERY_ITERATIONS = 10  # on a GPU, where every look at a number waits for the device
MAX_SKIPPED_IN_A_ROW = 30
MIN_LOSS_SCALE_EXPONENT = 0.0


class Diverged(UserError):
    """Loss or gradients stopped being finite; the last good state is kept."""

    exit_code = 4


def check_finite(name: str, iteration: int, *, loss: float, grad_norm: float, kept: str) -> None:
    """End a float32 or bf16 run whose loss or gradients are not finite.

    Args:
        name: name of the model.
        iteration: the iteration, counted from 1.
        loss: mean loss of its batch.
        grad_norm: norm of all gradients.
        kept: words that say which state is left.

    Raises:
        Diverged: either is infinite or not a number.
    """
    if not (math.isfinite(loss) and math.isfinite(grad_norm)):
        raise Diverged(
            f"{name}: iteration {iteration}: loss {loss}, gradient norm {grad_norm}; training "
            f"diverged. {kept}. Try a lower training.learning_rate, training.grad_clip: 1.0 or "
            "precision: float32, and look at the loss in the events before this point"
        )


def check_loss_scale(name: str, iteration: int, *, loss_scale: LossScale, kept: str) -> None:
    """End an fp16 run whose steps are left out again and again.

    Args:
        name: name of the model.
        iteration: the iteration, counted from 1.
        loss_scale: after the iteration.
        kept: words that say which state is left.

    Raises:
        Diverged: too many steps left out in a row, or a loss scale below 1, where even unscaled
            gradients overflow.
    """
    skipped = loss_scale.num_skipped_in_a_row
    if skipped >= MAX_SKIPPED_IN_A_ROW or loss_scale.exponent < MIN_LOSS_SCALE_EXPONENT:
        raise Diverged(
            f"{name}: iteration {iteration}: fp16 gradients overflowed {skipped} times in a row, "
            f"loss scale 2^{loss_scale.exponent:.1f}; training diverged. {kept}. Try a lower "
            "training.learning_rate, training.grad_clip: 1.0 or precision: bf16 or float32"
        )


class Watchdog:
    """Look at each step of one run, and raise `Diverged` when it is beyond help."""

    def __init__(
        self, name: str, *, precision: str, batch_size: int, device: str | torch.device
    ) -> None:
        """Start to watch.

        Args:
            name: name of the model.
            precision: of its training.
            batch_size: images of each step.
            device: where it trains; on a GPU only some iterations are judged, each for all before.
        """
        self.name, self.precision, self.batch_size = name, precision, batch_size
        self.check_every = 1 if torch.device(device).type == "cpu" else CHECK_EVERY_ITERATIONS
        self._stain: Tensor | float = 0.0

    def look(
        self,
        result: StepResult,
        *,
        iteration: int,
        loss_scale: LossScale,
        kept: str,
        now: bool,
    ) -> None:
        """Judge a step.

        Args:
            result: of the step.
            iteration: counted from 1.
            loss_scale: after the step.
            kept: words that say which state is left.
            now: do not put it off, since the state is about to be used.

        Raises:
            Diverged: see `check_finite` and `check_loss_scale`.
        """
        if self.precision == "fp16":
            check_loss_scale(self.name, iteration, loss_scale=loss_scale, kept=kept)
            return
        values = torch.stack([result.sums["loss"] / self.batch_size, result.grad_norm])
        # 0 times a number that is not finite is not finite, so one bad step stays in the stain.
        self._stain = self._stain + values * 0.0
        if now or iteration % self.check_every == 0:
            loss, grad_norm = (values + self._stain).tolist()
            check_finite(self.name, iteration, loss=loss, grad_norm=grad_norm, kept=kept)
