"""Make astronaut.mp4 and background.jpg: ``pip install vmatte scikit-image``, then run this.

Nothing is downloaded: the two photographs come with scikit-image, the cut-out's alpha lies beside
this script, everything else is computed. See README.md for sources and licences.
"""

from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray
from skimage import data

HERE = Path(__file__).parent
WIDTH, HEIGHT, RATE, FRAMES = 1280, 720, 25, 120
SOUND_RATE = 48000
FLASHES = (1.0, 3.0)
"""Seconds at which a camera flash lights the scene and its shutter is heard."""

Array = NDArray[np.float32]


def foreground(image: Array, alpha: Array) -> Array:
    """Estimate the subject's own colour, also where the old background shines through.

    Blur fusion, twice (Forte, "Approximate Fast Foreground Colour Estimation", ICIP 2021).
    """
    alpha = alpha[..., None]
    front, back = image, image
    for radius in (45, 7):
        size = (2 * radius + 1, 2 * radius + 1)
        weight = cv2.blur(alpha, size)[..., None]
        blurred_front = cv2.blur(front * alpha, size) / (weight + 1e-5)
        blurred_back = cv2.blur(back * (1 - alpha), size) / (1 - weight + 1e-5)
        rest = image - alpha * blurred_front - (1 - alpha) * blurred_back
        front = np.clip(blurred_front + alpha * rest, 0, 1)
        back = np.clip(blurred_back, 0, 1)
    return front


