"""Images from a user's npz file: read without unpickling, or refused in one line."""

import numpy as np
import pytest

from minihf.data import read_npz

SHAPES = {"x_train": (6, 3, 4, 5), "y_train": (6,), "x_test": (2, 3, 4, 5), "y_test": (2,)}


@pytest.fixture
def arrays():
    rng = np.random.default_rng(0)
    return {name: rng.integers(0, 10, shape).astype(np.uint8) for name, shape in SHAPES.items()}


@pytest.fixture
def write(tmp_path):
    def to_file(arrays):
        np.savez(tmp_path / "images.npz", **arrays)
        return tmp_path / "images.npz"

    return to_file


def test_images_keep_their_shape_and_become_numbers_from_zero_to_one(arrays, write):
    images = read_npz(write(arrays), "little")
    np.testing.assert_array_equal(images.x_train, arrays["x_train"] / np.float32(255))
    np.testing.assert_array_equal(images.y_test, arrays["y_test"])
    assert (images.name, images.image_shape, images.x_train.dtype) == ("little", (4, 5), np.float32)
    assert images.source == "images.npz: 6 training and 2 test images, as given"


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"y_test": None}, "it has no array y_test"),
        ({"x_train": np.zeros((6, 3, 4, 5))}, "x_train is float64"),
        ({"x_test": np.zeros((2, 60), np.uint8)}, "expected uint8 images"),
        ({"y_train": np.zeros(5, np.uint8)}, "and integer labels"),
        ({"y_train": np.array([{}] * 6)}, "is no npz file of images"),
    ],
)
def test_arrays_that_are_no_image_set_are_refused(arrays, write, change, expected):
    changed = {name: array for name, array in (arrays | change).items() if array is not None}
    with pytest.raises(ValueError, match=expected):
        read_npz(write(changed), "little")


def test_a_missing_a_torn_and_a_foreign_file_are_refused(arrays, write, tmp_path):
    with pytest.raises(ValueError, match=r"cannot read '.*none.npz': No such file"):
        read_npz(tmp_path / "none.npz", "little")
    path = write(arrays)
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(ValueError, match="is no npz file of images"):
        read_npz(path, "little")
    with path.open("wb") as stream:
        np.save(stream, np.zeros(3))
    with pytest.raises(ValueError, match="is no npz file of images"):
        read_npz(path, "little")
    path.write_text("not a file of arrays")
    with pytest.raises(ValueError, match="is no npz file of images"):
        read_npz(path, "little")
