"""The rollout engine against gymnasium, bit for bit, and against itself under other divisions of the work.

Every comparison is exact. The reference loop computes actions as the engine promises to (row e mod B of a block of B
rows), because a policy called with one observation at a time rounds differently, and a walker amplifies that.
"""

import threading
import time
import warnings
from collections import Counter

import gymnasium
import numpy as np
import pytest
from mujoco.batch import SimulationError
from threadpoolctl import threadpool_limits

from neural.control import rollout
from neural.control.batch_env import BatchEnv
from neural.control.policies import MLPPolicy
from neural.control.rollout import block_rows, collect, evaluate
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


def play(env, policy, episode, seed, max_steps, noise=None):
    """A plain gymnasium loop; (return, length, fallen, bad), observations, clean actions."""
    size = block_rows(policy)
    block, row = np.zeros((size, 17)), episode % size
    obs, _ = env.reset(seed=seed)
    total, seen, chosen = 0.0, [], []
    for step in range(max_steps):
        block[row] = obs
        with np.errstate(all="ignore"):
            action = np.clip(policy(block)[row], -1.0, 1.0)
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
        played = [[play(env, p, e, s, 60)[0] for e, s in enumerate(seeds)] for p in policies]
    expected = np.array(played)
    for k, name in enumerate(("returns", "lengths", "fallen", "bad")):
        np.testing.assert_array_equal(getattr(results, name), expected[:, :, k], err_msg=name)
    assert results.fallen.any()
    assert not results.fallen.all()
    assert (results.task, results.seeds, results.max_steps) == ("Walker2d-v4", tuple(seeds), 60)


def test_results_do_not_depend_on_threads_nor_on_other_work():
    """13 episodes leave blocks of 8 and of 16 rows incomplete; 2 and 3 threads cut within blocks."""
    policies = [make_policy(1), make_policy(2, scale=2.0), make_policy(3, width=512), make_policy(1, scale=0.3)]
    assert {block_rows(p) for p in policies} == {8, 16}
    seeds = range(13)
    whole = evaluate(policies, WALKER, seeds, max_steps=50, threads=1)
    for threads in (2, 3, 60):
        assert_same(evaluate(policies, WALKER, seeds, max_steps=50, threads=threads), whole)
    for i, policy in enumerate(policies):
        assert_same(evaluate([policy], WALKER, seeds, max_steps=50), part(whole, np.s_[i : i + 1]))
    assert_same(evaluate(policies, WALKER, seeds[:3], max_steps=50), part(whole, np.s_[:, :3]))
    assert_same(evaluate(policies[:2], WALKER, seeds[8:], max_steps=50), part(whole, np.s_[:2, 8:]))


def test_a_row_of_a_block_depends_on_nothing_but_its_own_observation():
    rng = np.random.default_rng(0)
    with threadpool_limits(1):
        for policy in (make_policy(1), make_policy(2, width=256), make_policy(3, width=512)):
            block = rng.standard_normal((block_rows(policy), 17))
            alone = np.zeros_like(block)
            alone[5] = block[5]
            np.testing.assert_array_equal(policy(alone)[5], policy(block)[5])


@pytest.mark.parametrize(
    ("policies", "episodes", "threads"), [(1, 20, 2), (3, 13, 2), (5, 7, 4), (1, 1, 8), (40, 10, 3)]
)
def test_every_episode_is_shared_out_once(policies, episodes, threads):
    shares = rollout._share_out([8, 16] * policies, episodes, threads)
    sizes = [sum(u.last - u.first for u in share) for share in shares]
    assert max(sizes) - min(sizes) <= 1
    assert len(shares) == min(threads, 2 * policies * episodes)
    units = [u for share in shares for u in share]
    count = Counter((u.policy, e) for u in units for e in range(u.first, u.last))
    assert count == Counter((p, e) for p in range(2 * policies) for e in range(episodes))
    assert all(u.base % u.rows == 0 and u.base <= u.first < u.last <= u.base + u.rows for u in units)


def test_a_diverging_policy_ends_its_own_episodes_only():
    healthy, diverging, env = make_policy(1), make_diverging_policy(), make_env()
    seeds = range(6)
    results = evaluate([healthy, diverging], WALKER, seeds, max_steps=200, threads=2)
    with threadpool_limits(1):
        expected = np.array([play(env, diverging, e, s, 200)[0] for e, s in enumerate(seeds)])
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
        played = [play(env, policy, e, s, 40, np.random.default_rng([9, s])) for e, s in enumerate(seeds)]
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
    demos = collect(make_diverging_policy(), WALKER, range(3), max_steps=200)
    assert demos.results.bad.any()
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

    class Slow(MLPPolicy):
        def __call__(self, obs):
            calls.append(failed.wait(10) and time.sleep(0.01))
            return np.zeros((len(obs), 6), dtype=np.float32)

    def fail(finished, total):
        failed.set()
        raise RuntimeError("stop here")

    falling = make_policy(3, scale=2.0)
    slow = Slow(falling.weights, falling.biases)
    with pytest.raises(RuntimeError, match="stop here"):
        evaluate([falling, slow], WALKER, range(2), threads=2, progress=fail)
    assert len(calls) < 60


def test_queues_serve_their_own_thread_first_and_an_idle_one_next():
    units = [rollout._Unit(0, 8 * i, 8 * i, 8 * i + 8, 8) for i in range(7)]
    queues = rollout._Queues([units[:1], units[1:]])
    assert queues.take(0, held=0) is units[0]
    assert queues.take(0, held=1) is units[6]  # the other has more than it can hold at once
    assert queues.take(0, held=2) is units[5]
    assert queues.take(0, held=3) is None
    assert queues.take(0, held=0) is units[4]
    assert queues.take(1, held=3) is units[1]
    queues.close()
    assert queues.take(1, held=0) is None


def test_rows_without_a_running_episode_are_zero():
    blocks = []

    class Watched(MLPPolicy):
        def __call__(self, obs):
            blocks.append(obs.any(axis=1))
            return super().__call__(obs)

    policy = make_policy(2, scale=2.0)
    results = evaluate([Watched(policy.weights, policy.biases)], WALKER, range(5), threads=1)
    lengths = np.append(results.lengths[0], [0, 0, 0])
    assert len(set(lengths)) > 2
    np.testing.assert_array_equal(blocks, np.arange(lengths.max())[:, None] < lengths)
    assert results.max_steps == WALKER.time_limit


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
