"""The rollout engine against gymnasium, bit for bit, and against itself under other divisions of the work.

Every comparison is exact. The reference loop asks the policy's actor, one observation at a time: the engine promises
that company does not change an action.
"""

import threading
import time
import warnings
from types import SimpleNamespace
from typing import Any

import gymnasium
import numpy as np
import pytest
from mujoco.batch import SimulationError
from threadpoolctl import threadpool_limits

from neural.control import engine, inference
from neural.control.batch_env import BatchEnv
from neural.control.inference import COLUMNS
from neural.control.policies import MLPActor, MLPPolicy
from neural.control.rollout import collect, evaluate
from neural.control.tasks import get_task

WALKER = get_task("Walker2d-v4")
TASKS = tuple(f"{name}-v{v}" for name in ("Walker2d", "Hopper", "HalfCheetah", "Ant", "Humanoid") for v in (4, 5))


def make_env(name="Walker2d-v4"):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # gymnasium asks to move on to v5; the paper uses v4
        return gymnasium.make(name)


def make_policy(seed, width=64, scale=1.0, stochastic=False):
    rng = np.random.default_rng(seed)
    sizes = [(17, width), (width, width), (width, 6)]
    weights = tuple((rng.standard_normal(s) * scale / np.sqrt(s[0])).astype(np.float32) for s in sizes)
    biases = tuple((0.1 * rng.standard_normal(s[1])).astype(np.float32) for s in sizes)
    head = (np.zeros((width, 6), dtype=np.float32), np.full(6, -1.0, dtype=np.float32)) if stochastic else None
    return MLPPolicy(weights, biases, log_std_head=head)


def make_diverging_policy():
    """Zero action until the torso turns faster than 3.4 rad/s; then float32 overflows, and inf - inf = NaN."""
    w0 = np.zeros((17, 2), dtype=np.float32)
    w0[10] = -1e38
    w1 = np.array([[1.0] * 6, [-1.0] * 6], dtype=np.float32)
    return MLPPolicy((w0, w1), (np.zeros(2, dtype=np.float32), np.zeros(6, dtype=np.float32)))


def play(env, policy, seed, max_steps, noise=None):
    """A plain gymnasium loop; (return, length, fallen, bad), observations, clean actions."""
    actor = policy.actor()
    obs, _ = env.reset(seed=seed)
    total, seen, chosen = 0.0, [], []
    for step in range(max_steps):
        with np.errstate(all="ignore"):
            action = np.clip(actor.act(obs[None, None], np.array([1]))[0], -1.0, 1.0)
        if np.isnan(action).any():
            return (total, step, True, True), seen, chosen
        seen.append(obs)
        chosen.append(action)
        if noise is not None:
            action = np.clip(action + np.float32(0.3) * noise.standard_normal(6, dtype=np.float32), -1.0, 1.0)
        obs, reward, terminated, _, _ = env.step(action)
        total += reward
        if terminated:
            return (total, step + 1, True, False), seen, chosen
    return (total, max_steps, False, False), seen, chosen


def assert_same(a, b):
    for name in ("returns", "lengths", "fallen", "bad"):
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name), err_msg=name)


def part(results, where):
    fields = {name: getattr(results, name)[where] for name in ("returns", "lengths", "fallen", "bad")}
    return type("Part", (), fields)


@pytest.mark.parametrize("name", TASKS)
def test_task_agrees_with_gymnasium(name):
    env = make_env(name)
    task, space = get_task(name), env.action_space
    assert env.spec is not None
    assert isinstance(space, gymnasium.spaces.Box)
    assert env.observation_space.shape == (task.observation_size,)
    assert env.spec.max_episode_steps == task.time_limit
    assert getattr(env.unwrapped, "frame_skip") == task.frame_skip  # noqa: B009 (not in gymnasium.Env's type)
    for ours, theirs in ((task.action_low, space.low), (task.action_high, space.high)):
        assert ours.dtype == theirs.dtype
        np.testing.assert_array_equal(ours, theirs)


def test_get_task_names_what_it_knows():
    with pytest.raises(ValueError, match=r"\['Ant-v4', 'Ant-v5', .*'Walker2d-v5'\], got 'Walker3d'"):
        get_task("Walker3d")


