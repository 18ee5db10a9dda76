"""Elementwise chains that a device runs as one kernel, and NumPy line by line.

A pass over memory is a kernel, and on a device each launch costs more than a small array does. So
a chain of lines that is run again and again states itself twice, side by side: as NumPy's lines,
and as one expression of C. Which is run depends on the arrays.

Called by ops, losses and `minihf.cg`.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from typing import Any

import numpy as np

from minihf.backend import array_module

__all__ = ["CHOOSE", "Fused", "fused"]

CHOOSE = "#define choose(condition, yes, no) ((condition) ? (yes) : (no))"
"""What an expression has beside C's arithmetic and its functions of real numbers."""


class Fused:
    """A chain of elementwise lines that a device runs as one kernel. Made by `fused`.

    Attributes
    ----------
    function : callable
        The NumPy lines.
    expression : str
        The same in C.
    inputs, outputs : list of str
        The parameters that the expression reads, and the names that it assigns.
    """

    def __init__(self, function: Callable[..., Any], expression: str) -> None:
        self.function, self.expression = function, expression
        parameters = list(inspect.signature(function).parameters)
        words = set(re.findall(r"[A-Za-z_]\w*", expression))
        self.outputs = re.findall(r"(\w+) = ", expression)
        if not self.outputs:
            raise ValueError(
                f"fused: {expression!r} assigns nothing, expected 'name = expression; ...'"
            )
        self.inputs = [name for name in parameters if name in words - set(self.outputs)]
        given = [name for name in self.outputs if name in parameters]
        if given not in ([], self.outputs):
            raise ValueError(f"fused: all outputs are parameters, or none is: {expression}")
        self._taken = [parameters.index(name) for name in (*self.inputs, *given)]
        self._kernels: dict[str, Any] = {}

    def __call__(self, *arguments: Any) -> Any:
        """Compute, by the function or by the kernel; arguments are positional."""
        if type(arguments[0]) is np.ndarray:  # most of all calls, and no time to lose
            return self.function(*arguments)
        xp = array_module(*arguments)
        if not hasattr(xp, "ElementwiseKernel"):
            return self.function(*arguments)
        taken = [arguments[i] for i in self._taken]
        dtypes = {x.dtype for x in taken if hasattr(x, "dtype")}
        if len(dtypes) > 1 or dtypes.pop().kind != "f":
            return self.function(*arguments)
        if xp.__name__ not in self._kernels:
            self._kernels[xp.__name__] = self._kernel(xp)
        return self._kernels[xp.__name__](*taken)

    def _kernel(self, xp: Any) -> Any:
        """Return the kernel; the array library compiles it at its first call, for each dtype."""
        typed = (", ".join(f"T {x}" for x in names) for names in (self.inputs, self.outputs))
        name = re.sub(r"\W", "", self.function.__name__)
        return xp.ElementwiseKernel(*typed, self.expression, f"minihf_{name}", preamble=CHOOSE)


def fused(numpy_function: Callable[..., Any], cuda_expression: str) -> Fused:
    """Let a device run a chain of elementwise lines as one kernel, where NumPy runs the lines.

    Parameters
    ----------
    numpy_function : callable of arrays and numbers
        It serves NumPy, and on a device whatever is not of one real floating dtype, complex
        numbers for instance.
    cuda_expression : str
        The same in C, for one entry: assignments, separated by ``;``, of arithmetic and of C's
        functions of real numbers, and ``choose(condition, yes, no)``. It speaks of the function's
        parameters by their names. Those that it assigns are arrays to be written into (it may also
        read what is there); a name that is no parameter is a new array, which is returned.
        Parameters that it does not speak of are NumPy's workspace.

    Returns
    -------
    Fused
        To be called like the function, with positional arguments.

    Raises
    ------
    ValueError
        If some of the names that are assigned are parameters and some are not, or none is assigned.

    Notes
    -----
    On CuPy it is a `cupy.ElementwiseKernel`, made at the first call and compiled once for each
    dtype. The stand-in (`minihf.testing.strict`) evaluates the expression, too, not the function.

    Examples
    --------
    >>> import numpy as np
    >>> squared_distance = fused(lambda x, y: (x - y) ** 2, "d = (x - y) * (x - y)")
    >>> squared_distance(np.array([1.0, 2.0]), 4.0)
    array([9., 4.])
    """
    return Fused(numpy_function, cuda_expression)
