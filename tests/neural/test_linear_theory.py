"""Predictions of the linear theory against impulse responses of the optimisers, closed forms and runs really made."""

from __future__ import annotations

import functools
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import gvatheory as gva
from gvatheory import closed_forms
from neural.control.curvature import NoiseSpectrum
from neural.control.learner import Learner, optimiser
from neural.predictions.linear_theory import (
    choose_average,
    is_stable,
    losses_by_vector,
    mean_age,
    predicted_lag_loss,
    predicted_loss,
    raw_window_share,
    seed_factor,
    window_factor,
)
from tests.budget import assert_mean

NODES = np.array([[0.5, 3.0, 10.0], [0.0, 1.0, 8.0]])
WEIGHTS = np.array([[2.0, 1.0, 0.5], [1.0, 3.0, 0.25]])
NONE = np.zeros(1)


def spectrum(nodes: Any = NODES, weights: Any = WEIGHTS, drift: tuple[Any, Any] = (NONE, NONE), **changes):
    """A spectrum of SGD, unless `changes` say otherwise."""
    nodes, weights = (np.atleast_2d(np.asarray(values, float)) for values in (nodes, weights))
    method: dict[str, Any] = {"momentum": 0.0, "step_factor": 1.0, "nesterov": False, **changes}
    at, mass = (np.asarray(values, float) for values in drift)
    method |= {"gradient_nodes": at, "gradient_weights": mass}
    return NoiseSpectrum(nodes, weights, float(nodes.min()), **method)


METHODS = {
    "sgd": {},
    "heavy ball": {"momentum": 0.8},
    "nesterov": {"momentum": 0.8, "nesterov": True},
    "adamw": {"momentum": 0.9, "step_factor": 0.1},
}
STEPS, ETA = 60, 0.05


@functools.cache
def responses(name: str) -> np.ndarray:
    """(STEPS + 1, nodes) iterates, t = 0.., that the project's optimiser makes of one unit of noise in its first step.

    Adam with its second moment frozen is heavy ball with β₁, at 1 − β₁ of the step.
    """
    eta = ETA * METHODS[name].get("step_factor", 1.0)
    learner = Learner(optimiser="heavy ball" if name == "adamw" else name, momentum=METHODS[name].get("momentum", 0.5))  # pyright: ignore
    with jax.enable_x64(True):
        updater = optimiser(learner, gva.Constant(eta))
        theta = jnp.zeros(NODES.size)
        state, out = updater.init(theta), [theta]
        for t in range(STEPS):
            change, state = updater.update(NODES.ravel() * theta + (t == 0), state, theta)
            theta: Any = optax.apply_updates(theta, change)
            out.append(theta)
        return np.array(out)


def gains(name: str, average: gva.RecursiveAverage, t: int) -> np.ndarray:
    """(STEPS, nodes): what the average after t ≤ STEPS updates makes of the noise of each step."""
    h, kernel = responses(name), average.kernel(t)
    out = np.zeros((STEPS, NODES.size))
    for j in range(t):
        out[j] = kernel[j + 1 :] @ h[1 : t - j + 1]
    return out


@pytest.mark.parametrize("name", list(METHODS))
@pytest.mark.parametrize("average", [gva.LastIterate(), gva.EMA(0.1), gva.PowerEMA(0.7, burn_in=5)], ids=str)
def test_everything_is_that_of_the_impulse_responses(name, average) -> None:
    own, schedule = spectrum(**METHODS[name]), gva.Constant(ETA)
    curvature, noise = NODES.ravel(), WEIGHTS.ravel()
    variance, raw = (noise * np.sum(gains(name, one, STEPS) ** 2, axis=0) for one in (average, gva.LastIterate()))
    expected = 0.5 * (curvature * variance).reshape(2, 3).sum(axis=1)
    np.testing.assert_allclose(losses_by_vector(own, schedule, average, STEPS), expected, rtol=1e-9)
    assert predicted_loss(own, schedule, average, STEPS) == pytest.approx(expected.mean(), rel=1e-9)
    factor = seed_factor(own, schedule, average, STEPS)
    assert factor.parameters == pytest.approx(variance.sum() / raw.sum(), rel=1e-9)
    assert factor.loss == pytest.approx(curvature @ variance / (curvature @ raw), rel=1e-9)

    def window(one: gva.RecursiveAverage) -> np.ndarray:
        points = np.array([gains(name, one, STEPS - 7 * i) for i in range(4)])
        return noise * np.sum(points.var(axis=0, ddof=1), axis=0)

    factor = window_factor(own, schedule, average, STEPS, 4, 7)
    assert factor.parameters == pytest.approx(window(average).sum() / window(gva.LastIterate()).sum(), rel=1e-7)
    loss = curvature @ window(average) / (curvature @ window(gva.LastIterate()))
    assert factor.loss == pytest.approx(loss, rel=1e-7)


