"""Random linear systems x' = A x + B u with an expert u = K x, for sweeps and adversarial checks.

Each is drawn from a seed alone (numpy's default generator): the same arguments give the same matrices.
"""

import dataclasses
from typing import Literal, get_args

import numpy as np
from jaxtyping import Float
from scipy import linalg

from gvatheory import validation
from gvatheory.validation import Numbers

Kind = Literal["general", "normal", "symmetric", "jordan"]
"""Structure of the closed loop, see `random_system`."""

_GAIN_GRID = 2.0**12


@dataclasses.dataclass(frozen=True)
class LinearExpert:
    """A linear system and its expert.

    Attributes:
        A: open loop, (n, n).
        B: input matrix, (n, m).
        K_expert: the expert's gain, (m, n).
    """

    A: Float[np.ndarray, "n n"]
    B: Float[np.ndarray, "n m"]
    K_expert: Float[np.ndarray, "m n"]

    @property
    def closed_loop(self) -> Float[np.ndarray, "n n"]:
        """A_cl = A + B K_expert."""
        return self.A + self.B @ self.K_expert


def _random_orthogonal(size: int, rng: np.random.Generator) -> Float[np.ndarray, "n n"]:
    """Uniform (Haar) orthogonal matrix; ±1 for size one."""
    from scipy.stats import ortho_group  # takes long to import

    return np.atleast_2d(ortho_group.rvs(size, random_state=rng)) if size > 1 else rng.choice([-1.0, 1.0], (1, 1))


def _closed_loop(kind: Kind, size: int, radius: float, coupling: float, rng: np.random.Generator) -> np.ndarray:
    """A matrix of that structure and spectral radius, (n, n)."""
    if kind == "general":
        matrix = rng.standard_normal((size, size))
        return matrix * (radius / np.abs(linalg.eigvals(matrix)).max())
    if kind == "jordan":
        return radius * np.eye(size) + coupling * np.eye(size, k=1)
    basis = _random_orthogonal(size, rng)
    if kind == "symmetric":
        values = rng.uniform(-1.0, 1.0, size)
        values[0] = rng.choice([-1.0, 1.0])
        return (basis * (radius * values)) @ basis.T
    blocks = []
    moduli = np.sqrt(rng.uniform(0.0, 1.0, (size + 1) // 2))
    moduli[0] = 1.0
    for modulus, angle in zip(moduli[: size // 2], rng.uniform(0.0, np.pi, size // 2), strict=True):
        c, s = modulus * np.cos(angle), modulus * np.sin(angle)
        blocks.append(np.array([[c, -s], [s, c]]))
    if size % 2:
        blocks.append(np.array([[moduli[-1] * rng.choice([-1.0, 1.0])]]))
    return radius * basis @ np.asarray(linalg.block_diag(*blocks)) @ basis.T


def random_system(
    state_size: int,
    action_size: int,
    spectral_radius: float,
    seed: int,
    *,
    kind: Kind = "general",
    coupling: float = 1.0,
) -> LinearExpert:
    """A system whose closed loop A + B K has the prescribed spectral radius, to rounding.

    B has independent N(0, 1/n) and K independent N(0, 1/m) entries; A is what is left of the closed loop, by `kind`:

    - general: independent normal entries, scaled (the rest of the spectrum fills the disc; not normal);
    - normal: orthogonal basis, complex pairs uniform over the disc, one pair on its rim (one real value if n is odd);
    - symmetric: orthogonal basis, eigenvalues uniform on [−ρ, ρ], one of them ±ρ;
    - jordan: one Jordan block of size n, eigenvalue ρ, `coupling` above the diagonal, in its own coordinates.

    Entries of B and K are rounded to multiples of 2^−12, so that their products are exact and a Jordan block keeps its
    zeros in A + B K whatever the order of summation: a residue of 1e-16 there would move its eigenvalues by 1e-8.

    Args:
        state_size: n ≥ 1.
        action_size: m ≥ 1.
        spectral_radius: ρ in [0, 64].
        seed: of the generator, ≥ 0.
        kind: as above.
        coupling: of the Jordan block, within ±64.

    Raises:
        ValueError: if a value is out of its range.
    """
    validation.integer("state_size", state_size, 1, 1000)
    validation.integer("action_size", action_size, 1, 1000)
    validation.integer("seed", seed, 0)
    validation.real("spectral_radius", spectral_radius, 0.0, 64.0)
    validation.real("coupling", coupling, -64.0, 64.0)
    if kind not in get_args(Kind):
        raise ValueError(f"kind must be one of {get_args(Kind)}, got {kind!r}")
    rng = np.random.default_rng(seed)
    B = np.round(_GAIN_GRID * rng.standard_normal((state_size, action_size)) / np.sqrt(state_size)) / _GAIN_GRID
    K = np.round(_GAIN_GRID * rng.standard_normal((action_size, state_size)) / np.sqrt(action_size)) / _GAIN_GRID
    loop = _closed_loop(kind, state_size, float(spectral_radius), float(coupling), rng)
    return LinearExpert(loop - B @ K, B, K)


def lqr_gain(A: Numbers, B: Numbers, Q: Numbers, R: Numbers) -> Float[np.ndarray, "m n"]:
    """The gain K of u = K x that minimises Σ_h (xᵀQx + uᵀRu): K = −(R + BᵀPB)^{-1} BᵀPA, P from the Riccati equation.

    Args:
        A: (n, n).
        B: (n, m); (A, B) stabilisable.
        Q: (n, n), PSD.
        R: (m, m), PSD, here invertible.

    Raises:
        ValueError: if a shape does not fit or a cost is not PSD.
        numpy.linalg.LinAlgError: if the Riccati equation has no stabilising solution.
    """
    a, b, q, r = (np.atleast_2d(validation.array(k, v, 2)) for k, v in (("A", A), ("B", B), ("Q", Q), ("R", R)))
    n, m = b.shape
    if a.shape != (n, n) or q.shape != (n, n) or r.shape != (m, m):
        raise ValueError(f"A, Q, R do not fit B of shape {b.shape}: got {a.shape}, {q.shape}, {r.shape}")
    validation.psd("Q", q)
    validation.psd("R", r)
    P = linalg.solve_discrete_are(a, b, q, r)
    return -np.linalg.solve(r + b.T @ P @ b, b.T @ P @ a)


def lqr_system(state_size: int, action_size: int, spectral_radius: float, seed: int) -> LinearExpert:
    """A system whose expert is optimal for the reward −Σ_h (‖x‖² + ‖u‖²) over an infinite horizon: there ∇J = 0.

    The open loop A is "general" of `random_system` with this spectral radius (may exceed one), B as there; K is
    `lqr_gain` with Q = I and R = I. Where the expert is optimal, gain errors cost reward only to second order.

    Args:
        state_size: n ≥ 1.
        action_size: m ≥ 1.
        spectral_radius: of A, in [0, 64].
        seed: of the generator, ≥ 0.

    Raises:
        ValueError: if a value is out of its range.
    """
    drawn = random_system(state_size, action_size, spectral_radius, seed)
    A = drawn.closed_loop
    return LinearExpert(A, drawn.B, lqr_gain(A, drawn.B, np.eye(state_size), np.eye(action_size)))
