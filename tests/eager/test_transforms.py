"""`grad` and its relatives, at once and compiled, against JAX."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from graphc.eager import GradientTape, Tensor, Variable, as_tensor
from graphc.eager.function import function
from graphc.eager.transforms import grad, hessian, jacobian, jvp, value_and_grad, vjp
from graphc.errors import DTypeError, ShapeError
from graphc.keras import ops, tree

pytestmark = pytest.mark.usefixtures("in_float64")


def array(*shape):
    size = int(np.prod(shape))
    return np.random.default_rng(size).normal(size=shape)


def pair(name):
    """The same function here and in JAX."""

    def both(k):
        return {
            "polynomial": lambda x: k.sum(x**3 - 2 * x),
            "network": lambda x: k.sum(k.tanh(x @ W) ** 2),
            "softmax": lambda x: -k.sum(k.log(k.exp(x) / k.sum(k.exp(x), -1, keepdims=True)) * x),
            "maximum": lambda x: k.max(x * k.sin(x)),
            "constant": lambda x: k.sum(k.cos(W)),
        }[name]

    return both(ops), both(jnp)


W = array(4, 3)
NAMES = ["polynomial", "network", "softmax", "maximum", "constant"]
X = array(2, 4)


def ways(f):
    """A function as it is, and compiled."""
    return (f, function(f))


def assert_same(found, expected, rtol=1e-9):
    found, expected = tree.flatten(found), jax.tree_util.tree_leaves(expected)
    assert len(found) == len(expected)
    for a, b in zip(found, expected, strict=True):
        assert isinstance(a, Tensor)
        np.testing.assert_allclose(np.asarray(a), np.asarray(b), rtol=rtol, atol=1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_grad(name):
    ours, theirs = pair(name)
    for f in (*ways(grad(ours)), grad(function(ours))):
        assert_same(f(X), jax.grad(theirs)(X))
    for f in ways(value_and_grad(ours)):
        assert_same(f(X), jax.value_and_grad(theirs)(X))


@pytest.mark.parametrize("name", NAMES)
def test_higher_orders(name):
    ours, theirs = pair(name)

    def second(library, f, gradient):
        return gradient(lambda x: library.sum(gradient(f)(x) * x))

    def third(library, f, gradient):
        return gradient(lambda x: library.sum(second(library, f, gradient)(x) * X))

    for f in ways(second(ops, ours, grad)):
        assert_same(f(X), second(jnp, theirs, jax.grad)(X))
    for f in ways(third(ops, ours, grad)):
        assert_same(f(X), third(jnp, theirs, jax.grad)(X), rtol=1e-8)


@pytest.mark.parametrize("name", NAMES)
def test_hessian_and_jacobian(name):
    ours, theirs = pair(name)
    for f in ways(hessian(ours)):
        assert_same(f(X), jax.hessian(theirs)(X))

    for f in ways(jacobian(lambda x: {"y": ops.tanh(x @ W), "z": x[0]})):
        expected = jax.jacobian(lambda x: {"y": jnp.tanh(x @ W), "z": x[0]})(X)
        assert_same(f(X), expected)


@pytest.mark.parametrize("name", NAMES)
def test_jvp_and_vjp(name):
    ours, theirs = pair(name)
    dx = array(2, 4)[::-1]
    for f in ways(lambda x, dx: jvp(ours, (x,), (dx,))):
        assert_same(f(X, dx), jax.jvp(theirs, (X,), (dx,)))

    def pulled(x, dy):
        y, pull_back = vjp(ours, x)
        return y, pull_back(dy), pull_back(dy * 2)

    y, pull_back = jax.vjp(theirs, X)
    expected = y, pull_back(jnp.asarray(2.0)), pull_back(jnp.asarray(4.0))
    for f in ways(pulled):
        assert_same(f(X, np.float64(2)), expected)


def test_structures():
    def make(k):
        def f(parameters, x, scale=1.0):
            hidden = k.tanh(x @ parameters["w"] + parameters["b"][0])
            return k.sum(hidden**2) * scale, {"hidden": hidden}

        return f

    parameters = {"w": array(4, 3), "b": [array(3), array(2)]}
    expected = jax.value_and_grad(make(jnp), has_aux=True)(parameters, X, scale=3.0)
    for f in ways(lambda p, x: value_and_grad(make(ops), has_aux=True)(p, x, scale=3.0)):
        found = f(parameters, X)
        assert_same(found, expected)
        assert list(found[1]) == ["w", "b"] and isinstance(found[1]["b"], list)
    gradients, aux = grad(make(ops), has_aux=True)(parameters, X)
    assert set(aux) == {"hidden"} and set(gradients) == {"w", "b"}
    expected = jax.grad(make(jnp), argnums=(1, 0), has_aux=True)(parameters, X)[0]
    assert_same(grad(make(ops), argnums=(1, 0), has_aux=True)(parameters, X)[0], expected)
    assert_same(grad(make(ops), argnums=-1, has_aux=True)(parameters, X)[0], expected[0])
    dx = jax.tree_util.tree_map(np.ones_like, parameters)
    ours = jvp(lambda p: make(ops)(p, X), (parameters,), (dx,))
    assert_same(ours, jax.jvp(lambda p: make(jnp)(p, X), (parameters,), (dx,)))


def test_only_the_argument_counts():
    """What a function closes over is a constant, also if it is the argument's own tensor."""
    for f in ways(lambda x: grad(lambda y: ops.sum(y * x))(x)):
        np.testing.assert_array_equal(f(X), X)
    for f in ways(lambda x: grad(lambda y: grad(lambda z: y * z * z)(y) * 1.0)(x)):
        # d/dy of 2 y z at z = y: the inner derivative sees y as a constant, the outer one both.
        assert float(f(np.float64(3))) == pytest.approx(12)


