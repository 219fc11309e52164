"""Linear cloning end to end: exact moments of J_H against SGD that is run and episodes that are rolled out."""

import numpy as np
import pytest

import gvatheory as gva
from gvatheory.gain_rewards import GainReward
from gvatheory.linear_cloning import averaged_central_moments, cloning_problem, exact_cloning, simulated_cloning
from gvatheory.linear_system import LinearSystem
from tests.budget import Z, assert_mean

TRAINING = (gva.PowerDecay(0.15, 0.3, 20.0), gva.EMA(0.1), 60, -0.3)


def scalar(horizon=4, action_cost=0.3, noise=0.2):
    one = np.eye(1)
    return LinearSystem(0.7 * one, 0.9 * one, 0.2 * one, one, action_cost * one, one, horizon, noise * one)


def within(outcome, exact, allowed=Z):
    for name, error in zip(("loss", "mean", "variance"), outcome.standard_errors, strict=True):
        assert abs(getattr(outcome, name) - getattr(exact, name)) <= allowed * error, name


@pytest.mark.parametrize("batch", [1, 8])
def test_central_moments_match_the_exact_law_and_samples(batch) -> None:
    problem = cloning_problem(scalar(), 0.3, batch)
    central = averaged_central_moments(problem, *TRAINING, 6)
    law = gva.exact_law(problem, *TRAINING)
    assert central[0] == pytest.approx(1.0, rel=1e-12)
    assert central[1] == pytest.approx(0.0, abs=1e-16)
    assert central[2] == pytest.approx(law.covariance[0, 0], rel=1e-11)
    samples = gva.simulate(problem, *TRAINING, 50_000, 1) - law.mean
    assert_mean(samples ** np.arange(1, 5), central[1:5])


def test_the_law_of_the_gain_is_not_gaussian() -> None:
    """The fourth cumulant of a small batch is far from zero: the closure by two moments is one."""
    moments = averaged_central_moments(
        cloning_problem(scalar(), 0.3, 1), gva.Constant(0.3), gva.LastIterate(), 200, 0.0, 4
    )
    assert moments[4] / moments[2] ** 2 > 3.5


@pytest.mark.parametrize(("horizon", "start"), [(10, -1.8), (20, -0.5), (30, -0.5)])
def test_a_bias_large_against_the_spread_costs_no_digits(horizon, start) -> None:
    """One nearly Gaussian step of a large batch, against Gauss-Hermite over the exact rewards."""
    one, batch = np.eye(1), 10**8
    system = LinearSystem(0.9 * one, one, 0 * one, one, 0.1 * one, one, horizon, 0.2 * one)
    training = (gva.Constant(1e-3), gva.LastIterate(), 1, start)
    exact = exact_cloning(system, *training, 1e10, batch)
    law = gva.exact_law(cloning_problem(system, 1e10, batch), *training)
    nodes, weights = np.polynomial.hermite_e.hermegauss(150)
    values = system.rewards((law.mean[0] + law.std[0] * nodes).reshape(-1, 1, 1))
    weights = weights / weights.sum()
    mean = weights @ values
    assert exact.exact
    assert exact.mean == pytest.approx(mean, rel=1e-6)
    assert exact.variance == pytest.approx(weights @ (values - mean) ** 2, rel=1e-5)
    assert exact.loss == 2 * gva.expected_loss(cloning_problem(system, 1e10, batch), law)


@pytest.mark.parametrize(
    "average", [gva.LastIterate(), gva.PowerEMA(0.7), gva.Tail(0.4)], ids=lambda a: type(a).__name__
)
def test_scalar_cloning_is_exact(average) -> None:
    training = (gva.Constant(0.1), average, 40, 0.3)
    exact = exact_cloning(scalar(), *training, 0.3, 16)
    assert exact.exact
    within(simulated_cloning(scalar(), *training, 0.3, 16, trials=40_000, seed=2), exact)


def test_episodes_really_rolled_out_agree() -> None:
    exact = exact_cloning(scalar(), *TRAINING, 0.3, 8)
    rolled = simulated_cloning(scalar(), *TRAINING, 0.3, 8, trials=1500, seed=0, episodes=30)
    assert not rolled.exact
    within(rolled, exact)


