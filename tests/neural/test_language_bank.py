"""The bank in torch against the averages' own definition, update by update."""

import numpy as np
import pytest

pytest.importorskip("torch")

import torch

import gvatheory as gva
from neural.averages import rate_table
from neural.language.bank import TorchBank

STEPS, SIZE = 75, 5
BANK = {
    "last": gva.LastIterate(),
    "EMA": gva.EMA(0.1),
    "slow": gva.EMA(1e-6),
    "power": gva.PowerEMA(2 / 3),
    "late": gva.PowerEMA(0.8, burn_in=40),
    "Polyak": gva.Polyak(),
    "tail": gva.Tail(0.2),
}


def test_averages_are_those_of_their_kernels_at_every_update() -> None:
    iterates = np.random.default_rng(0).normal(size=(STEPS + 1, SIZE)).astype(np.float32)
    bank = TorchBank(rate_table(BANK, STEPS), torch.from_numpy(iterates[0]))
    assert bank.block < STEPS // 2
    for t in range(1, STEPS + 1):
        bank.add(torch.from_numpy(iterates[t]))
        kept = bank.read().numpy()
        for row, (name, average) in zip(kept, BANK.items(), strict=True):
            if name != "tail" or t == STEPS:
                expected = average.kernel(t) @ iterates[: t + 1].astype(np.float64)
                np.testing.assert_allclose(row, expected, atol=2e-6, err_msg=f"{name} at {t}")
        if t == 61:
            assert np.array_equal(kept[0], iterates[61])  # a rate of one copies the iterate, to the bit
    assert np.array_equal(bank.read([3, 1]).numpy(), bank.read().numpy()[[3, 1]])


def test_reading_changes_nothing() -> None:
    iterates = torch.randn((40, SIZE), generator=torch.Generator().manual_seed(0))
    read, unread = (TorchBank(rate_table(BANK, STEPS), iterates[0]) for _ in range(2))
    for row in iterates[1:]:
        read.add(row)
        unread.add(row)
        read.read()
    assert torch.equal(read.read(), unread.read())


def test_a_bank_may_be_empty() -> None:
    bank = TorchBank(rate_table({}, 3), torch.zeros(SIZE))
    bank.add(torch.ones(SIZE))
    assert bank.read().shape == (0, SIZE)
    assert bank.t == 1