@pytest.mark.parametrize("name", TASKS)
def test_batch_env_is_gymnasium_bit_for_bit(name):
    """1,000 steps of 5 environments; each tick one row rests, and a fallen row starts afresh with a new seed."""
    n, rng, task = 5, np.random.default_rng(1), get_task(name)
    envs, ours = [make_env(name) for _ in range(n)], BatchEnv(task, n)
    seeds = iter(range(100, 100_000))
    first = [next(seeds) for _ in range(n)]
    np.testing.assert_array_equal(
        ours.reset(np.arange(n), first), [e.reset(seed=s)[0] for e, s in zip(envs, first, strict=True)]
    )
    falls = 0
    for tick in range(1250):
        rows = np.flatnonzero(np.arange(n) != tick % n)
        # Gentle actions for the even rows, so that long episodes (and clipped velocities) occur as well as short ones.
        amplitude = np.where(rows % 2 == 0, 0.2, 1.0)[:, None]
        actions = rng.uniform(task.action_low, task.action_high, (n - 1, task.action_size)) * amplitude
        actions = actions.astype(np.float32)
        step = ours.step(rows, actions)
        assert not step.bad.any()
        for i, row in enumerate(rows):
            obs, reward, terminated, _, _ = envs[row].step(actions[i])
            np.testing.assert_array_equal(step.observation[i], obs)
            assert step.reward[i] == reward
            assert step.terminated[i] == terminated
            if terminated:
                falls, seed = falls + 1, next(seeds)
                np.testing.assert_array_equal(ours.reset(np.array([row]), [seed])[0], envs[row].reset(seed=seed)[0])
    least = {"HalfCheetah": 0, "Ant": 3}.get(name[:-3], 20)
    assert falls >= least if least else falls == 0


def test_evaluate_is_a_plain_gymnasium_loop():
    policies = [make_policy(1, scale=0.3), make_policy(2, scale=1.0), make_policy(3, scale=2.0)]
    seeds, env = range(7, 18), make_env()
    results = evaluate(policies, WALKER, seeds, max_steps=60, threads=2)
    with threadpool_limits(1):
        played = [[play(env, p, s, 60)[0] for s in seeds] for p in policies]
    expected = np.array(played)
    for k, name in enumerate(("returns", "lengths", "fallen", "bad")):
        np.testing.assert_array_equal(getattr(results, name), expected[:, :, k], err_msg=name)
    assert results.fallen.any()
    assert not results.fallen.all()
    assert (results.task, results.seeds, results.max_steps) == ("Walker2d-v4", tuple(seeds), 60)


def test_results_depend_on_nothing_but_policy_and_seed():
    """Not on threads, on the other policies, nor on which other seeds there are, in which order or how often."""
    policies = [make_policy(1), make_policy(2, scale=2.0), make_policy(3, width=512), make_policy(1, scale=0.3)]
    seeds = range(37)
    whole = evaluate(policies, WALKER, seeds, max_steps=50, threads=1)
    for threads in (2, 3, 200):
        assert_same(evaluate(policies, WALKER, seeds, max_steps=50, threads=threads), whole)
    for i, policy in enumerate(policies):
        assert_same(evaluate([policy], WALKER, seeds, max_steps=50), part(whole, np.s_[i : i + 1]))
    some = [30, 2, 2, 11]
    assert_same(evaluate(policies[::-1], WALKER, some, max_steps=50), part(whole, (np.s_[::-1], some)))


@pytest.mark.parametrize(("outputs", "inputs"), [(64, 17), (256, 256), (6, 256), (17, 256), (5, 33), (1024, 27)])
def test_products_do_not_feel_their_neighbours(outputs, inputs):
    """The product in use passes the trial; one that looks at all columns, or rounds by place, does not."""
    single = np.dtype(np.float32)
    assert inference.independent(inference.product(outputs, inputs, single), outputs, inputs, single)
    assert inference.independent(inference._loop, outputs, inputs, single)

    def nosy(weights, x):
        return weights @ (x + np.float32(1e-3) * x.sum(axis=-1, keepdims=True))

    def uneven(weights, x):
        out = weights @ x
        out[..., -1] = (weights[:, ::-1] @ x[..., ::-1, :])[..., -1]  # summed in another order
        return out

    assert not inference.independent(nosy, outputs, inputs, single)
    assert not inference.independent(uneven, outputs, inputs, single)


