"""Graphs nobody thought of: grown step by step, compared with an engine that knows no tape.

The naive engine runs the same program on plain NumPy arrays and differentiates it coordinate by
coordinate with the complex step.
"""

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

import minihf as hf
from minihf import ops
from minihf.testing import complex_step_jvp, jacobian, relative_error

EXACT = 1e-10  # the complex step is good to 1e-15; what cancels is small beside the whole
ROOM = 60  # entries of a value at most: graphs are to be odd, not large

SHAPES = {"a": (2, 3), "b": (3,), "c": (3, 3), "s": (), "idle": (2,)}
NUMPY = {
    "tanh": np.tanh,
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "softplus": lambda x: np.log(1 + np.exp(x)),
    "square": lambda x: x * x,
    "neg": lambda x: -x,
    "add": lambda x, y: x + y,
    "sub": lambda x, y: x - y,
    "mul": lambda x, y: x * y,
    "div": lambda x, y: x / y,
    "matmul": lambda x, y: x @ y,
    "sum": lambda x, axis: x.sum(axis),
    "mean": lambda x, axis: x.mean(axis),
    "reshape": lambda x, shape: x.reshape(shape),
    "transpose": lambda x: x.T,
    "getitem": lambda x, index: x[index],
    "concatenate": lambda x, y: np.concatenate([x, y]),
}
OURS = {name: getattr(ops, name) for name in NUMPY} | {
    "concatenate": lambda x, y: ops.concatenate([x, y])
}
INDICES = [0, -1, slice(None, None, -1), slice(1, None), None, ..., np.array([0, 0, -1])]

UNARY = ["tanh", "sigmoid", "softplus", "square", "neg", "transpose"]
BINARY = ["add", "sub", "mul", "div", "matmul", "concatenate"]

some = st.integers(0, 999)


class RandomGraphs(RuleBasedStateMachine):
    """A program is a list of (op, places of its operands, constants); values are never dropped."""

    @initialize(seed=st.integers(0, 2**32 - 1))
    def start(self, seed):
        rng = np.random.default_rng(seed)
        self.params = hf.Params.from_dict({k: rng.standard_normal(s) for k, s in SHAPES.items()})
        self.x = rng.standard_normal((2, 3))
        self.rng, self.program = rng, []
        self.values = [self.x, *(self.params[name] for name in SHAPES if name != "idle")]

    def run(self, functions, params, x):
        """Run the program, and join the results that none of its lines uses."""
        values, used = [x, *(params[name] for name in SHAPES if name != "idle")], set()
        for name, operands, constants in self.program:
            values.append(functions[name](*(values[i] for i in operands), *constants))
            used.update(operands)
        ends = [i for i in range(len(values)) if i not in used and values[i].size]
        column = values[ends[0]].reshape((-1, 1))
        for i in ends[1:]:
            column = functions["concatenate"](column, values[i].reshape((-1, 1)))
        return column.reshape((1, -1))

    def grow(self, name, *operands, constants=()):
        """Write a line, if NumPy can run it and the numbers stay small."""
        try:
            with np.errstate(all="ignore"):
                value = NUMPY[name](*(self.values[i] for i in operands), *constants)
        except (ValueError, IndexError):
            return
        if np.size(value) <= ROOM and np.all(np.abs(value) < 100):
            self.program.append((name, operands, constants))
            self.values.append(np.asarray(value))

    def pick(self, i):
        return i % len(self.values)

    @rule(name=st.sampled_from(UNARY), i=some)
    def one_operand(self, name, i):
        self.grow(name, self.pick(i))

    @rule(name=st.sampled_from(BINARY), i=some, j=some)
    def two_operands(self, name, i, j):
        i = self.pick(i)
        if name in ("matmul", "concatenate"):  # most pairs do not fit: choose among those that do
            fits = [k for k, v in enumerate(self.values) if _fits(name, self.values[i], v)]
            if not fits:
                return
            self.grow(name, i, fits[j % len(fits)])
        elif name != "div" or np.abs(self.values[self.pick(j)]).min(initial=1.0) > 0.1:
            self.grow(name, i, self.pick(j))

    @rule(name=st.sampled_from(["sum", "mean"]), i=some, axis=st.sampled_from([None, 0, -1]))
    def reduce(self, name, i, axis):
        self.grow(name, self.pick(i), constants=(axis,))

    @rule(i=some, n=st.integers(1, 3))
    def reshape(self, i, n):
        self.grow("reshape", self.pick(i), constants=((-1, n),))

    @rule(i=some, index=st.sampled_from(range(len(INDICES))))
    def cut(self, i, index):
        self.grow("getitem", self.pick(i), constants=(INDICES[index],))

    def teardown(self):
        if not hasattr(self, "program"):
            return
        theta, loss = self.params.vector, hf.SquaredError()
        lin = hf.linearize(lambda p, x: self.run(OURS, p, x), self.params, self.x)
        y = self.rng.standard_normal(lin.output.shape)
        v, u = self.rng.standard_normal(theta.size), self.rng.standard_normal(lin.output.shape)

        def naive(theta):
            return self.run(NUMPY, self.params.with_vector(theta), self.x)

        def naive_gradient(theta):
            at = hf.linearize(
                lambda p, x: self.run(OURS, p, x), self.params.with_vector(theta), self.x
            )
            return at.vjp(loss.grad(at.output, y))

        J = jacobian(naive, theta)
        assert relative_error(lin.output, naive(theta)) <= EXACT
        close(lin.jvp(v), J @ v, J, v)
        close(lin.vjp(u), J.T @ u[0], J, u)
        hvp = complex_step_jvp(naive_gradient, [theta], [v])
        H = jacobian(naive_gradient, theta)
        close(lin.hvp(v, loss, y), hvp, H, v)
        for block in hf.Partition.of(self.params, "param").values():
            alone = np.zeros_like(v)
            alone[block.index] = v[block.index]
            close(lin.jvp(v[block.index], block), J @ alone, J, v)
            close(lin.vjp(u, block), (J.T @ u[0])[block.index], J, u)
            close(lin.hvp(v[block.index], loss, y, block), (H @ alone)[block.index], H, v)


def close(found, expected, matrix, vector):
    """Compare a product on the scale of its matrix and vector."""
    scale = np.linalg.norm(matrix) * np.linalg.norm(vector)
    assert np.linalg.norm(np.ravel(found) - np.ravel(expected)) <= EXACT * scale


def _fits(name, x, y):
    if x.ndim == 0 or y.ndim == 0:
        return False
    if name == "concatenate":
        return x.shape[1:] == y.shape[1:]
    return x.shape[-1] == (y.shape[-2] if y.ndim > 1 else y.shape[0])


TestRandomGraphs = RandomGraphs.TestCase
TestRandomGraphs.settings = settings(stateful_step_count=15)
