"""What `scripts/fuzz` tries for minutes, for moments: its seeds are served, damaged ones served or refused.

In `found` is what a fuzzer once broke, to be served or refused ever since.
"""

from pathlib import Path

import numpy as np
import pytest
from test_engine_fuzz import damage

from fuzz.targets import TARGETS, Target

FOUND = Path(__file__).parents[1] / "fuzz" / "found"
ROUNDS = 300


@pytest.fixture(scope="module", params=TARGETS)
def target(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Target:
    made: Target = TARGETS[request.param](tmp_path_factory.mktemp(request.param))
    return made


def test_seeds_are_served(target: Target) -> None:
    assert all(target(seed) for seed in target.seeds())


def test_damaged_ones_are_served_or_refused(target: Target) -> None:
    random, seeds = np.random.default_rng(0), target.seeds()
    served = [target(damage(seed, len(seed), random)) for seed in seeds for _ in range(ROUNDS // len(seeds))]
    assert 0 < sum(served) < len(served)


@pytest.mark.parametrize("file", sorted(FOUND.glob("*")), ids=lambda file: file.name)
def test_what_was_found_is_mended(file: Path, tmp_path: Path) -> None:
    TARGETS[file.name.partition("-")[0]](tmp_path)(file.read_bytes())