@pytest.mark.parametrize("name", list(METHODS))
def test_of_one_direction_they_are_the_closed_forms(name) -> None:
    curvature, noise, gamma, steps = 2.0, 3.0, 0.02, 4000
    own, schedule = spectrum(curvature, noise, **METHODS[name]), gva.Constant(ETA)
    mu, eta = own.momentum, ETA * own.step_factor
    average = gva.EMA(gamma)
    left = closed_forms.momentum_ema_factor(eta, curvature, mu, gamma)
    if name != "nesterov":  # whose closed form is of the other sequence
        raw = closed_forms.momentum_variance(eta, curvature, noise, mu)
        assert predicted_loss(own, schedule, gva.LastIterate(), steps) == pytest.approx(raw, rel=1e-9)
        assert predicted_loss(own, schedule, average, steps) == pytest.approx(raw * left, rel=1e-9)
        assert seed_factor(own, schedule, average, steps) == pytest.approx((left, left), rel=1e-9)
    if name == "sgd":
        assert left == pytest.approx(closed_forms.ema_factor(eta, curvature, gamma))
        seen = [closed_forms.window_factor(8, eta, curvature, rate, 3) for rate in (gamma, 1.0)]
        expected = left * seen[0] / seen[1]
        assert window_factor(own, schedule, average, steps, 8, 3) == pytest.approx((expected,) * 2, rel=1e-7)
        shown = closed_forms.window_factor(8, eta, curvature, 1.0)
        assert raw_window_share(own, schedule, steps, 8) == pytest.approx(float(shown), rel=1e-7)
    assert window_factor(own, schedule, gva.LastIterate(), steps, 8, 3) == pytest.approx((1.0, 1.0))


def test_runs_of_the_quadratic_show_what_is_predicted() -> None:
    rng, trials, steps, gamma = np.random.default_rng(0), 4000, 150, 0.05
    curvature, noise = NODES[0], WEIGHTS[0]
    own, schedule = spectrum(curvature, noise, momentum=0.9, step_factor=0.1), gva.Constant(0.2)
    before = theta = average = np.zeros((trials, 3))
    window = []
    for t in range(1, steps + 1):
        gradient = curvature * theta + np.sqrt(noise) * rng.standard_normal(theta.shape)
        before, theta = theta, theta - 0.02 * gradient + 0.9 * (theta - before)
        average = average + gamma * (theta - average)
        if t > steps - 20 and (steps - t) % 5 == 0:
            window.append((theta, average))
    for one, values in ((gva.LastIterate(), theta), (gva.EMA(gamma), average)):
        assert_mean(0.5 * values**2 @ curvature, predicted_loss(own, schedule, one, steps))
    raw, averaged = np.array(window).var(axis=0, ddof=1)
    factor = window_factor(own, schedule, gva.EMA(gamma), steps, 4, 5)
    assert_mean(averaged.sum(axis=1) - factor.parameters * raw.sum(axis=1), 0.0)
    assert_mean((averaged - factor.loss * raw) @ curvature, 0.0)
    factor = seed_factor(own, schedule, gva.EMA(gamma), steps)
    assert_mean(np.sum(average**2 - factor.parameters * theta**2, axis=1), 0.0)


