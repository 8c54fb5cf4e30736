"""keras.ops.image against Keras on JAX."""

import numpy as np
import pytest

from graphc.errors import ShapeError
from graphc.keras import ops
from graphc.keras.random import SeedGenerator
from tests.keras.comparing import check
from tests.keras.computing import assert_same, at_once, gradients, traced

RNG = np.random.default_rng(0)


def floats(*shape):
    return RNG.normal(size=shape).astype("float32")


LAST, FIRST = {"data_format": "channels_last"}, {"data_format": "channels_first"}
IMAGES = RNG.random((2, 7, 6, 3)).astype("float32")
IMAGE = IMAGES[0]
BYTES = RNG.integers(0, 255, (2, 7, 6, 3)).astype("uint8")
PLANES = np.ascontiguousarray(IMAGES.transpose(0, 3, 1, 2))
GRAYS = np.array([[[0.5, 0.5, 0.5], [0, 0, 0], [1, 0, 0], [0.2, 0.9, 0.9]]], "float32")
VOLUMES = floats(2, 4, 5, 6, 2)
#: The unmoved place of every element, moved by less than half an element and beyond the edges.
PLACES = (np.indices((7, 6)) * 1.5 - 2.3 + 0.4 * RNG.random((2, 7, 6))).astype("float32")
TURN = np.array([0.9, -0.3, 1.2, 0.4, 1.1, -2.1, 0.0, 0.0], "float32")
TURNS = np.stack([TURN, np.array([1.3, 0, -0.7, 0, 0.6, 0.2, 0, 0], "float32")])
CORNERS = np.array([[0, 0], [0, 5], [6, 0], [5, 6]], "float32")
MOVED = CORNERS + floats(4, 2) / 2

INTERPOLATIONS = ("nearest", "bilinear", "bicubic", "lanczos3", "lanczos5")
SIZES = ((7, 6), (14, 5), (3, 13), (1, 1))
FILL_MODES = ("constant", "nearest", "wrap", "mirror", "reflect")

