"""Train, and be killed, again and again, until the run has come to its end.

``python killing.py FOLDER METHOD KILLS``: each attempt is a process of its own, forked from this
one, which has everything imported. SIGKILL finds it at a file operation or after a time, both
drawn. It prints how many were killed.
"""

import os
import signal
import sys
import time
from pathlib import Path

import numpy as np

import minihf as hf
from minihf.train import checkpoint

METHODS = {
    "sgd": hf.SGD(0.1, momentum=0.9),
    "adam": hf.Adam(0.01),
    "minihf": hf.HessianFree(),
    "zhang2017": hf.papers.zhang2017(lam=0.1, max_iters=4),
}
UPDATES = 12


def train(folder, method, resume=False):
    """Train a network with noise on batches, with a mean of its parameters; return the history."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((12, 3)).astype(np.float32)
    net = hf.Sequential(hf.Dense(3, 4), hf.Dropout(0.5, 4), hf.Tanh(), hf.Dense(4, 2))
    return hf.fit(
        net, hf.SquaredError(), METHODS[method], (x, np.tanh(x[:, :2])), updates=UPDATES,
        batch_size=5, averaging=0.5, looks=5, log=folder / "log.jsonl", checkpoint=folder,
        resume=resume, progress=False,
    )  # fmt: skip


def die_at(operation):
    """Let a file operation, by its number, be the last thing that this process does."""
    left = [operation]

    def watch(event, arguments):
        if event in ("open", "os.rename", "os.remove", "os.mkdir"):
            left[0] -= 1
            if left[0] < 0:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(watch)


def attempt(folder, method, operation=None, seconds=None):
    """Go on in a process of its own; return whether it was killed."""
    child = os.fork()
    if child == 0:
        if operation is not None:
            die_at(operation)
        train(folder, method, resume=True)
        os._exit(0)
    if seconds is not None:
        time.sleep(seconds)
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return True
    if status:
        raise SystemExit("an attempt failed")
    return False


def main(folder, method, kills):
    checkpoint.EVERY, checkpoint.SHARE = 0.0, float("inf")         # one after every update
    rng, killed, attempts = np.random.default_rng(len(method)), 0, 0
    while killed < kills:
        attempts += 1
        if attempts % 2:
            killed += attempt(folder, method, operation=int(rng.integers(0, 25)))
        else:
            killed += attempt(folder, method, seconds=rng.uniform(0.002, 0.03))
    if attempt(folder, method):
        raise SystemExit("killed by somebody else")
    print(killed)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