def test_negative_curvature_counts_as_none() -> None:
    own, schedule = spectrum([-3.0, 2.0], [5.0, 1.0]), gva.Constant(ETA)
    assert predicted_loss(own, schedule, gva.EMA(0.1), 50) == pytest.approx(
        predicted_loss(spectrum(2.0, 1.0), schedule, gva.EMA(0.1), 50)
    )
    # Along it the iterates are a random walk: variance η²Tσ².
    plain = spectrum(-3.0, 5.0)
    walk = np.cumsum(gva.EMA(0.1).kernel(50)[:0:-1])
    assert seed_factor(plain, schedule, gva.EMA(0.1), 50).parameters == pytest.approx(np.sum(walk**2) / 50, rel=1e-9)
    assert math.isnan(seed_factor(plain, schedule, gva.EMA(0.1), 50).loss)


def test_steps_that_change_and_averages_that_look_ahead() -> None:
    """Of a decaying schedule on one direction without curvature, θ̃ = −Σ_j η_j ξ_j Σ_{t>j} w_t."""
    schedule, steps, average = gva.Linear(0.1, 40, 0.01), 40, gva.Tail(0.5)
    eta = schedule.step_sizes(steps)
    own = spectrum(0.0, 2.0)
    rates = average.rates(steps)

    def gain(t: int) -> np.ndarray:
        kernel = np.array([np.prod(1 - rates[i:t]) * (rates[i - 1] if i else 1.0) for i in range(t + 1)])
        return np.append(eta[:t] * np.cumsum(kernel[:0:-1])[::-1], np.zeros(steps - t))

    assert seed_factor(own, schedule, average, steps).parameters == pytest.approx(
        np.sum(gain(40) ** 2) / np.sum(eta**2)
    )
    raw = [np.append(eta[:t], np.zeros(steps - t)) for t in (30, 40)]
    expected = np.sum((gain(40) - gain(30)) ** 2) / np.sum((raw[1] - raw[0]) ** 2)
    assert window_factor(own, schedule, average, steps, 2, 10).parameters == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("momentum", [0.0, 0.8])
def test_a_lag_costs_what_trailing_a_moving_optimum_does(momentum) -> None:
    """Heavy ball after an optimum that moves by v an update, without noise, until all of it moves alike."""
    curvature, velocity, steps, eta = np.array([0.2, 4.0]), np.array([1e-3, 2e-3]), 3000, 0.05
    bank = {"short": gva.EMA(0.1), "long": gva.EMA(0.02), "raw": gva.LastIterate()}
    optimum, before, theta = np.zeros(2), np.zeros(2), np.zeros(2)
    places = dict.fromkeys(bank, np.zeros(2))
    for _ in range(steps):
        before, theta = theta, theta - eta * curvature * (theta - optimum) + momentum * (theta - before)
        optimum = optimum + velocity
        places = {name: places[name] + one.rate(1.0) * (theta - places[name]) for name, one in bank.items()}
    loss = {name: 0.5 * curvature @ (place - optimum) ** 2 for name, place in places.items()}
    assert loss["long"] > 2 * loss["short"] > 2 * loss["raw"]
    for seen in ("short", "long"):
        own = spectrum(1.0, 1.0, (curvature, (curvature * (places[seen] - optimum)) ** 2), momentum=momentum)
        for name, average in bank.items():
            got = predicted_lag_loss(own, eta, average, steps, seen_from=bank[seen])
            assert got == pytest.approx(loss[name] - loss["raw"], rel=1e-6, abs=1e-15)