CASES = [
    *[
        ("resize", (IMAGES, size), {"interpolation": name, "antialias": smooth})
        for name in INTERPOLATIONS
        for size in SIZES
        for smooth in (False, True)
    ],
    ("resize", (IMAGE, (4, 9)), {}),
    ("resize", (PLANES, (4, 9)), FIRST),
    ("resize", (BYTES, (4, 9)), {"interpolation": "nearest"}),
    ("resize", (BYTES, (4, 9)), {}),
    ("resize", (BYTES, (9, 5)), {"interpolation": "bicubic"}),
    ("resize", (BYTES.astype("int32"), (9, 5)), {"interpolation": "lanczos3"}),
    ("resize", (IMAGES, (4, 9)), {"crop_to_aspect_ratio": True}),
    ("resize", (IMAGES, (9, 4)), {"crop_to_aspect_ratio": True, "interpolation": "bicubic"}),
    ("resize", (IMAGES, (4, 9)), {"pad_to_aspect_ratio": True, "fill_value": 2.0}),
    ("resize", (PLANES, (9, 4)), {"pad_to_aspect_ratio": True, **FIRST}),
    ("resize", (IMAGE, (12, 5)), {"pad_to_aspect_ratio": True}),
    *[
        (
            "scale_and_translate",
            (IMAGES, (2, 9, 5, 3), np.array(scale, "float32"), np.array(move, "float32"), (1, 2)),
            {"method": method, "antialias": smooth},
        )
        for method in ("linear", "cubic", "lanczos3")
        for scale, move, smooth in (([1.5, 0.5], [0.3, 1.2], True), ([0.7, 1.9], [-1, 0.53], False))
    ],
    *[
        ("affine_transform", (IMAGES, TURNS), {"interpolation": name, "fill_mode": mode})
        for name in ("nearest", "bilinear")
        for mode in FILL_MODES
    ],
    ("affine_transform", (IMAGE, TURN), {"fill_value": 0.5}),
    ("affine_transform", (PLANES, TURNS), FIRST),
    *[
        ("map_coordinates", (IMAGE[:, :, 0], PLACES, order), {"fill_mode": mode})
        for order in (0, 1)
        for mode in FILL_MODES
    ],
    ("map_coordinates", (BYTES[0, :, :, 0], PLACES, 1), {"fill_value": 7}),
    ("map_coordinates", (floats(5), np.array([[-0.5, 0.5, 1.5, 2.5, 4.5]], "float32"), 0), {}),
    ("map_coordinates", (floats(1), np.array([[-1.2, 0.0, 3.7]], "float32"), 1),
     {"fill_mode": "reflect"}),
    ("map_coordinates", (VOLUMES[0, ..., 0], floats(3, 11) * 2 + 2, 1), {}),
    ("perspective_transform", (IMAGES, np.stack([CORNERS] * 2), np.stack([MOVED, MOVED + 0.5])),
     {}),
    ("perspective_transform", (IMAGE, CORNERS, MOVED),
     {"interpolation": "nearest", "fill_value": 2}),
    ("perspective_transform", (PLANES, np.stack([CORNERS] * 2), np.stack([MOVED] * 2)), FIRST),
    ("gaussian_blur", (IMAGES,), LAST),
    ("gaussian_blur", (IMAGES, (5, 3), (0.7, 2.0)), LAST),
    ("gaussian_blur", (IMAGE, (3, 3), (1.0, 0.5)), LAST),
    ("gaussian_blur", (PLANES,), FIRST),
    ("gaussian_blur", (IMAGES, (4, 2)), LAST),
    ("sobel_edges", (IMAGES,), {}),
    ("sobel_edges", (PLANES,), FIRST),
    ("rgb_to_grayscale", (IMAGES,), {}),
    ("rgb_to_grayscale", (PLANES[0],), FIRST),
    ("rgb_to_grayscale", (IMAGES[..., :1],), {}),
    ("rgb_to_hsv", (IMAGES,), {}),
    ("rgb_to_hsv", (PLANES,), FIRST),
    ("hsv_to_rgb", (IMAGES,), {}),
    ("hsv_to_rgb", (PLANES[0],), FIRST),
    ("ssim", (floats(2, 13, 12, 3), floats(2, 13, 12, 3)), {}),
    ("ssim", (IMAGE, IMAGE * 0.9 + 0.02), {"filter_size": 3, "filter_sigma": 1.0, "max_val": 2.0}),
    ("ssim", (PLANES, PLANES[::-1].copy()), {"filter_size": 5, **FIRST}),
    ("extract_patches", (IMAGES, 3), {}),
    ("extract_patches", (IMAGES, (3, 2)), {"strides": (1, 2), "padding": "same"}),
    ("extract_patches", (IMAGES, 2), {"strides": 1, "dilation_rate": 2}),
    ("extract_patches", (IMAGE, (2, 3)), {}),
    ("extract_patches", (PLANES, 2), FIRST),
    ("extract_patches_3d", (VOLUMES, 2), {}),
    ("extract_patches_3d", (VOLUMES, (2, 3, 2)), {"strides": (1, 2, 2), "padding": "same"}),
    ("extract_patches", (VOLUMES[0], (2, 1, 3)), {}),
    ("pad_images", (IMAGES, 1, 2), {"target_height": 11, "target_width": 12}),
    ("pad_images", (IMAGES, 1, 2, 3, 4), {}),
    ("pad_images", (PLANES, None, 2, 0, 1), {"target_height": 8, **FIRST}),
    ("crop_images", (IMAGES, 1, 2), {"target_height": 3, "target_width": 4}),
    ("crop_images", (IMAGE, 1, 2, 0, 1), {}),
    ("crop_images", (PLANES, None, None, 1, 2), {"target_height": 4, "target_width": 2, **FIRST}),
]  # fmt: skip


