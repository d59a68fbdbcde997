"""Pictures as files, and their cut-outs."""

import io
import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageCms

import vmatte
from vmatte.errors import (
    DamagedMediaError,
    InputError,
    OptionError,
    UnsupportedMediaError,
    UnsupportedOutputError,
)
from vmatte.images import ImageOptions, Margin, cut_out
from vmatte.images.cut import show, subject_box
from vmatte.images.picture import Picture, Tags, encode, from_pixels, read_picture
from vmatte.matting import Matte
from vmatte.refine import RefineOptions
from vmatte.testing import FunctionMatter

ORIENTATION = 0x0112
PLAIN = RefineOptions(method="off", decontaminate=False, levels=(0.0, 1.0))
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def gradient(w: int = 40, h: int = 24) -> NDArray[np.uint8]:
    y, x = np.mgrid[:h, :w]
    return np.dstack([x * 6, y * 10, 128 + 0 * x]).astype(np.uint8)


def file(image: Any, format: str = "PNG", **more: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, format, **more)
    return out.getvalue()


def pixels(picture: Picture) -> NDArray[np.uint8]:
    return np.array(picture.frame.convert("rgb24").planes[0])


@pytest.mark.parametrize("turn", range(1, 9))
@pytest.mark.parametrize("depth", [8, 16])
def test_pictures_are_read_upright(turn: int, depth: int) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = turn
    exif[0x010F] = "a maker"
    upright = gradient()
    # What a camera held in that way writes: the reverse of what the tag asks for.
    for stored in _turns(upright):
        shown = Image.fromarray(stored)
        shown.getexif()[ORIENTATION] = turn
        if np.array_equal(np.asarray(_applied(shown, turn)), upright):
            break
    else:
        raise AssertionError
    if depth == 8:
        data = file(Image.fromarray(stored), "PNG", exif=exif)
    else:
        deep = from_pixels(stored.astype(np.uint16) * 257)
        data = encode(deep.frame, Tags(exif=exif.tobytes()), "PNG")
    picture = read_picture(data, "x")
    assert picture.frame.format.depth == depth
    # swscale rounds 16 bits to 8 in its own way.
    np.testing.assert_allclose(pixels(picture), upright, atol=depth // 16)
    assert picture.tags.exif is not None
    kept = Image.Exif()
    kept.load(picture.tags.exif)
    assert kept.get(ORIENTATION, 1) == 1 and kept[0x010F] == "a maker"


def _turns(a: NDArray[np.uint8]) -> list[NDArray[np.uint8]]:
    return [np.ascontiguousarray(np.rot90(f, k)) for f in (a, a[:, ::-1]) for k in range(4)]


def _applied(image: Image.Image, turn: int) -> Image.Image:
    """Return the image as Pillow turns it: a second opinion."""
    from PIL import ImageOps

    data = io.BytesIO(file(image, "PNG", exif=image.getexif()))
    return ImageOps.exif_transpose(Image.open(data))


@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP", "TIFF", "AVIF"])
def test_profile_and_metadata_are_kept(format: str) -> None:
    exif = Image.Exif()
    exif[0x010E] = "a cat"
    source = file(Image.fromarray(gradient()), "JPEG", exif=exif, icc_profile=SRGB, dpi=(300, 300))
    picture = read_picture(source, "x")
    back = Image.open(io.BytesIO(encode(picture.frame, picture.tags, format)))
    assert back.info["icc_profile"] == SRGB
    assert back.getexif()[0x010E] == "a cat"
    if format in ("PNG", "JPEG", "TIFF"):
        assert [round(d) for d in back.info["dpi"]] == [300, 300]


def test_a_tiff_without_density_has_none() -> None:
    assert read_picture(file(Image.fromarray(gradient()), "TIFF"), "x").tags.dpi is None


def test_orientation_inside_xmp_is_put_right() -> None:
    xmp = b'<x:xmpmeta><a tiff:Orientation="6" dc:title="t"/></x:xmpmeta>'
    picture = read_picture(file(Image.fromarray(gradient()), "WEBP", xmp=xmp), "x")
    assert picture.tags.xmp is not None and b"Orientation" not in picture.tags.xmp
    assert b'dc:title="t"' in picture.tags.xmp
    for format in ("PNG", "JPEG", "WEBP"):
        back = Image.open(io.BytesIO(encode(picture.frame, picture.tags, format)))
        found = back.info.get("xmp") or back.info["XML:com.adobe.xmp"].encode()
        assert found == picture.tags.xmp


@pytest.mark.parametrize("format", ["PNG", "TIFF"])
def test_sixteen_bits_are_kept(format: str) -> None:
    deep = (gradient().astype(np.uint16) << 8) + np.arange(40, dtype=np.uint16)[None, :, None]
    ok, data = cv2.imencode(".png" if format == "PNG" else ".tif", deep[:, :, ::-1])
    assert ok
    picture = read_picture(data.tobytes(), "x")
    assert picture.frame.format.name == "gbrp16le"
    tags = Tags(icc=SRGB, dpi=(300, 300))
    matte = Matte(np.ones((24, 40), np.float32))
    rgb = picture.rgb((40, 24))
    (shown,) = show(picture, rgb, matte, ["composite"], ImageOptions(refine=PLAIN))
    written = encode(shown.frame, tags, format)
    back = cv2.imdecode(np.frombuffer(written, np.uint8), cv2.IMREAD_UNCHANGED)
    assert back.dtype == np.uint16 and back.shape == (24, 40, 4)
    np.testing.assert_array_equal(back[:, :, 2::-1], deep)
    assert back[:, :, 3].min() == 65535
    if format == "PNG":
        with Image.open(io.BytesIO(written)) as image:
            assert image.info["icc_profile"] == SRGB
            assert [round(d) for d in image.info["dpi"]] == [300, 300]


def test_other_kinds_of_pixels() -> None:
    base = Image.fromarray(gradient())
    for mode in ("L", "P", "CMYK", "1", "LA", "I;16"):
        image = Image.fromarray(np.full((24, 40), 40000, np.uint16)) if mode == "I;16" else None
        image = image or base.convert(mode)
        data = file(image, "TIFF" if mode == "CMYK" else "PNG")
        picture = read_picture(data, mode)
        expected = np.asarray(image.convert("RGB")) if mode != "I;16" else 40000 // 257
        np.testing.assert_allclose(pixels(picture), expected, atol=1)
    deep = Image.fromarray(np.full((24, 40), 40000, np.uint16))
    np.testing.assert_allclose(pixels(read_picture(file(deep, "JPEG2000"), "x")), 155, atol=1)
    # The profile of gray would be wrong for RGB.
    gray = file(base.convert("L"), icc_profile=SRGB.replace(b"RGB ", b"GRAY"))
    assert read_picture(gray, "x").tags.icc is None


def test_of_several_pictures_the_first() -> None:
    first, second = Image.fromarray(gradient()), Image.new("RGB", (40, 24), "red")
    for format in ("GIF", "WEBP", "TIFF", "PNG"):
        more = {"lossless": True} if format == "WEBP" else {}
        data = file(first, format, save_all=True, append_images=[second], **more)
        picture = read_picture(data, "x")
        assert picture.of == 2, format
        assert np.abs(pixels(picture).astype(int) - gradient()).mean() < 12, format
    matte = Matte(np.ones((24, 40), np.float32))
    (shown,) = show(picture, gradient(), matte, ["alpha"], ImageOptions(refine=PLAIN))
    assert shown.notes == ("the first of 2 pictures in it",)


def test_heic_and_avif(tmp_path: Path) -> None:
    heif = pytest.importorskip("pillow_heif")
    heif.from_pillow(Image.fromarray(gradient(64, 64))).save(str(tmp_path / "a.heic"), quality=95)
    Image.fromarray(gradient(64, 64)).save(tmp_path / "a.avif", quality=95)
    for name in ("a.heic", "a.avif"):
        picture = read_picture((tmp_path / name).read_bytes(), name)
        assert np.abs(pixels(picture).astype(int) - gradient(64, 64)).mean() < 6


def test_what_is_no_picture() -> None:
    whole = file(Image.fromarray(gradient(200, 200)), "JPEG")
    for data, error in (
        (b"hello", UnsupportedMediaError),
        (b"", UnsupportedMediaError),
        (whole[: len(whole) // 2], DamagedMediaError),
        (file(Image.fromarray(gradient()))[:60], DamagedMediaError),
        (file(Image.fromarray(gradient(15, 40))), UnsupportedMediaError),
        (file(Image.fromarray(np.ones((24, 40), np.float32)), "TIFF"), UnsupportedMediaError),
        (file(Image.fromarray(np.ones((24, 40), np.int32)), "TIFF"), UnsupportedMediaError),
    ):
        with pytest.raises(error, match="x"):
            read_picture(data, "x")
    with pytest.raises(UnsupportedOutputError, match="no transparency"):
        rgba = np.zeros((16, 16, 4), np.uint8)
        encode(vmatte.frames.from_array(rgba, "rgba"), Tags(), "JPEG")


def test_its_own_transparency_counts() -> None:
    """Alpha is the product, and the model does not see what is transparent."""
    rgba = np.dstack([gradient(), np.full((24, 40), 255, np.uint8)])
    rgba[:, :20, 3] = 0
    rgba[:, 20:30, 3] = 128
    picture = read_picture(file(Image.fromarray(rgba)), "x")
    seen = picture.rgb((40, 24))
    assert (seen[:, :18] == 128).all() and (seen[:, 32:] == gradient()[:, 32:]).all()
    matte = Matte(np.ones((24, 40), np.float32))
    options = ImageOptions(refine=PLAIN)
    composite, alpha = show(picture, seen, matte, ["composite", "alpha"], options)
    own = composite.frame.planes[0]
    np.testing.assert_array_equal(own[:, :, 3], rgba[:, :, 3])
    np.testing.assert_array_equal(own[:, 20:, :3], gradient()[:, 20:])
    np.testing.assert_array_equal(alpha.frame.planes[0], rgba[:, :, 3])
    half = Matte(np.full((24, 40), 0.5, np.float32))
    (composite,) = show(picture, seen, half, ["composite"], options)
    np.testing.assert_allclose(composite.frame.planes[0][:, :, 3], rgba[:, :, 3] / 2, atol=1)


def test_one_call(tmp_path: Path) -> None:
    """The right half is the subject of this model."""
    image = Image.fromarray(gradient())
    image.save(tmp_path / "a.png", icc_profile=SRGB)
    matter = FunctionMatter()
    given = (tmp_path / "a.png", str(tmp_path / "a.png"), file(image), image, gradient())
    for picture in given:
        got = vmatte.cut_out(picture, ImageOptions(refine=PLAIN), matter=matter)
        assert got.mode == "RGBA" and got.size == (40, 24)
        alpha = np.asarray(got)[:, :, 3]
        assert not alpha[:, :20].any() and (alpha[:, 20:] == 255).all()
        np.testing.assert_array_equal(np.asarray(got)[:, 20:, :3], gradient()[:, 20:])
    assert cut_out(tmp_path / "a.png", matter=matter).info["icc_profile"] == SRGB
    over = cut_out(image, ImageOptions(background="white", refine=PLAIN), matter=matter)
    assert over.mode == "RGB" and (np.asarray(over)[:, :20] == 255).all()
    with pytest.raises(InputError, match="no such file"):
        cut_out(tmp_path / "none.png", matter=matter)
    with pytest.raises(InputError, match=r"expected uint8 \[H, W, 3\]"):
        cut_out(gradient()[:, :, 0], matter=matter)


def disc(size: tuple[int, int] = (200, 160), box: tuple[int, ...] = (60, 40, 120, 90)) -> Matte:
    alpha = np.zeros(size[::-1], np.float32)
    left, top, right, bottom = box
    alpha[top:bottom, left:right] = 1
    return Matte(alpha)


def test_crop_to_the_subject() -> None:
    picture = from_pixels(gradient(200, 160))
    rgb = picture.rgb((200, 160))
    for margin, wanted in (
        (Margin(), (60, 40, 120, 90)),
        (Margin(pixels=10), (50, 30, 130, 100)),
        (Margin(share=0.5), (30, 10, 150, 120)),
        (Margin(pixels=90), (0, 0, 200, 160)),
    ):
        options = ImageOptions(refine=PLAIN, crop=margin)
        (shown,) = show(picture, rgb, disc(), ["composite"], options)
        left, top, right, bottom = wanted
        own = shown.frame.planes[0]
        assert own.shape == (bottom - top, right - left, 4)
        inside = own[40 - top : 90 - top, 60 - left : 120 - left, :3]
        np.testing.assert_array_equal(inside, gradient(200, 160)[40:90, 60:120])
    nothing = Matte(np.zeros((160, 200), np.float32))
    (shown,) = show(picture, rgb, nothing, ["alpha"], ImageOptions(crop=Margin(), refine=PLAIN))
    assert shown.frame.width == 200 and "nothing was found" in shown.notes[0]
    (shown,) = show(picture, rgb, nothing, ["alpha"], ImageOptions(refine=PLAIN))
    assert shown.notes == ("nothing was found in it",)
    with pytest.raises(OptionError, match="margin of --crop is -1 pixels"):
        Margin(pixels=-1)
    full = vmatte.refine.refine(picture.frame, rgb, nothing, PLAIN)
    assert subject_box(full, Margin()) is None


def test_real_cut_outs_are_good(shared: Callable[[str], Path]) -> None:
    """U²-Net's small copy on true mattes, through files and back."""
    from vmatte.matting import MatterOptions, build_matter
    from vmatte.registry import find_places, load_registry
    from vmatte.runtimes import RuntimeOptions

    record = load_registry(find_places(Path("/nowhere"))).get("u2netp")
    options = MatterOptions(runtime=RuntimeOptions(runtime="onnxruntime"))
    matter = build_matter(record, shared("weights/u2netp_fp16w.onnx"), options)
    try:
        for image in itertools.islice(sorted(shared("gt/lemur/image").iterdir()), 1):
            got = np.asarray(cut_out(image, matter=matter))[:, :, 3].astype(np.float32) / 255
            true = np.asarray(Image.open(shared("gt/lemur/alpha") / image.name).convert("L"))
            assert np.abs(got - true.astype(np.float32) / 255).mean() < 0.06
    finally:
        matter.close()
