"""What is behind ``hybridpg dev``: control plane, controller and an example in one process."""

from .session import Dev, Options
from .steps import StepFailed, Steps

__all__ = ["Dev", "Options", "StepFailed", "Steps"]
