"""The symbolic steps of propositions A1 and A2 that hold whatever their constants, proved once per process."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import sympy

from proofs_check.interface import Trial
from proofs_check.judging import nonnegative_coefficients, vanishes


@cache
def order_identities() -> tuple[Trial, ...]:
    """Each step of A1's proof that is an identity in the problem's symbols."""
    step, gamma, batch, label, k, v, t, mu = sympy.symbols("eta gamma b s k v t mu", positive=True)
    h, m = (sympy.Matrix(2, 2, sympy.symbols(f"{name}1 {name}2 {name}2 {name}3")) for name in "hm")
    moved, unit = h * m, sympy.eye(2)
    noise = (moved * h + moved.trace() * h + label * h) / batch
    after = (unit - step * h) * m * (unit - step * h) + step**2 * noise
    growth = step * (h * m * h + noise) - moved - moved.T
    known = (2 * moved * h + moved.trace() * h + label * h) / batch + (1 - 1 / batch) * moved * h
    known = m - step * (moved + moved.T) + step**2 * known
    found = []
    for i, j in ((0, 0), (0, 1), (1, 1)):
        found.append(vanishes(sympy.expand(after[i, j] - known[i, j]), f"recursion of regression, entry {i}{j}"))
        gap = sympy.expand(after[i, j] - m[i, j] - step * growth[i, j])
        found.append(vanishes(gap, f"M' - M = η(ηN̂ - ΛM - MΛ), entry {i}{j}"))
    x, y = sympy.symbols("x y", real=True)
    mixed = (1 - gamma) * x**2 + gamma * y**2 - ((1 - gamma) * x + gamma * y) ** 2
    found.append(vanishes(mixed - gamma * (1 - gamma) * (x - y) ** 2, "convexity of one update"))
    left = (1 - k) ** 2 * v + k**2 - v / (1 + v)
    found.append(vanishes(left - (k * (1 + v) - v) ** 2 / (1 + v), "the least variance after one step is v/(1+v)"))
    left = (1 - 1 / (t + 1)) ** 2 / t + 1 / (t + 1) ** 2
    found.append(vanishes(left - 1 / (t + 1), "η = 1/(λ(t+1)) leaves 1/t"))
    level = k * (1 + mu) / ((1 - mu) * (2 * (1 + mu) - k))
    after_rise = level * (2 * mu**2 - 2 * mu**2 * (1 + mu - k) / (1 + mu)) + 1  # φ' = μ at k' = 1
    excess = (1 - k) * (2 * (1 + mu) + k * (1 + 2 * mu)) / (2 * (1 + mu) - k)
    found.append(vanishes(after_rise - k * level - excess, "heavy ball, step raised to k = 1: at most 1/k for k <= 1"))
    ratio = sympy.cancel(level / after_rise)
    found.append(vanishes(ratio.subs(mu, 1) - 1 / k, "heavy ball, step raised to k = 1, as μ -> 1"))
    return (*found, *bias_identities())


def bias_identities() -> Iterator[Trial]:
    """The closed form of β_T with A = a^T and R = ρ^T as symbols, hence for every T; h <= T a^{T-1} for a = ρ + u."""
    k, gamma, first, second, r, u = sympy.symbols("k gamma A R r u", positive=True)
    a, rho = 1 - k, 1 - gamma
    closed = (gamma * a * first - k * rho * second) / (gamma - k)
    after = (gamma * a**2 * first - k * rho**2 * second) / (gamma - k)
    yield vanishes(after - rho * closed - gamma * a * first, "β' = ρβ + γa^{T+1}")
    yield vanishes(closed.subs({first: 1, second: 1}) - 1, "β_0 = 1")
    reach = (first - second) / (a - rho)
    yield vanishes(closed - first - k * rho * reach, "β = a^T + kρh")
    yield vanishes(closed - second - gamma * a * reach, "β = ρ^T + γah")
    yield vanishes(gamma * (k - 1) + k * (1 - gamma) - (k - gamma), "γ|a| + kρ = k - γ for a < 0")
    for steps in range(1, 7):
        powers = sympy.Add(*(r**i * (r + u) ** (steps - 1 - i) for i in range(steps)))
        yield nonnegative_coefficients(sympy.Poly(steps * (r + u) ** (steps - 1) - powers, r, u), f"h, T={steps}")


@cache
def power_identities() -> tuple[Trial, ...]:
    """Each step of A2's proof that is an identity: coefficients h of the noise, errors E, weights at α = 2."""
    a, h, w, g, beta, start, steps, t = sympy.symbols("a h w g beta E T t", positive=True)
    k = 1 - a
    first = a * h + k * w  # h_j from h_{j+1} = h and w_{j+1} = w; summed over j the right-hand side telescopes
    square = k**2 * w**2 - k**2 * first**2 - a * (first - h) ** 2
    found = [vanishes(square - a * k * (first**2 - h**2), "Σw² = Q + (a/k)h_0² + (a/k²)Σ(Δh)²")]
    found.append(vanishes(2 * g**2 - (h**2 - g * h + 2 * g**2) - h * (g - h), "h_0² - gh_0 + 2g² <= 2g² if h_0 <= g"))
    error = (1 - beta) ** 2 / steps + start * beta**2
    best = error.subs(beta, 1 / (1 + steps * start))
    found.append(vanishes(sympy.diff(error, beta).subs(beta, 1 / (1 + steps * start)), "stationary bias"))
    found.append(vanishes(best - 1 / (steps + 1 / start), "least error of a linear average"))
    last = sympy.Symbol("A")  # a^n
    noise = steps - 2 * a * (1 - last) / k + a**2 * (1 - last**2) / (1 - a**2)  # Σ_{i<=n} (1-a^i)², by its difference
    step = noise.subs({last: a * last, steps: steps + 1}, simultaneous=True) - noise
    found.append(vanishes(step - (1 - a * last) ** 2, "sum of (1-a^i)²"))
    found.append(vanishes(noise.subs({last: 1, steps: 0}), "empty sum"))
    total = noise + (a / k) ** 2 * k / (1 + a) * (1 - last) ** 2
    found.append(vanishes(total - steps + 2 * a / k * (1 - last) / (1 + a), "the burn-in's noise costs nothing"))
    weight = (steps + 1) / (steps * t * (t + 1))
    after = (1 - 1 / (steps + 1) ** 2) * weight - weight.subs(steps, steps + 1)
    found.append(vanishes(after, "weights at α = 2"))
    found.append(vanishes(weight.subs(t, steps) - 1 / steps**2, "newest weight at α = 2"))
    return tuple(found)
