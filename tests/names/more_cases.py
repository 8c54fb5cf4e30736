"""More cases like those of `tests.names.cases`, with the same values."""

# ruff: noqa: E501 (each case is one line)

MORE_CASES = """
tf.math.lgamma([0.0, 0.3, 1.0, 2.5, 9.0, 170.0, -0.5, -3.7])
tf.math.lgamma(d)
tf.math.digamma([0.3, 1.0, 2.5, 9.0, 170.0, -0.5, -3.7])
tf.math.digamma(d)
tf.math.polygamma(1.0, tf.constant([0.3, 1.0, 2.5, 9.0, 170.0, -0.5]))
tf.math.polygamma(tf.constant(3.0, tf.float64), tf.abs(d))
tf.math.polygamma(0.0, p)
tf.math.zeta(tf.constant([1.5, 2.0, 7.0, 1.0]), tf.constant([0.2, 1.0, 30.0, 2.0]))
tf.math.zeta(tf.constant(2.0, tf.float64), tf.abs(d))
tf.math.lbeta([[1.0, 2.5], [0.3, 4.0]])
tf.math.lbeta(tf.abs(t))
tf.math.lbeta(tf.reshape(empty, (3, 0)))
tf.math.bessel_i0([0.0, 0.5, -3.0, 40.0])
"""
