"""Thirty rounds of tests/faults/soak.py: kills at random times and at every named fault point, a database that stops, a full
disk, cut connections. `make soak ROUNDS=1000` for as long as you like."""
import os
import random

import soak


def test_thirty_rounds_of_faults_lose_nothing_double_nothing_and_leave_nothing_stuck():
    seed = int(os.environ.get("SEED", random.randrange(1 << 30)))
    rounds = int(os.environ.get("ROUNDS", 30))
    print(f"SEED={seed}   (again: tests/faults/soak.py --rounds {rounds} --seed {seed})")
    summary, wrong = soak.run(rounds, seed)
    print(summary)
    assert not wrong
    assert summary["rounds"] == rounds
