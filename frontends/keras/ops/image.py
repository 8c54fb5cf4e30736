"""The namespace ``keras.ops.image``; see https://keras.io/api/ops/image/."""

from graphc.keras.ops.colors import hsv_to_rgb, rgb_to_grayscale, rgb_to_hsv
from graphc.keras.ops.filters import extract_patches, extract_patches_3d, gaussian_blur, sobel_edges
from graphc.keras.ops.quality import ssim
from graphc.keras.ops.resizing import crop_images, pad_images, resize, scale_and_translate
from graphc.keras.ops.sampling import (
    affine_transform,
    elastic_transform,
    map_coordinates,
    perspective_transform,
)

__all__ = [
    "affine_transform",
    "crop_images",
    "elastic_transform",
    "extract_patches",
    "extract_patches_3d",
    "gaussian_blur",
    "hsv_to_rgb",
    "map_coordinates",
    "pad_images",
    "perspective_transform",
    "resize",
    "rgb_to_grayscale",
    "rgb_to_hsv",
    "scale_and_translate",
    "sobel_edges",
    "ssim",
]
