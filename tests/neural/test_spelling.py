"""Schedules and averages as words: read back as written, and refused with what is allowed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

import gvatheory as gva
from neural.spelling import parse_average, parse_schedule, spell_average, spell_schedule

COUNTS = st.integers(1, 10**6)
SIZES = st.floats(1e-12, 1e3)
SHARES = st.floats(1e-9, 1.0)
SCHEDULES = st.one_of(
    st.builds(gva.Constant, SIZES),
    st.builds(gva.PowerDecay, SIZES, SIZES, SIZES),
    st.builds(gva.InverseTime, SIZES, SIZES),
    st.builds(gva.Exponential, SIZES, SHARES, SIZES, SIZES),
    st.builds(gva.Linear, SIZES, COUNTS, SIZES),
    st.builds(gva.Cosine, SIZES, COUNTS, SIZES),
    st.builds(
        lambda size, up, flat, down, power: gva.WarmupStableDecay(size, up + flat + down, up, down, power),
        SIZES,
        COUNTS,
        COUNTS,
        COUNTS,
        SIZES,
    ),
)
AVERAGES = st.one_of(
    st.just(gva.LastIterate()),
    st.builds(gva.EMA, SHARES, COUNTS),
    st.builds(gva.BiasCorrectedEMA, SHARES),
    st.builds(gva.PowerEMA, SIZES, COUNTS, SHARES),
    st.builds(gva.PowerProfile, SIZES),
    st.builds(gva.Polyak, COUNTS),
    st.builds(gva.Tail, SHARES),
)


@given(SCHEDULES, st.lists(st.tuples(st.booleans(), COUNTS, SHARES), max_size=3), COUNTS)
def test_schedules_are_read_back_as_written(schedule, wrappers, steps) -> None:
    for warmed, count, number in wrappers:
        schedule = gva.Warmup(schedule, count, number) if warmed else gva.Scaled(schedule, number)
    assert parse_schedule(spell_schedule(schedule), steps) == schedule


@given(AVERAGES, st.none() | COUNTS, COUNTS)
def test_averages_are_read_back_as_written(average, k, steps) -> None:
    average = average if k is None else gva.EveryK(average, k)
    assert parse_average(spell_average(average), steps) == average


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("constant:4e-3", gva.Constant(4e-3)),
        ("cosine:4e-3", gva.Cosine(4e-3, 2000)),
        ("linear:4e-3,final=1e-4,steps=50", gva.Linear(4e-3, 50, 1e-4)),
        ("wsd:4e-3,warmup=100,decay=20%", gva.WarmupStableDecay(4e-3, 2000, 100, 400)),
        ("power:1,1/2", gva.PowerDecay(1.0, 0.5)),
        ("cosine:4e-3/warmup:5%/scaled:2", gva.Scaled(gva.Warmup(gva.Cosine(4e-3, 2000), 100), 2.0)),
    ],
)
def test_schedules_mean_what_they_say(text, meant) -> None:
    assert parse_schedule(text, 2000) == meant


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("ema:0.001", gva.EMA(0.001)),
        ("power:2/3", gva.PowerEMA(2 / 3)),
        ("power:2/3,floor=1e-4,burn_in=25%", gva.PowerEMA(2 / 3, 500, 1e-4)),
        ("tail:0.2", gva.Tail(0.2)),
        ("polyak", gva.Polyak()),
        ("polyak/every:10", gva.EveryK(gva.Polyak(), 10)),
    ],
)
def test_averages_mean_what_they_say(text, meant) -> None:
    assert parse_average(text, 2000) == meant


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("emma:0.1", r"'emma' is unknown, must be one of \['corrected', 'ema', 'last', 'polyak', 'power'"),
        ("", "'' is unknown"),
        ("ema", r"ema needs \['gamma'\], it takes \['gamma', 'burn_in'\]"),
        ("ema:0.1,gamma=0.2", r"ema takes each of \['gamma', 'burn_in'\] once, got 'gamma=0.2'"),
        ("tail:0.2,3", r"tail takes each of \['fraction'\] once, got '3'"),
        ("ema:fast", "gamma must be a number or a fraction, got 'fast'"),
        ("ema:1/0", "gamma must be a number or a fraction, got '1/0'"),
        ("polyak:1.5", "burn_in must be an integer or a percentage of the run, got '1.5'"),
        ("ema:2", r"average 'ema:2': gamma must be a number in \[0, 1\], got 2.0"),
        ("ema:0.1/warmup:3", r"'warmup' is unknown, must be one of \['every'\]"),
    ],
)
def test_bad_words_are_refused_with_what_is_allowed(text, message) -> None:
    with pytest.raises(ValueError, match=message):
        parse_average(text, 100)


def test_what_has_no_word_is_named() -> None:
    with pytest.raises(ValueError, match="has no spelling, must be made of"):
        spell_schedule(gva.Piecewise((3,), (0.1, 0.2)))
    with pytest.raises(ValueError, match="steps must be an integer at least 1, got 0"):
        parse_schedule("constant:1", 0)
