"""The page in a real browser: it runs, it shows values where one points, and nothing leaves it."""

import re
import shutil
import subprocess
from html import unescape

import matplotlib.image
import numpy as np
import pytest

from minihf.experiments.portrait import write_portrait
from minihf.experiments.report import report

NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
PATIENCE = 60                         # seconds; a page takes about one
NOISE = re.compile(r"dbus|sandbox|vaapi|gcm|GPU|gpu|ALSA|viz_main", flags=re.ASCII)
POLICY = re.compile(r'<meta content="[^"]*" http-equiv="Content-Security-Policy">'
                    r'|<meta http-equiv="Content-Security-Policy" content="[^"]*">')  # fmt: skip

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def browser():
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        pytest.skip(f"no browser (none of {', '.join(NAMES)}); `make browser` may install one")
    return found


@pytest.fixture(scope="module")
def page(kept_runs, tmp_path_factory):
    out = tmp_path_factory.mktemp("page") / "report.html"
    report(kept_runs, out)
    return out


@pytest.fixture
def look(browser, tmp_path):
    """Open a page, without a network; return what the browser prints, and what its console says."""

    def open_page(page, *flags, width=1100):
        done = subprocess.run(
            [browser, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
             f"--user-data-dir={tmp_path / 'profile'}", "--disable-background-networking",
             "--host-resolver-rules=MAP * ~NOTFOUND", "--enable-logging=stderr",
             "--virtual-time-budget=3000", f"--window-size={width},1400", *flags, page.as_uri()],
            capture_output=True, text=True, timeout=PATIENCE, check=True,
        )  # fmt: skip
        return done.stdout, [line for line in done.stderr.splitlines() if "CONSOLE" in line]

    return open_page


def probed(page, script):
    """Write a copy that runs a script of ours, which the page itself forbids; it may `tell`."""
    source, n = POLICY.subn("", page.read_text())
    assert n == 1
    copy = page.with_name("probed.html")
    tell = "const tell = (text) => document.documentElement.setAttribute('data-told', text);"
    point = """const point = (svg, share) => {
      const box = svg.getBoundingClientRect();
      svg.dispatchEvent(new PointerEvent("pointermove", {
        clientX: box.left + share * box.width, clientY: box.top + 9 }));
    };"""
    copy.write_text(source.replace("</html>", f"<script>{tell}{point}{script}</script></html>"))
    return copy


def told(look, page, script, **options):
    dom, console = look(probed(page, script), "--dump-dom", **options)
    assert console == []
    return unescape(re.search(r'<html[^>]* data-told="([^"]*)"', dom)[1])


def shot(look, page, path, *flags, **options):
    look(page, f"--screenshot={path}", *flags, **options)
    return matplotlib.image.imread(path)[..., :3]


def test_the_page_opens_without_a_word_on_the_console_and_its_script_runs(look, page):
    dom, console = look(page, "--dump-dom")
    assert console == []
    source = page.read_text()
    titles = re.findall(r'<svg[^>]* aria-label="([^"]*)"', source)
    assert re.findall(r'<svg[^>]* aria-label="([^"]*)"', dom) == titles
    assert len(titles) > 10
    assert "error rate, over updates" in titles
    assert "zhang2017:solver.max_iters=5, seed 0: density, over eigenvalue" in titles
    assert dom.count('class="readout"') == source.count("data-readout=") > 5


def test_what_would_leave_the_page_or_run_in_it_is_stopped(look, page):
    planted = page.with_name("planted.html")
    evil = '<img src="https://example.org/a.png"><script>document.title = "evil"</script>'
    planted.write_text(page.read_text().replace("</main>", f"{evil}</main>"))
    dom, console = look(planted, "--dump-dom")
    assert len([line for line in console if "Content Security Policy" in line]) == 2
    assert "<title>evil" not in dom


def test_words_from_files_do_nothing(look, poisoned_runs):
    out = poisoned_runs / "report.html"
    report(poisoned_runs, out)
    dom, console = look(out, "--dump-dom")
    assert console == []
    assert len(re.findall("<script", dom)) == 1
    assert len(re.findall("<img", dom)) == 2                  # images, and what adam makes of them
    assert told(look, out, """
      document.querySelectorAll("svg[data-readout]").forEach((svg) => point(svg, 0.9));
      tell(document.querySelectorAll(".readout script, .readout img").length);""") == "0"


