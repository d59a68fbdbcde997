"""The preview without its window: what the keys are, views, overlay."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from vmatte.errors import InputError
from vmatte.frames import Frame, StreamInfo
from vmatte.fullmatte import FullMatte
from vmatte.live import LiveSnapshot
from vmatte.matting import Engine, Matte
from vmatte.preview import VIEWS, Action, Divider, Player, PlayerOptions, action_of, cycle_of
from vmatte.preview.hud import draw_help, draw_status, help_lines, status_lines
from vmatte.preview.keys import KEYS
from vmatte.preview.views import make_view
from vmatte.refine import RefineOptions, refine
from vmatte.sinks.window import WindowSink, fitted
from vmatte.sources import SyntheticSource

# --- keys ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "action"),
    [
        (ord("1"), Action.COMPOSITE),
        (ord("5"), Action.SPLIT),
        (ord("v"), Action.NEXT_VIEW),
        (ord("V"), Action.NEXT_VIEW),
        (ord(" "), Action.PAUSE),
        (ord("="), Action.LARGER),
        (ord("+"), Action.LARGER),
        (27, Action.QUIT),
        (0xFF51, Action.BACK),
        (0xFF50, Action.HOME),
        (0x270000, Action.FORTH),
        (0x100000 | ord("m"), Action.MIRROR),
        (0x10FF53, Action.FORTH),
        (63234, Action.BACK),
        (ord("x"), None),
        (0xFFE1, None),
        (-1, None),
    ],
)
def test_keys(code: int, action: Action | None) -> None:
    assert action_of(code) is action


def test_every_action_has_a_key_of_its_own() -> None:
    assert set(KEYS) == set(Action) and len(set(KEYS.values())) == len(KEYS)


# --- views --------------------------------------------------------------------------------------


def _matted(native: str, size: tuple[int, int] = (320, 180)) -> tuple[StreamInfo, Frame, FullMatte]:
    source = SyntheticSource(width=size[0], height=size[1], format=native, frames=1)
    frame = next(iter(source))
    rgb = frame.rgb(size)
    alpha = np.zeros(rgb.shape[:2], np.float32)
    alpha[:, size[0] // 2 :] = 1
    return source.info, frame, refine(frame, rgb, Matte(alpha), RefineOptions(method="off"))


@pytest.mark.parametrize("native", ["yuv420p", "yuv422p10le", "rgb24", "gray", "gbrp"])
@pytest.mark.parametrize("view", VIEWS)
def test_views_keep_the_format_and_show_what_they_say(view: Any, native: str) -> None:
    info, frame, matte = _matted(native)
    compositor = make_view(view, "#000000", Divider(0.25))
    assert compositor.open(info) == info
    shown = compositor.compose(frame, matte, compositor.advance(frame))
    compositor.close()
    assert (shown.format, shown.width, shown.height) == (info.format, *info.size)
    assert shown.colour == info.colour and shown.pts == frame.pts
    rgb, before = shown.rgb(info.size).astype(int), frame.rgb(info.size).astype(int)
    left, right = rgb[:, 100:150], rgb[:, 180:300]
    if view == "alpha":
        assert left.max() <= 3 and right.min() >= 252
        return
    assert np.abs(right - before[:, 180:300]).mean() < 2
    if view == "checkerboard":
        assert {int(v) for v in np.unique(left.mean(2).round() // 10)} <= {15, 16, 19, 20, 21}
        assert left.std() > 15
    else:
        assert left.mean() < 4
    if view == "split":
        assert np.abs(rgb[:, :76] - before[:, :76]).mean() < 1
        assert rgb[:, 80:81].min() > 230


def test_the_divider_stays_within_the_picture() -> None:
    divider = Divider()
    for given, kept in ((0.3, 0.3), (-5, 0.0), (7, 1.0)):
        divider.move(given)
        assert divider.position == kept
        info, frame, matte = _matted("yuv420p")
        view = make_view("split", "green", divider)
        view.open(info)
        view.compose(frame, matte, view.advance(frame))
        view.close()


def test_what_was_seen_is_remembered_but_no_slate() -> None:
    info, frame, matte = _matted("yuv420p")
    seen: list[Any] = []
    view = make_view("alpha", "green", Divider(), seen=lambda info, s: seen.append((info, s)))
    view.open(info)
    view.compose(frame, matte, None)
    view.compose(Frame(frame.picture, 9, frame.time_base, frame.colour, -1), matte, None)
    assert seen == [(info, (frame, matte))]


def test_an_unusable_background_is_told() -> None:
    with pytest.raises(InputError, match="neither a file nor a colour"):
        Player(WindowSink(), PlayerOptions(backgrounds=("nothing.png",)))


def test_backgrounds_to_go_through() -> None:
    assert cycle_of("me.png")[:4] == ("me.png", "blur", "green", "checkerboard")
    assert cycle_of("green")[:3] == ("green", "blur", "checkerboard")
    assert cycle_of("transparent")[0] == "checkerboard"
    assert cycle_of("blur", alone=False) == ("blur", "green", "white", "black")


# --- overlay ------------------------------------------------------------------------------------

ENGINE = Engine(model="rvm", runtime="openvino", provider="cpu", precision="bf16")
NOW = LiveSnapshot(
    **dict.fromkeys(("captured", "sent", "slates", "stalls", "reconnects", "errors", "reused"), 0),  # type: ignore[arg-type]
    state="live",
    seconds=3.0,
    fps=29.97,
    latency_p50=17.6,
    latency_p95=30.0,
    dropped=3,
    engine=ENGINE,
    working=(256, 144),
    share=1.0,
    source="camera:0",
)


def test_the_strip_says_it_all() -> None:
    lines = status_lines(NOW, view="composite", background="blur", extra=["live", "mirrored"])
    assert lines == [
        "30.0 fps | latency 18 ms | 3 dropped | live | mirrored",
        "composite | blur | rvm openvino/cpu/bf16 | 256x144",
    ]
    assert status_lines(None, view="alpha", background="blur") == ["alpha | starting"]


@pytest.mark.parametrize("size", [(1280, 720), (320, 180), (64, 64), (3840, 2160)])
def test_the_overlay_fits_and_leaves_the_rest_alone(size: tuple[int, int]) -> None:
    canvas: NDArray[np.uint8] = np.full((size[1], size[0], 3), 200, np.uint8)
    lines = status_lines(NOW, view="composite", background="blur", extra=["live"])
    taken = draw_status(canvas, lines, message="Größe: ü", recording=True)
    assert (canvas[: size[1] - taken] == 200).all()
    strip = canvas[size[1] - taken :]
    assert np.median(strip) == 70 and strip.max() > 90
    if size[0] >= 320:
        assert taken < size[1] / 2
        # Nothing is cut off: there is room at the right of the text.
        assert (strip[taken // 3 :, -3:] == 70).all()
    draw_help(canvas, file=True)
    assert canvas.mean() < 120


def test_help_names_every_key() -> None:
    assert len(help_lines(file=True)) == len(Action)
    assert {"left", "right", "home", "l"} == {k for k, _ in help_lines(file=True)} - {
        k for k, _ in help_lines(file=False)
    }


def test_the_picture_keeps_its_shape() -> None:
    assert fitted((1280, 720), (900, 300)) == (533, 300)
    assert fitted((1280, 720), (300, 900)) == (300, 169)
    assert fitted((320, 180), (1280, 720), enlarge=False) == (320, 180)