def test_the_lag_seen_from_the_iterate_is_trusted_as_far_as_it_reaches() -> None:
    average, steps = gva.EMA(0.1), 2000
    assert mean_age(average, steps) == pytest.approx(9.0)
    assert mean_age(gva.Polyak(), 9) == pytest.approx(4.0)
    own = spectrum(1.0, 1.0, ([0.5, 2.0], [3.0, 1.0]))
    stretch = 9.0 * 0.05
    assert predicted_lag_loss(own, 0.05, average, steps) == pytest.approx(stretch * 4.0 + 0.5 * stretch**2 * 3.5)
    assert predicted_lag_loss(own, 0.12, average, steps) < math.inf
    assert predicted_lag_loss(own, 0.13, average, steps) == math.inf  # 9 · 0.13 · 3.5 > 4
    adam = spectrum(1.0, 1.0, ([0.5, 2.0], [3.0, 1.0]), momentum=0.9, step_factor=0.1)
    assert predicted_lag_loss(adam, 0.05, average, steps) == pytest.approx(stretch * 4.0 + 0.5 * stretch**2 * 3.5)
    assert predicted_lag_loss(own, 10.0, gva.LastIterate(), steps) == 0.0
    backwards = spectrum(1.0, 1.0, ([-2.0], [1.0]))
    assert predicted_lag_loss(backwards, 0.1, average, steps) == math.inf


def test_the_average_is_chosen_by_noise_and_lag_together() -> None:
    """Of a drifting noisy quadratic, whose exact law knows both."""
    curvature, noise, eta, steps = 0.5, 0.2, 0.05, 4000
    bank = {"slow": gva.EMA(0.001), "middle": gva.EMA(0.02), "fast": gva.EMA(0.3)}
    chosen = []
    for velocity in (1e-6, 5e-4, 3e-2):
        problem = gva.Drifting(gva.NoisyQuadratic(curvature, noise), velocity)
        schedule, everything = gva.Constant(eta), {"raw": gva.LastIterate(), **bank}
        exact = {
            name: gva.expected_loss(problem, gva.exact_law(problem, schedule, one, steps, 0.0))
            for name, one in everything.items()
        }
        own = spectrum(curvature, noise, ([curvature], [(velocity / eta + curvature * velocity * 49) ** 2]))
        name, predicted = choose_average(own, schedule, bank, steps, seen_from=bank["middle"])
        assert list(predicted) == list(everything)
        assert name == min(exact, key=exact.__getitem__)
        for one in ("middle", "fast"):  # the slow one still remembers the start
            assert predicted[one] - predicted["raw"] == pytest.approx(exact[one] - exact["raw"], rel=1e-2)
        chosen.append(name)
    assert chosen == ["slow", "middle", "raw"]


def test_the_theory_has_a_say_up_to_the_largest_stable_step() -> None:
    methods: tuple[tuple[dict[str, Any], float], ...] = (({}, 2.0), (METHODS["adamw"], 38.0))
    for changes, limit in methods:
        for share, stable in ((0.999, True), (1.001, False)):
            own = spectrum([-5.0, 1.0, 10.0], [1.0, 1.0, 1.0], **changes)
            assert is_stable(own, gva.Constant(share * limit / 10.0), 5) is stable
    falling = gva.Linear(0.3, 10)  # the first step decides
    assert not is_stable(spectrum([10.0], [1.0]), falling, 10)


def test_refusals() -> None:
    own, schedule, average = spectrum(), gva.Constant(ETA), gva.EMA(0.1)
    with pytest.raises(ValueError, match="must be below 2, got 2"):
        predicted_loss(own, gva.Constant(0.2), average, 10)
    with pytest.raises(ValueError, match=r"must be below 3\.8"):
        predicted_loss(spectrum(momentum=0.9), gva.Constant(0.4), average, 10)
    with pytest.raises(ValueError, match=r"must be below 1\.35"):
        predicted_loss(spectrum(momentum=0.9, nesterov=True), gva.Constant(0.2), average, 10)
    with pytest.raises(ValueError, match="steps"):
        predicted_loss(own, schedule, average, -1)
    for count, spacing, name in ((1, 1, "count"), (2, 0, "spacing"), (4, 4, "steps")):
        with pytest.raises(ValueError, match=f"{name} must be an integer"):
            window_factor(own, schedule, average, 11, count, spacing)
    with pytest.raises(ValueError, match="step_size"):
        predicted_lag_loss(own, -1.0, average, 10)
    with pytest.raises(ValueError, match='must not use the name "raw"'):
        choose_average(own, schedule, {"raw": average}, 10)
    with pytest.raises(ValueError, match="steps must be an integer at least 1"):
        choose_average(own, schedule, {"a": average}, 0)