def test_many_examples_and_little_step_make_the_gain_gaussian() -> None:
    """As the batch grows and S/b stays, multiplicative noise and kurtosis vanish: the scalar loop's exact moments."""
    one = np.eye(1)
    system = LinearSystem(0.7 * one, one, 0.2 * one, one, 0.0 * one, one, 4)
    loop = gva.ScalarLoop(0.9, 4)
    gaps = []
    for batch in (100, 10_000):
        training = (gva.Constant(0.05), gva.LastIterate(), 300, 0.0)
        exact = exact_cloning(system, *training, 1e-4 * batch, batch)
        law = gva.exact_law(cloning_problem(system, 1e-4 * batch, batch), *training)
        gaps.append((abs(exact.mean / loop.mean(law) - 1), abs(exact.variance / loop.variance(law) - 1)))
    assert max(gaps[1]) < 1e-6
    assert gaps[1][1] < gaps[0][1] / 20


def matrix_system() -> LinearSystem:
    rng = np.random.default_rng(4)
    a = rng.normal(size=(2, 2))
    a *= 0.6 / np.abs(np.linalg.eigvals(a)).max()
    return LinearSystem(
        a, rng.normal(size=(2, 1)), 0.1 * rng.normal(size=(1, 2)), np.eye(2), 0.1 * np.eye(1), np.eye(2), 6
    )


@pytest.mark.parametrize("method", [None, gva.HeavyBall(0.5)])
def test_matrix_cloning_is_second_order(method) -> None:
    """At a small spread the closure agrees with the simulation within its error and a stated tenth."""
    training = (gva.Constant(0.05), gva.EMA(0.05), 200, 0.0)
    exact = exact_cloning(matrix_system(), *training, 0.02, 8, method)
    assert not exact.exact
    run = simulated_cloning(matrix_system(), *training, 0.02, 8, method, trials=20_000, seed=3)
    assert abs(run.loss - exact.loss) <= Z * run.standard_errors[0]
    expert = matrix_system().reward(matrix_system().K_expert)
    shift = exact.mean - expert
    assert abs(run.mean - exact.mean) <= Z * run.standard_errors[1] + 0.1 * abs(shift)
    assert abs(run.variance - exact.variance) <= Z * run.standard_errors[2] + 0.1 * exact.variance
    law = gva.exact_law(cloning_problem(matrix_system(), 0.02, 8), *training, method)
    assert exact.mean == GainReward(matrix_system()).mean(law)


def test_a_deterministic_expert_leaves_no_spread() -> None:
    outcome = exact_cloning(scalar(), gva.Constant(0.1), gva.LastIterate(), 400, 0.5, batch_size=32)
    assert outcome.loss < 1e-20
    assert outcome.variance < 1e-20


def test_bad_values_are_named() -> None:
    with pytest.raises(ValueError, match="trials must be an integer at least 2, got 1"):
        simulated_cloning(scalar(), *TRAINING, trials=1, seed=0)
    with pytest.raises(ValueError, match="problem must have one feature and one output, got dimension 2"):
        averaged_central_moments(gva.LinearRegression([1.0, 2.0], 1.0), *TRAINING, 2)
    with pytest.raises(ValueError, match="initial_error must be a number or have shape"):
        exact_cloning(scalar(), gva.Constant(0.1), gva.EMA(0.1), 5, [1.0, 2.0])
    with pytest.raises(OverflowError, match="moments of order 16 exceed float64 after 400 steps"):
        exact_cloning(scalar(), gva.Constant(0.5), gva.LastIterate(), 400, 1.0)


def test_an_exact_variance_may_be_carried_by_runs_too_rare_to_be_seen() -> None:
    """Batch 1: Var J_H is 3.0e18, and 20,000 runs of SGD see next to nothing of it, while the mean agrees."""
    system, training = scalar(horizon=5, action_cost=0.0), (*TRAINING, 0.3, 1)
    exact = exact_cloning(system, *training)
    run = simulated_cloning(system, *training, trials=20_000, seed=0)
    assert exact.variance == pytest.approx(3.03e18, rel=0.01)
    assert run.variance < 10
    assert abs(run.mean - exact.mean) <= Z * run.standard_errors[1]