def smooth(low: float, high: float, x: Array) -> Array:
    """Return 0 below ``low``, 1 above ``high`` and a smooth step between."""
    t = np.clip((x - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


def person_map(time: float) -> tuple[Array, Array]:
    """Return for each pixel of the frame where in the portrait it comes from."""
    wave = 2 * np.pi * time
    scale = 2.08 + 0.05 * np.sin(wave / 4.8)
    angle = np.deg2rad(1.3 * np.sin(wave / 3.1))
    y, x = np.mgrid[:HEIGHT, :WIDTH].astype(np.float32)
    # The body sways about a point under the frame.
    x = (x - 640 - 16 * np.sin(wave / 3.1 + 0.4)) / scale
    y = (y - 760 - 3 * np.sin(wave / 2.4)) / scale
    x, y = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    x, y = x + 215, y + 352

    # The head tilts on the neck ...
    radius = np.hypot((x - 227) / 85, (y - 95) / 92)
    held = 1 - smooth(0.95, 1.45, radius)
    tilt = np.deg2rad(2.6 * np.sin(wave / 2.3 + 1)) * held
    x, y = x - tilt * (y - 190), y + tilt * (x - 225)
    # ... and turns and nods: the middle of the face moves more than the outline.
    dome = np.clip(1 - ((x - 222) / 72) ** 2 - ((y - 105) / 85) ** 2, 0, 1)
    x = x - 5 * np.sin(wave / 2.9) * dome
    y = y - 2.5 * np.sin(wave / 1.7 + 2) * dome
    return x.astype(np.float32), y.astype(np.float32)


def backdrop_map(time: float) -> tuple[Array, Array]:
    """Return for each pixel of the frame where in the launch-pad photograph it comes from."""
    y, x = np.mgrid[:HEIGHT, :WIDTH].astype(np.float32)
    scale = 2.8 + 0.1 * time / 4.8
    x = (x - 640) / scale + 250 - 4 * time
    y = (y - 360) / scale + 250 + 1.5 * np.sin(2.2 * time)
    return x.astype(np.float32), y.astype(np.float32)


def flash(time: float) -> float:
    """Return the strength of the flash: at once full, gone after five frames."""
    return float(sum(np.exp(-(time - at) / 0.045) for at in FLASHES if time > at - 1e-6))


def pictures() -> list[NDArray[np.uint8]]:
    """Render the clip's frames, RGB."""
    alpha = cv2.imread(str(HERE / "astronaut_alpha.png"), cv2.IMREAD_GRAYSCALE)
    assert alpha is not None
    alpha = alpha.astype(np.float32) / 255
    portrait = data.astronaut()[: alpha.shape[0]].astype(np.float32) / 255
    front = foreground(portrait, alpha)
    front += 0.6 * (front - cv2.GaussianBlur(front, None, 1.2))
    pad = data.rocket().astype(np.float32) / 255
    pad = cv2.GaussianBlur(pad, None, 1.1) * 1.25
    noise = np.random.default_rng(1)
    frames = []
    for n in range(FRAMES):
        time = n / RATE
        x, y = person_map(time)
        cover = cv2.remap(alpha, x, y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
        cover = np.clip(cover, 0, 1)[..., None]
        person = cv2.remap(front, x, y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
        behind = cv2.remap(pad, *backdrop_map(time), cv2.INTER_CUBIC,
                           borderMode=cv2.BORDER_REFLECT)  # fmt: skip
        light = flash(time)
        person = person * (0.92 + 0.33 * light)
        behind = behind * (1 + 0.25 * light)
        frame = person * cover + behind * (1 - cover)
        grain = cv2.GaussianBlur(noise.normal(0, 1, (HEIGHT, WIDTH)), None, 0.7)
        frame = frame + 0.008 * grain[..., None]
        frames.append((np.clip(frame, 0, 1) * 255 + 0.5).astype(np.uint8))
    return frames


def sound() -> Array:
    """Render soft chords and, with each flash, the click of a shutter; [2, samples]."""
    time = np.arange(FRAMES * SOUND_RATE // RATE) / SOUND_RATE
    out = np.zeros((2, len(time)))
    chords = ((220.0, 261.63, 329.63), (174.61, 220.0, 261.63),
              (196.0, 246.94, 293.66), (220.0, 277.18, 329.63))  # fmt: skip
    for bar, chord in enumerate(chords):
        for n in range(6):
            local = time - (1.2 * bar + 0.2 * n)
            envelope = np.where(local > 0, np.exp(-local / 0.5) * (1 - np.exp(-local / 0.01)), 0)
            pitch = chord[(0, 1, 2, 1, 2, 0)[n]] * (2 if n in (2, 4) else 1)
            tone = sum(np.sin(2 * np.pi * pitch * k * local) / k**2.5 for k in (1, 2, 3))
            side = 0.5 + 0.3 * (-1) ** n
            out += 0.11 * envelope * tone * np.array([[side], [1 - side]])
    noise = np.random.default_rng(2).normal(0, 1, len(time))
    for at in FLASHES:
        for delay, gain in ((0, 0.2), (0.06, 0.1)):
            local = time - at - delay
            out += np.where(local >= 0, gain * noise * np.exp(-np.maximum(local, 0) / 0.006), 0)
    out *= np.clip((time[-1] - time) / 0.3, 0, 1)
    return np.clip(out, -1, 1).astype(np.float32)


def write_clip(path: Path) -> None:
    """Encode pictures and sound: H.264 and AAC in mp4, BT.709."""
    with av.open(str(path), "w", options={"movflags": "+faststart"}) as file:
        video = file.add_stream("libx264", RATE, options={"crf": "23", "preset": "veryslow"})
        video.width, video.height, video.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        context = video.codec_context
        context.colorspace = context.color_primaries = context.color_trc = 1
        context.color_range = 1
        audio = file.add_stream("aac", SOUND_RATE, layout="stereo", bit_rate=96000)
        for n, picture in enumerate(pictures()):
            rgb = av.VideoFrame.from_ndarray(picture, "rgb24")
            frame = rgb.reformat(format="yuv420p", dst_colorspace=1, src_color_range=2,
                                 dst_color_range=1, interpolation="AREA")  # fmt: skip
            frame.pts, frame.time_base = n, Fraction(1, RATE)
            file.mux(video.encode(frame))
        samples = sound()
        for start in range(0, samples.shape[1], 1024):
            block = np.ascontiguousarray(samples[:, start : start + 1024])
            heard = av.AudioFrame.from_ndarray(block, "fltp", "stereo")
            heard.sample_rate, heard.pts = SOUND_RATE, start
            heard.time_base = Fraction(1, SOUND_RATE)
            file.mux(audio.encode(heard))
        file.mux(video.encode(None))
        file.mux(audio.encode(None))


def write_background(path: Path) -> None:
    """Render ridges in the morning haze."""
    y, x = np.mgrid[:HEIGHT, :WIDTH].astype(np.float32)
    high, low = np.array([0.36, 0.56, 0.80]), np.array([1.00, 0.84, 0.66])
    mix = smooth(-100, 470, y)[..., None]
    image = high * (1 - mix) + low * mix
    sun = np.hypot(x - 960, y - 250)
    image += (0.5 * np.exp(-sun / 130) + 2 * (1 - smooth(34, 40, sun)))[..., None] * [1, 0.9, 0.7]
    rng = np.random.default_rng(7)
    near, far = np.array([0.07, 0.20, 0.22]), np.array([0.80, 0.74, 0.74])
    for ridge in range(6):
        t = ridge / 5
        line = np.zeros(WIDTH)
        for octave in range(9):
            step = np.arange(WIDTH) / 640 * 2**octave
            knots = rng.uniform(-1, 1, int(step[-1]) + 3)
            part = smooth(0, 1, (step % 1).astype(np.float32))
            left = knots[step.astype(int)]
            line += (left + (knots[step.astype(int) + 1] - left) * part) / 2**octave
        top = 330 + 300 * t**1.2 + (50 + 25 * t) * line
        colour = far + (near - far) * t**0.8
        haze = np.exp(-np.maximum(y - top, 0) / (60 + 90 * t))[..., None]
        shade = colour * (0.75 + 0.25 * haze) + 0.12 * (1 - t) * (1 - haze)
        inside = np.clip(y - top + 0.5, 0, 1)[..., None]
        image = image * (1 - inside) + shade * inside
    image += 0.006 * rng.normal(0, 1, (HEIGHT, WIDTH, 1))
    pixels = (np.clip(image, 0, 1) * 255 + 0.5).astype(np.uint8)[..., ::-1]
    if not cv2.imwrite(str(path), pixels, [cv2.IMWRITE_JPEG_QUALITY, 88]):
        raise OSError(f"{path}: could not be written")


if __name__ == "__main__":
    write_background(HERE / "background.jpg")
    write_clip(HERE / "astronaut.mp4")