def test_what_the_derivative_does_not_depend_on():
    for f in ways(grad(lambda x, y: ops.sum(x), argnums=1)):
        np.testing.assert_array_equal(f(X, X * 2), np.zeros_like(X))
    for f in ways(lambda x: jvp(lambda x: (ops.cast(x, "int32"), as_tensor(1.5)), (x,), (x,))):
        (whole, constant), (dwhole, dconstant) = f(X)
        assert whole.dtype == dwhole.dtype == "int32" and not np.any(np.asarray(dwhole))
        assert (float(constant), float(dconstant)) == (1.5, 0)


def test_variables():
    w = Variable(W)
    for f in ways(lambda: grad(lambda w: ops.sum(w**2))(w)):
        np.testing.assert_allclose(f(), 2 * W)
    for f in ways(lambda: value_and_grad(lambda x: ops.sum(x @ w))(as_tensor(X))[1]):
        np.testing.assert_allclose(f(), np.broadcast_to(W.sum(1), X.shape))
    with GradientTape() as tape:  # the tape outside sees variables and what derivatives do
        y = grad(lambda x: ops.sum(ops.tanh(x @ w)))(as_tensor(X))
        total = ops.sum(y)
    expected = jax.grad(lambda w: jax.grad(lambda x: jnp.sum(jnp.tanh(x @ w)))(X).sum())(W)
    np.testing.assert_allclose(tape.gradient(total, w), expected, rtol=1e-9)


def test_python_numbers_and_control_flow():
    def f(x):
        return x * x if x > 1 else -x

    assert float(grad(f)(3.0)) == 6
    assert float(grad(f)(0.5)) == -1
    assert float(grad(f)(2)) == 4
    y, dy = jvp(f, (3.0,), (2.0,))
    assert (float(y), float(dy)) == (9, 12)


def test_errors():
    with pytest.raises(ShapeError, match=r"test_transforms.py:\d+: only a floating-point scalar"):
        grad(lambda x: x)(X)
    with pytest.raises(DTypeError, match=r"not by int64 \(argument 0\)"):
        grad(lambda x: ops.sum(x))(np.arange(3))
    with pytest.raises(ValueError, match="argnums says 1, but there are 1"):
        grad(lambda x: ops.sum(x), argnums=1)(X)
    with pytest.raises(ShapeError, match=r"jvp: the tangents need .* 1 tensors \(/0\); received 2"):
        jvp(ops.sum, (X,), (X, X))
    with pytest.raises(ShapeError, match="vjp: the cotangents need"):
        vjp(ops.sum, X)[1]([1.0, 2.0])


def test_functions_keep_their_names():
    def squared(x):
        """Its square."""
        return x * x

    assert grad(squared).__name__ == "squared" and grad(squared).__doc__ == "Its square."