@pytest.mark.parametrize("name, args, kwargs", CASES)
def test_cases(real_keras, name, args, kwargs):
    arrays = [x for x in args if isinstance(x, np.ndarray)]
    smooth = [i for i, x in enumerate(arrays) if x.dtype == np.float32]
    # A half may be rounded up or down.
    atol = 2e-5 if args[0].dtype.kind == "f" or "nearest" in kwargs.values() else 1.0
    # Where elements are picked, only they have a gradient; Keras mixes channels by c0 and c1.
    if name in ("affine_transform", "perspective_transform") or (
        name == "map_coordinates" and not args[2]
    ):
        smooth = smooth[:1]
    batch = args[0].ndim == 4 and "data_format" not in kwargs and not name.startswith("extract")
    check(
        real_keras, f"image.{name}", args, kwargs,
        rtol=1e-4, atol=atol, batch=batch and len(arrays) == 1, gradient=smooth,
    )  # fmt: skip


def test_gradient_of_a_transform(real_keras):
    jax = pytest.importorskip("jax")
    weights = floats(*IMAGES.shape)
    theirs = jax.grad(lambda t: (real_keras.ops.image.affine_transform(IMAGES, t) * weights).sum())(
        TURNS
    )
    (mine,) = gradients(lambda t: ops.image.affine_transform(IMAGES, t) * weights, TURNS)
    np.testing.assert_allclose(mine[:, :6], np.asarray(theirs)[:, :6], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("dtype", ["float16", "uint8", "int32"])
def test_gray_of_other_dtypes(real_keras, dtype):
    images = (IMAGES * 200).astype(dtype)
    theirs = np.asarray(real_keras.ops.image.rgb_to_grayscale(images))
    (mine,) = at_once(ops.image.rgb_to_grayscale, images)
    assert mine.dtype == theirs.dtype
    np.testing.assert_allclose(mine.astype("float64"), theirs.astype("float64"), rtol=1e-3, atol=1)


def test_gray_pixels_have_no_hue(real_keras):
    images = GRAYS[None]
    check(real_keras, "image.rgb_to_hsv", (images,), {}, batch=True)
    back = lambda x: ops.image.hsv_to_rgb(ops.image.rgb_to_hsv(x))  # noqa: E731
    assert_same(at_once(back, images), [images])


def test_native_code_agrees():
    function = lambda x, t: ops.image.affine_transform(x, t, fill_mode="reflect")  # noqa: E731
    assert_same(traced(function, IMAGES, TURNS, backend="cpu"), at_once(function, IMAGES, TURNS))
    resize = lambda x: ops.image.resize(x, (5, 9), "bicubic", antialias=True)  # noqa: E731
    assert_same(traced(resize, IMAGES, batch=True, backend="cpu"), at_once(resize, IMAGES))


def test_an_image_of_unknown_size_can_be_resized():
    turned = lambda x: ops.image.resize(ops.transpose(x, (1, 2, 0, 3)), (5, 4))  # noqa: E731
    images = np.ascontiguousarray(IMAGES.transpose(1, 0, 2, 3))[:, :1]
    assert_same(traced(turned, images, batch=True), at_once(turned, images), atol=1e-5)


def test_elastic_transform():
    still = ops.image.elastic_transform(IMAGES, alpha=0.0, seed=1)
    np.testing.assert_allclose(still, IMAGES, atol=1e-6)
    first, same = (np.asarray(ops.image.elastic_transform(IMAGES, 3.0, 2.0, seed=1)) for _ in "ab")
    np.testing.assert_array_equal(first, same)
    other = np.asarray(ops.image.elastic_transform(IMAGES, 3.0, 2.0, seed=2))
    assert first.shape == IMAGES.shape and np.abs(first - other).max() > 0.05
    assert first.min() >= IMAGES.min() and first.max() <= IMAGES.max()
    # Each image is moved in its own way; all channels of one together.
    twice = np.stack([IMAGE[..., :1].repeat(3, -1)] * 2)
    moved = np.asarray(ops.image.elastic_transform(twice, 3.0, 2.0, seed=3))
    assert np.abs(moved[0] - moved[1]).max() > 0.05
    np.testing.assert_array_equal(moved[..., 0], moved[..., 2])
    planes = np.asarray(ops.image.elastic_transform(PLANES, 3.0, 2.0, seed=1, **FIRST))
    np.testing.assert_allclose(planes, first.transpose(0, 3, 1, 2), atol=1e-6)
    generator = SeedGenerator(1)
    drawn = np.asarray(ops.image.elastic_transform(IMAGES, 3.0, 2.0, seed=generator))
    np.testing.assert_array_equal(drawn, first)
    assert generator.state.numpy()[1] == 1


def test_gradients_with_respect_to_coordinates():
    """The slope of a plane is the same everywhere."""
    plane = (2.0 * np.arange(7)[:, None] - 3.0 * np.arange(6)).astype("float32")
    inside = (RNG.random((2, 9)) * 4.5 + 0.2).astype("float32")
    (slope,) = gradients(lambda c: ops.image.map_coordinates(plane, c, 1), inside)
    np.testing.assert_allclose(slope, np.stack([np.full(9, 2.0), np.full(9, -3.0)]), rtol=1e-5)


def test_everything_of_keras_is_there(real_keras):
    theirs = [name for name in dir(real_keras.ops.image) if not name.startswith("_")]
    assert sorted(theirs) == ops.image.__all__


@pytest.mark.parametrize(
    "call, error, text",
    [
        (lambda i: i.resize(IMAGES, (2, 2), "cubic"), ValueError, "argument `interpolation`"),
        (lambda i: i.resize(IMAGES, 2), ValueError, "tuple of two elements"),
        (lambda i: i.resize(IMAGES[0, 0], (2, 2)), ValueError, "expected rank 3"),
        (
            lambda i: i.resize(IMAGES, (2, 2), crop_to_aspect_ratio=True, pad_to_aspect_ratio=True),
            ValueError,
            "Only one of",
        ),
        (lambda i: i.resize(IMAGES, (2, 2), data_format="rows"), ValueError, "`data_format`"),
        (
            lambda i: i.scale_and_translate(IMAGES, (2, 2, 2, 3), [1.0], [0.0], (1,), "linear"),
            ShapeError,
            r"only the axes \(1,\)",
        ),
        (lambda i: i.pad_images(IMAGES, 1, 1), ValueError, "exactly two of top_padding"),
        (lambda i: i.pad_images(IMAGES, -1, 1, 1, 1), ValueError, "top_padding must be >= 0"),
        (
            lambda i: i.crop_images(IMAGES, 1, 1, target_height=8, target_width=1),
            ValueError,
            "bottom_cropping must be >= 0",
        ),
        (lambda i: i.crop_images(IMAGES, 5, 0, 5, 0), ValueError, "target_height must be >= 0"),
        (lambda i: i.rgb_to_hsv(BYTES), ValueError, "expected float dtype"),
        (lambda i: i.rgb_to_hsv(IMAGES[..., :2]), ValueError, "Invalid channel size"),
        (lambda i: i.rgb_to_grayscale(IMAGES[..., :2]), ValueError, "Invalid channel size"),
        (lambda i: i.map_coordinates(IMAGE, PLACES, 1), ValueError, "First dim of `coordinates`"),
        (lambda i: i.map_coordinates(IMAGE, PLACES, 3), ValueError, "First dim|argument `order`"),
        (lambda i: i.affine_transform(IMAGE, TURN[:6]), ShapeError, "8 numbers"),
        (
            lambda i: i.affine_transform(IMAGE, TURN, fill_mode="x"),
            ValueError,
            "argument `fill_mode`",
        ),
        (
            lambda i: i.perspective_transform(IMAGE, CORNERS[:3], CORNERS),
            ValueError,
            "Invalid start_points shape",
        ),
        (lambda i: i.sobel_edges(IMAGE), ShapeError, "batch of images"),
        (lambda i: i.extract_patches(IMAGES, (3, 2, 2)), ShapeError, "larger than an axis of 2"),
        (lambda i: i.extract_patches(IMAGES, 9), ShapeError, "larger than an axis of 7"),
        (lambda i: i.extract_patches(IMAGES[0, 0], 2), ShapeError, "needs 3 axes, or 4"),
    ],
)
def test_errors(call, error, text):
    with pytest.raises(error, match=text):
        call(ops.image)