def test_the_page_is_seen_in_light_and_in_dark(look, page, tmp_path):
    light = shot(look, page, tmp_path / "light.png")
    dark = shot(look, page, tmp_path / "dark.png", "--blink-settings=preferredColorScheme=0")
    for image in (light, dark):
        assert image.shape == (1400, 1100, 3)
        colours = np.unique(np.rint(255 * image) @ [65536, 256, 1])
        assert len(colours) > 200
    paper = [np.median(image) for image in (light, dark)]
    assert paper[0] == 1
    assert paper[1] < 0.15


@pytest.mark.parametrize("width", [360, 768, 1600])
def test_nothing_is_wider_than_the_window(width, look, page):
    widths = told(look, page, """
      document.querySelectorAll("svg[data-readout]").forEach((svg) => point(svg, 0.6));
      tell(`${innerWidth} ${document.documentElement.scrollWidth}`);""", width=width)
    assert widths == f"{width} {width}"


def test_figures_take_their_place_before_they_are_drawn_and_readouts_move_nothing(look, page):
    heights = told(look, page, """
      const height = document.documentElement.scrollHeight;
      const svg = document.querySelector("svg[data-readout]");
      point(svg, 0.5);
      const box = svg.getBoundingClientRect();
      tell([height, document.documentElement.scrollHeight,
            Math.round(100 * box.width / box.height)].join());""").split(",")
    assert heights[0] == heights[1]
    assert heights[2] == str(round(100 * 5 / 3.4))


def test_one_reads_the_values_where_one_points(look, page, kept_runs):
    read = told(look, page, """
      const svg = document.querySelector("svg[data-readout]");
      point(svg, 0.999);
      tell([...svg.parentElement.querySelectorAll(".readout tr")].map((row) =>
        [...row.children].map((cell) => cell.firstChild?.textContent || cell.textContent)
          .join("|")).join("\\n"));""").splitlines()
    head, *_, minihf = (line.split("|") for line in read)
    assert head == ["updates 3", "train", "test"]
    finals = [(kept_runs / f"race/minihf-{seed}/log.jsonl").read_text().splitlines()[-1]
              for seed in (0, 1)]  # fmt: skip
    for cell, part in zip(minihf[1:], ("train", "test"), strict=True):
        values = [float(re.search(rf'"{part}": ([\d.]+)', line)[1]) for line in finals]
        assert float(cell) == pytest.approx(np.median(values), rel=1e-2)


def test_squares_of_many_classes_are_shown_under_the_page_s_policy(look, runs):
    counts = 9 * np.eye(30, dtype=int)
    write_portrait(runs / "race" / "adam-0" / "portrait.npz", {"confusion": counts})
    out = runs / "report.html"
    report(runs, out)
    assert look(out, "--dump-dom")[1] == []
    assert told(look, out, """
      const image = document.querySelector("svg image");
      const box = image.getBoundingClientRect();
      tell(`${image.href.baseVal.slice(0, 15)} ${box.width > 100} ${box.height > 100}`);""") == (
        "data:image/png; true true")  # fmt: skip


def test_the_arrow_keys_go_from_point_to_point_and_escape_ends_it(look, page):
    said = told(look, page, """
      const svg = document.querySelector("svg[data-readout]");
      const key = (name) => svg.dispatchEvent(new KeyboardEvent("keydown", { key: name }));
      const head = () => svg.parentElement.querySelector(".readout th").textContent;
      const heads = ["ArrowRight", "ArrowRight", "ArrowLeft", "ArrowLeft", "ArrowLeft"]
        .map((name) => { key(name); return head(); });
      const open = svg.parentElement.classList.contains("read");
      key("Escape");
      tell([...heads, open, svg.parentElement.classList.contains("read")].join());""")
    assert said == "updates 1,updates 2,updates 1,updates 0,updates 0,true,false"
