"""Weights are rounded so that what is multiplied with them errs least."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.rounding import round_matrix

RNG = np.random.default_rng(0)
READ, GIVEN = 64, 24
WEIGHT = RNG.normal(size=(READ, GIVEN)).astype(np.float32)


def nearest(weight: np.ndarray, levels: int) -> np.ndarray:
    scale = np.abs(weight).max(0) / levels
    return np.rint(weight / scale) * scale


def activations(rows: int, *, common: float, seed: int = 1) -> np.ndarray:
    """Channels that vary together, as a transformer's do."""
    rng = np.random.default_rng(seed)
    shared = rng.normal(size=(rows, 4)) @ rng.normal(size=(4, READ))
    return (common * shared + rng.normal(size=(rows, READ))).astype(np.float32)


def error(rounded: np.ndarray, read: np.ndarray) -> float:
    return float(((read @ (rounded - WEIGHT)) ** 2).mean())


@pytest.mark.parametrize("levels", [64, 127])
def test_products_err_less_than_with_the_nearest_whole_numbers(levels: int) -> None:
    typical, others = np.split(activations(1600, common=3.0), 2)
    rounded = round_matrix(WEIGHT, typical.T @ typical / len(typical), levels=levels)
    assert error(rounded, others) < 0.5 * error(nearest(WEIGHT, levels), others)


def test_channels_that_do_not_vary_together_are_rounded_to_the_nearest() -> None:
    rounded = round_matrix(WEIGHT, np.eye(READ, dtype=np.float32), levels=127)
    np.testing.assert_allclose(rounded, nearest(WEIGHT, 127), atol=1e-6)


@settings(deadline=None, max_examples=60)
@given(seed=st.integers(0, 10_000), levels=st.sampled_from([64, 127]), silent=st.booleans())
def test_every_column_stays_on_the_grid_of_its_largest_weight(seed: int, levels: int, silent: bool) -> None:
    rng = np.random.default_rng(seed)
    weight = rng.normal(size=(READ, GIVEN)).astype(np.float32)
    read = activations(100, common=float(rng.uniform(0, 5)), seed=seed)
    if silent:
        # A column of noughts, and a channel that is never read.
        weight[:, 3], read[:, 5] = 0, 0
    rounded = round_matrix(weight, read.T @ read / len(read), levels=levels)
    largest = np.abs(weight).max(0)
    np.testing.assert_allclose(np.abs(rounded).max(0), largest, rtol=1e-5)
    whole = rounded / np.where(largest > 0, largest, 1) * levels
    assert np.isfinite(rounded).all()
    np.testing.assert_allclose(whole, np.rint(whole), atol=2e-3)
