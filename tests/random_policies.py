"""Policies with random weights, for tests that need any policy at all."""

import numpy as np

from neural.control.policies import MLPPolicy
from neural.control.tasks import Task


def random_policy(task: Task, seed: int = 0, width: int = 8) -> MLPPolicy:
    """A stochastic policy with one hidden layer."""
    rng = np.random.default_rng(seed)
    shapes = [(task.observation_size, width), (width, task.action_size), (width, task.action_size)]
    hidden, mean, log_std = [
        (rng.normal(size=s).astype(np.float32), rng.normal(size=s[1]).astype(np.float32)) for s in shapes
    ]
    return MLPPolicy((hidden[0], mean[0]), (hidden[1], mean[1]), log_std_head=log_std)