def test_a_product_without_independence_is_replaced(monkeypatch):
    monkeypatch.setattr(inference, "independent", lambda *_: False)
    inference.product.cache_clear()
    try:
        policy, x = make_policy(1, width=256), np.random.default_rng(0).standard_normal((20, 1, 17))
        slow = policy.actor()
    finally:
        inference.product.cache_clear()
    np.testing.assert_allclose(slow.act(x, np.ones(20, int)), policy(x[:, 0]), atol=1e-6)
    monkeypatch.undo()
    assert not np.array_equal(slow.act(x, np.ones(20, int)), policy.actor().act(x, np.ones(20, int)))


@pytest.mark.parametrize("activation", ["relu", "tanh", "silu"])
@pytest.mark.parametrize("output", ["tanh", "identity"])
def test_an_actor_is_its_policy_and_feels_no_neighbours(activation, output):
    rng = np.random.default_rng(0)
    for width, size in ((64, 1), (256, COLUMNS), (512, 2 * COLUMNS + 3)):
        plain = make_policy(width, width=width, stochastic=True)
        mean, std = rng.standard_normal(17), rng.uniform(0.5, 2.0, 17)
        policy = MLPPolicy(plain.weights, plain.biases, activation, output, mean, std, plain.log_std_head)
        x, normals = rng.standard_normal((size, 17)), rng.standard_normal((size, 6)).astype(np.float32)
        actor, ones = policy.actor(), np.ones(size, int)
        acted, drawn = actor.act(x[:, None], ones), actor.sample(x[:, None], ones, normals)
        assert (acted.shape, acted.dtype) == ((size, 6), np.float32)
        np.testing.assert_allclose(acted, policy(x), atol=2e-6)

        given: Any = SimpleNamespace(standard_normal=lambda *_, normals=normals, **__: normals)
        np.testing.assert_allclose(drawn, policy.sample(x, given), atol=2e-6)
        for i in {0, size // 2, size - 1}:
            one = slice(i, i + 1)
            np.testing.assert_array_equal(actor.act(x[one, None], ones[:1])[0], acted[i])
            np.testing.assert_array_equal(actor.sample(x[one, None], ones[:1], normals[one])[0], drawn[i])
    with pytest.raises(ValueError, match="no log_std_head"):
        make_policy(0).actor().sample(x[:, None], ones, normals)


def test_an_actor_computes_in_the_precision_of_its_weights():
    policy, x = make_policy(1).astype(np.float64), np.random.default_rng(0).standard_normal((5, 17))
    np.testing.assert_allclose(policy.actor().act(x[:, None], np.ones(5, int)), policy(x), rtol=1e-12)


@pytest.mark.parametrize(("total", "threads"), [(20, 2), (13, 3), (3, 8), (1000, 3)])
def test_every_episode_is_taken_once(total, threads):
    queues = engine.Queues(total, threads)
    assert len(queues) == min(total, threads)
    rng, taken = np.random.default_rng(0), []
    while True:
        got = [queues.take(int(i), int(rng.integers(1, 9)), 0) for i in rng.permutation(len(queues))]
        taken += [e for part in got for e in part]
        if not any(got):
            break
    assert sorted(taken) == list(range(total))


def test_queues_serve_their_own_thread_first_and_an_idle_one_next():
    queues = engine.Queues(400, 2)
    assert queues.take(0, 64, 0) == range(64)
    assert queues.take(0, 500, 64) == range(64, 200)
    assert queues.take(0, 64, held=1) == range(200, 264)  # the other has more than it can hold at once
    assert queues.take(0, 500, held=1) == range(264, 336)
    assert not queues.take(0, 64, held=1)
    assert queues.take(0, 64, held=0) == range(336, 368)  # half of what is left
    assert queues.take(1, 10, held=60) == range(368, 378)
    queues.close()
    assert not queues.take(1, 1, held=0)


class Memory:
    """Acts on the sum of its last three observations, and on how many it has seen."""

    observation_size, action_size, window, stochastic = 17, 6, 3, False

    def actor(self):
        return self

    def sample(self, observations, valid, normals):
        raise NotImplementedError

    def act(self, observations, valid):
        assert observations.shape[1:] == (3, 17)
        for seen, count in zip(observations, valid, strict=True):
            assert not seen[: 3 - count].any()
            assert seen[3 - count :].any(axis=1).all()
        return (np.tanh(observations.sum(axis=1)[:, :6]) + 0.01 * valid[:, None]).astype(np.float32)


def test_a_policy_sees_its_window_of_its_own_episode():
    memory, seeds, env = Memory(), range(40, 110), make_env()
    results = evaluate([make_policy(1), memory], WALKER, seeds, max_steps=30, threads=2)
    assert results.fallen[1].any()  # so that places change hands
    assert_same(evaluate([memory], WALKER, seeds, max_steps=30, threads=1), part(results, np.s_[1:]))
    assert_same(evaluate([make_policy(1)], WALKER, seeds, max_steps=30), part(results, np.s_[:1]))
    for e in (0, 1, 69):
        obs, _ = env.reset(seed=seeds[e])
        past, total = [np.zeros(17)] * 3, 0.0
        for step in range(results.lengths[1, e]):
            past = [*past[1:], obs]
            action = (np.tanh(np.sum(past, axis=0)[:6]) + 0.01 * min(step + 1, 3)).astype(np.float32)
            obs, reward, *_ = env.step(np.clip(action, -1.0, 1.0))
            total += float(reward)
        assert total == results.returns[1, e]


def test_states_are_those_passed():
    policy, seeds, env = make_policy(2, scale=2.0), range(70), make_env()
    results = evaluate([make_policy(1), policy], WALKER, seeds, max_steps=40, states_every=3, threads=2)
    assert_same(results, evaluate([make_policy(1), policy], WALKER, seeds, max_steps=40))
    states = results.states
    assert states is not None
    assert (states.every, states.positions.shape, states.velocities.shape) == (3, (2, 70, 14, 9), (2, 70, 14, 9))
    counts = np.isfinite(states.positions).all(axis=-1).sum(axis=-1)
    np.testing.assert_array_equal(counts, 1 + results.lengths // 3)
    assert (np.isfinite(states.positions) == np.isfinite(states.velocities)).all()
    actor, e = policy.actor(), 5
    obs, _ = env.reset(seed=seeds[e])
    for step in range(results.lengths[1, e] + 1):
        if step % 3 == 0:
            np.testing.assert_array_equal(states.positions[1, e, step // 3], getattr(env.unwrapped, "data").qpos)  # noqa: B009
            np.testing.assert_array_equal(states.velocities[1, e, step // 3], getattr(env.unwrapped, "data").qvel)  # noqa: B009
        obs, *_ = env.step(np.clip(actor.act(obs[None, None], np.array([1]))[0], -1.0, 1.0))


def test_partial_rewards_are_the_returns_of_shorter_episodes():
    policies = [make_policy(1, scale=0.3), make_policy(2, scale=2.0), make_diverging_policy()]
    seeds, steps = range(30), [1, 7, 62, 85, 90]
    results = evaluate(policies, WALKER, seeds, max_steps=100, threads=2, states_every=10, rewards_at=steps)
    assert results.partial is not None
    assert results.partial.shape == (3, 30, 5)
    assert results.bad.any()
    assert len(np.unique(np.searchsorted(steps, results.lengths))) > 3  # episodes end in all parts
    for i, step in enumerate(steps):
        alone = evaluate(policies, WALKER, seeds, max_steps=step, threads=1)
        np.testing.assert_array_equal(results.partial[..., i], alone.returns)
    whole = evaluate(policies, WALKER, seeds, max_steps=100, states_every=10)
    assert_same(results, whole)
    assert whole.partial is None
    assert results.states is not None
    assert whole.states is not None
    np.testing.assert_array_equal(results.states.positions, whole.states.positions)


def test_a_bad_step_leaves_no_state():
    results = evaluate([make_diverging_policy()], WALKER, range(6), max_steps=200, states_every=1)
    assert results.bad.any()
    assert results.states is not None
    for e in range(6):
        seen = results.states.positions[0, e]
        assert np.isfinite(seen[: results.lengths[0, e] + 1]).all()
        assert np.isnan(seen[results.lengths[0, e] + 1 :]).all()
        last = int(results.lengths[0, e])
        assert np.abs(np.diff(seen[: last + 1], axis=0)).max() < 1.0


def test_a_diverging_policy_ends_its_own_episodes_only():
    healthy, diverging, env = make_policy(1), make_diverging_policy(), make_env()
    seeds = range(6)
    results = evaluate([healthy, diverging], WALKER, seeds, max_steps=200, threads=2)
    with threadpool_limits(1):
        expected = np.array([play(env, diverging, s, 200)[0] for s in seeds])
    for k, name in enumerate(("returns", "lengths", "fallen", "bad")):
        np.testing.assert_array_equal(getattr(results, name)[1], expected[:, k], err_msg=name)
    assert results.bad[1].any()
    assert not results.bad[1].all()
    assert (results.lengths[1] > 0).all()
    assert_same(evaluate([healthy], WALKER, seeds, max_steps=200), part(results, np.s_[:1]))
    assert not results.bad[0].any()


def test_bad_physics_is_flagged_and_leaves_other_rows_alone(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # MuJoCo writes its log into the working directory
    rows, seeds, actions = np.arange(4), [1, 2, 3, 4], np.zeros((4, 6), dtype=np.float32)
    clean, env = BatchEnv(WALKER, 4), BatchEnv(WALKER, 4)
    clean.reset(rows, seeds)
    env.reset(rows, seeds)
    env.batch.bind("qvel")[1] = 1e12  # MuJoCo resets such a state and goes on
    actions[2, 3] = np.nan
    want, step = clean.step(rows, np.zeros_like(actions)), env.step(rows, actions)
    assert step.bad.tolist() == [False, True, True, False]
    assert step.terminated.tolist() == step.bad.tolist()
    assert np.isfinite(step.reward).all()
    np.testing.assert_array_equal(step.observation[[0, 3]], want.observation[[0, 3]])
    np.testing.assert_array_equal(step.reward[[0, 3]], want.reward[[0, 3]])
    env.reset(np.array([1, 2]), [2, 3])
    again = env.step(np.array([1, 2]), np.zeros((2, 6), dtype=np.float32))
    assert not again.bad.any()
    np.testing.assert_array_equal(again.observation, want.observation[[1, 2]])


def test_a_simulation_that_mujoco_refuses_or_leaves_infinite_is_bad(monkeypatch):
    env, rows = BatchEnv(WALKER, 3), np.arange(3)
    env.reset(rows, [0, 1, 2])

    def refuse(ids, nstep):
        env.batch.bind("qvel")[0, 4] = np.inf  # the observation clips it
        raise SimulationError(np.array([2]), "refused")

    monkeypatch.setattr(env.batch, "step", refuse)
    assert env.step(rows, np.zeros((3, 6), dtype=np.float32)).bad.tolist() == [True, False, True]


def test_collect_records_clean_actions_of_noisy_episodes():
    policy, seeds, env = make_policy(5), range(3, 13), make_env()
    demos = collect(policy, WALKER, seeds, action_noise=0.3, noise_seed=9, max_steps=40, threads=2)
    with threadpool_limits(1):
        played = [play(env, policy, s, 40, np.random.default_rng([9, s])) for s in seeds]
    np.testing.assert_array_equal(demos.results.returns[0], [p[0][0] for p in played])
    np.testing.assert_array_equal(demos.observations, np.concatenate([p[1] for p in played]))
    np.testing.assert_array_equal(demos.actions, np.concatenate([p[2] for p in played]))
    assert (demos.observations.dtype, demos.actions.dtype) == (np.float64, np.float32)
    lengths = [p[0][1] for p in played]
    np.testing.assert_array_equal(demos.episode, np.repeat(range(len(seeds)), lengths))
    np.testing.assert_array_equal(demos.step, np.concatenate([np.arange(n) for n in lengths]))


def test_collect_without_noise_is_evaluate():
    policy, seeds = make_policy(6), range(11)
    demos = collect(policy, WALKER, seeds, max_steps=40, threads=3)
    assert_same(demos.results, evaluate([policy], WALKER, seeds, max_steps=40))


def test_collect_of_a_stochastic_policy_records_what_was_executed():
    policy, seeds, env = make_policy(7, stochastic=True), range(9), make_env()
    demos = collect(policy, WALKER, seeds, stochastic=True, max_steps=40, threads=2)
    for e, seed in enumerate(seeds):
        obs, _ = env.reset(seed=seed)
        mine = demos.episode == e
        for seen, action in zip(demos.observations[mine], demos.actions[mine], strict=True):
            np.testing.assert_array_equal(seen, obs)
            obs, *_ = env.step(action)
    again = collect(policy, WALKER, seeds, stochastic=True, max_steps=40, threads=1)
    np.testing.assert_array_equal(again.actions, demos.actions)
    other = collect(policy, WALKER, seeds, stochastic=True, noise_seed=1, max_steps=40)
    assert (other.results.returns != demos.results.returns).all()
    assert (evaluate([policy], WALKER, seeds, max_steps=40).returns != demos.results.returns).all()


def test_collect_keeps_only_completed_steps():
    """The last episode's bad step would lie past the end of the arrays, another's in its successor's place."""
    policy = make_diverging_policy()
    bad = np.flatnonzero(evaluate([policy], WALKER, range(8), max_steps=200).bad[0]).tolist()
    demos = collect(policy, WALKER, bad, max_steps=200)
    assert demos.results.bad.all()
    assert len(demos.actions) == len(demos.observations) == len(demos.step) == demos.results.lengths.sum()
    assert np.isfinite(demos.actions).all()


def test_progress_counts_every_episode_and_its_error_ends_the_call():
    seen = []
    evaluate(
        [make_policy(1), make_policy(2)], WALKER, range(9), max_steps=5, threads=2, progress=lambda *x: seen.append(x)
    )
    assert seen == [(i, 18) for i in range(1, 19)]

    def fail(finished, total):
        raise RuntimeError("stop here")

    with pytest.raises(RuntimeError, match="stop here"):
        evaluate([make_policy(1)], WALKER, range(40), max_steps=5, threads=2, progress=fail)


def test_an_error_in_one_thread_stops_the_others_at_once():
    """One thread's episode falls within 20 steps and its callback fails; the other's 95 or more must not all be run."""
    failed, calls = threading.Event(), []

    class Slow(MLPActor):
        def act(self, observations, valid):
            calls.append(failed.wait(10) and time.sleep(0.01))
            return np.zeros((len(observations), 6), dtype=np.float32)

    class SlowPolicy(MLPPolicy):
        def actor(self):
            return Slow(self)

    def fail(finished, total):
        failed.set()
        raise RuntimeError("stop here")

    falling = make_policy(3, scale=2.0)
    slow = SlowPolicy(falling.weights, falling.biases)
    with pytest.raises(RuntimeError, match="stop here"):
        evaluate([falling, slow], WALKER, range(2), threads=2, progress=fail)
    assert len(calls) < 60


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"policies": []}, "policies must hold at least one policy"),
        (
            {"policies": [MLPPolicy((np.ones((3, 6)),), (np.ones(6),))]},
            r"policies\[0\] must have observation_size 17 .* 3",
        ),
        (
            {"policies": [MLPPolicy((np.ones((17, 2)),), (np.ones(2),))]},
            r"policies\[0\] must have action_size 6 .* got 2",
        ),
        ({"seeds": []}, "seeds must hold at least one seed"),
        ({"seeds": [4, -1]}, r"seeds\[1\] must be an integer at least 0, got -1"),
        ({"seeds": [0.5]}, r"seeds\[0\] must be an integer at least 0, got 0.5"),
        ({"max_steps": 0}, "max_steps must be an integer at least 1, got 0"),
        ({"threads": 0}, "threads must be an integer at least 1, got 0"),
        ({"states_every": 0}, "states_every must be an integer at least 1, got 0"),
        ({"rewards_at": [5, 41], "max_steps": 40}, r"rewards_at\[1\] must be an integer from 1 to 40, got 41"),
        ({"rewards_at": [5, 5]}, r"rewards_at must be ascending steps, at least one, got \[5, 5\]"),
        ({"rewards_at": []}, "at least one, got"),
    ],
)
def test_evaluate_refuses(change, message):
    arguments = {"policies": [make_policy(1)], "task": WALKER, "seeds": [0]} | change
    with pytest.raises(ValueError, match=message):
        evaluate(**arguments)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"stochastic": True}, "stochastic=True needs a policy with a log_std_head"),
        ({"action_noise": -0.1}, "action_noise must be finite and at least 0, got -0.1"),
        ({"action_noise": np.nan}, "action_noise must be finite and at least 0, got nan"),
        ({"noise_seed": -2}, "noise_seed must be an integer at least 0, got -2"),
        ({"seeds": []}, "seeds must hold at least one seed"),
    ],
)
def test_collect_refuses(change, message):
    arguments = {"policy": make_policy(1), "task": WALKER, "seeds": [0]} | change
    with pytest.raises(ValueError, match=message):
        collect(**arguments)


def test_batch_env_refuses_to_be_empty():
    with pytest.raises(ValueError, match="size must be at least 1, got 0"):
        BatchEnv(WALKER, 0)
