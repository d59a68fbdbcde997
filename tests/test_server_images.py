"""POST /api/images and /v1.0/removebg."""

import base64
import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from file_server import serving
from media import make_image, orient
from PIL import Image
from serving import SMALL, expect_no_litter, running

SAMPLE = Path(__file__).parents[1] / "samples" / "background.jpg"


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    folder = tmp_path_factory.mktemp("serve")
    with running(folder, *SMALL) as server, server.client() as client:
        yield client
        expect_no_litter(folder)


@pytest.fixture(scope="module")
def person(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The first frame of the sample, a person."""
    import av

    path = tmp_path_factory.mktemp("person") / "person.png"
    with av.open(str(SAMPLE.with_name("astronaut.mp4"))) as container:
        next(container.decode(video=0)).to_image().resize((256, 256)).save(path)
    return path


def post(client: Any, path: Path, **fields: str) -> Any:
    with path.open("rb") as file:
        return client.post("/api/images", files={"file": (path.name, file)}, data=fields)


def picture(response: Any) -> Image.Image:
    assert response.status_code == 200, response.text
    image = Image.open(io.BytesIO(response.content))
    image.load()
    return image


def pixels(path: Path) -> Any:
    with Image.open(path) as image:
        return np.array(image)


def test_a_cut_out_is_a_transparent_png_of_the_pictures_size(client: Any, person: Path) -> None:
    response = post(client, person)
    found, given = np.array(picture(response)), pixels(person)
    assert response.headers["content-type"] == "image/png"
    assert 'filename="person-cutout.png"' in response.headers["content-disposition"]
    assert found.shape == (*given.shape[:2], 4)
    alpha = found[:, :, 3]
    # The sample's true matte lies beside it: a person in the middle of a room.
    assert 0.2 < (alpha > 250).mean() < 0.7 and (alpha < 5).mean() > 0.2
    assert np.abs(found[alpha > 250][:, :3].astype(int) - given[alpha > 250]).mean() < 2


def test_a_cut_out_is_what_the_library_makes(client: Any, person: Path) -> None:
    from vmatte.images import cut_out

    expected = np.array(cut_out(person))
    assert np.array_equal(np.array(picture(post(client, person))), expected)


def test_an_equal_picture_is_not_matted_twice(client: Any, person: Path) -> None:
    def matted() -> float:
        text = client.get("/metrics").text
        found = re.search(r'vmatte_steps_total\{model="vmatte"\} (\S+)', text)
        return float(found[1]) if found else 0.0

    first = post(client, person, background="#123456").content
    before = matted()
    assert post(client, person, background="#123456").content == first and matted() == before
    post(client, person, background="#123457")
    assert matted() == before + 1


def test_formats_backgrounds_and_the_matte(client: Any, person: Path) -> None:
    webp = post(client, person, format="webp")
    assert picture(webp).mode == "RGBA" and webp.headers["content-type"] == "image/webp"
    blue = picture(post(client, person, format="jpg", background="#0000FF"))
    assert blue.mode == "RGB" and np.array(blue)[2, 2, 2] > 200 > 50 > np.array(blue)[2, 2, 0]
    alpha = picture(post(client, person, output="alpha"))
    assert alpha.mode == "L" and {0, 255} <= set(np.unique(np.array(alpha)))
    assert picture(post(client, person, background="blur:20")).mode == "RGB"


def test_a_picture_behind(client: Any, person: Path) -> None:
    with person.open("rb") as one, SAMPLE.open("rb") as two:
        files = {"file": ("a.png", one), "background_file": ("b.jpg", two)}
        response = client.post("/api/images", files=files, data={"format": "jpg"})
    found = np.array(picture(response)).astype(int)
    given = pixels(person).astype(int)
    assert found.shape == given.shape
    assert np.abs(found[:40, :40] - given[:40, :40]).mean() > 10


def test_orientation_is_applied(client: Any, tmp_path: Path) -> None:
    path = orient(make_image(tmp_path / "turned.jpg", size=(128, 64)), 6)
    response = post(client, path)
    assert picture(response).size == (64, 128)
    assert (response.headers["x-width"], response.headers["x-height"]) == ("64", "128")


def test_by_address(client: Any, person: Path) -> None:
    with serving(person.read_bytes()) as server:
        response = client.post("/api/images", json={"url": server.url, "format": "webp"})
        assert picture(response).mode == "RGBA"
        response = client.post("/api/images", data={"url": server.url + "?a=b"})
        assert picture(response).mode == "RGBA"
        server.statuses = [404]
        response = client.post("/api/images", json={"url": server.url})
    assert response.status_code == 502 and "404" in response.json()["detail"]


@pytest.mark.parametrize(
    ("fields", "status", "word"),
    [
        ({"model": "nobody"}, 404, "nobody"),
        ({"format": "gif"}, 422, "png, webp, jpg"),
        ({"format": "jpg"}, 422, "transparency"),
        ({"background": "/etc/passwd"}, 422, "background"),
        ({"background": "blur:9999999"}, 422, "background"),
        ({"output": "all"}, 422, "alpha"),
        ({"colour": "red"}, 422, "colour"),
        ({"url": "http://example.com/a.png"}, 422, "both"),
    ],
)
def test_what_cannot_be_used_is_told(
    client: Any, person: Path, fields: dict[str, str], status: int, word: str
) -> None:
    response = post(client, person, **fields)
    assert response.status_code == status
    assert response.headers["content-type"] == "application/problem+json"
    problem = response.json()
    assert problem["status"] == status and problem["type"].startswith("urn:vmatte:")
    assert word in problem["detail"] and problem["title"]


def test_what_is_no_picture_is_told(client: Any, tmp_path: Path, person: Path) -> None:
    text = tmp_path / "a.png"
    text.write_text("this is text")
    assert post(client, text).status_code == 415
    cut = tmp_path / "cut.png"
    cut.write_bytes(person.read_bytes()[:3000])
    response = post(client, cut)
    assert response.status_code == 422 and "cut.png" in response.json()["detail"]
    assert str(tmp_path.parent) not in response.text and "/tmp/" not in response.text
    assert client.post("/api/images", data={"model": "x"}).status_code == 422
    assert client.post("/api/images", content=b"x").status_code == 415


def test_removebg_clients_are_served(client: Any, person: Path) -> None:
    data = person.read_bytes()

    def post(**fields: Any) -> Any:
        return client.post("/v1.0/removebg", files={"image_file": data}, data=fields)

    given = Image.open(io.BytesIO(data))
    full = post(size="full")
    assert picture(full).size == given.size and picture(full).mode == "RGBA"
    assert full.headers["x-credits-charged"] == "0"
    small = picture(post(size="preview"))
    assert small.size == given.size, "it has fewer pixels than that"
    assert picture(post(bg_color="fff", size="full", format="jpg")).getpixel((1, 1)) == (
        255,
        255,
        255,
    )
    assert picture(post(channels="alpha", size="full")).mode == "L"
    coded = base64.b64encode(data).decode()
    as_json = client.post(
        "/v1.0/removebg",
        json={"image_file_b64": coded, "size": "auto"},
        headers={"Accept": "application/json"},
    ).json()
    decoded = base64.b64decode(as_json["data"]["result_b64"])
    assert Image.open(io.BytesIO(decoded)).size == given.size
    refused = post(scale="50%")
    assert refused.status_code == 400 and "scale" in refused.json()["errors"][0]["title"]
    assert client.post("/v1.0/removebg", json={"image_file_b64": "!"}).status_code == 400


def test_removebg_crops_to_the_subject(client: Any, person: Path) -> None:
    data = person.read_bytes()

    def post(**fields: str) -> Any:
        return client.post(
            "/v1.0/removebg", files={"image_file": data}, data={"size": "full", **fields}
        )

    alpha = np.array(picture(post(channels="alpha")))
    rows, cols = np.flatnonzero((alpha > 76).any(1)), np.flatnonzero((alpha > 76).any(0))
    wide, high = cols[-1] - cols[0] + 1, rows[-1] - rows[0] + 1
    assert wide < alpha.shape[1]
    width, height = picture(post(crop="true")).size
    assert abs(width - wide) <= 1 and abs(height - high) <= 1
    roomy = picture(post(crop="true", crop_margin="7px")).size
    assert width < roomy[0] <= width + 14 and height <= roomy[1] <= height + 14
    assert picture(post(crop="true", crop_margin="100%")).size == alpha.shape[::-1]
    for wrong in ({"crop": "yes"}, {"crop": "true", "crop_margin": "a lot"}):
        assert post(**wrong).status_code == 400


def test_removebg_looks_for_nothing_outside_its_region(client: Any, person: Path) -> None:
    data = person.read_bytes()

    def alpha(**fields: str) -> Any:
        response = client.post(
            "/v1.0/removebg",
            files={"image_file": data},
            data={"size": "full", "channels": "alpha", **fields},
        )
        return np.array(picture(response))

    whole, half = alpha(), alpha(roi="0px 0px 50% 100%")
    middle = round(whole.shape[1] / 2)
    assert whole[:, middle:].max() > 200
    assert half[:, middle:].max() == 0
    assert np.array_equal(half[:, :middle], whole[:, :middle])
    for roi in ("1 2 3", "0% 0% 101% 5px", "9px 0px 5px 9px", "a b c d"):
        response = client.post("/v1.0/removebg", files={"image_file": data}, data={"roi": roi})
        assert response.status_code == 400 and "roi" in response.text


def test_the_api_is_described(client: Any) -> None:
    described = client.get("/api/openapi.json").json()
    for path in ("/api/images", "/v1.0/removebg", "/api/jobs", "/api/jobs/{id}/events"):
        assert path in described["paths"]
    form = described["paths"]["/api/images"]["post"]["requestBody"]["content"]
    assert "background" in form["multipart/form-data"]["schema"]["properties"]
    models = client.get("/api/models").json()["models"]
    assert [m["name"] for m in models if m["default"]] == ["vmatte"]
    assert json.dumps(client.get("/healthz").json()).startswith('{"status": "ok"')


def test_what_is_done_is_counted(client: Any, person: Path) -> None:
    post(client, person)
    text = client.get("/metrics").text
    assert 'vmatte_requests_total{route="/api/images",status="200"}' in text
    assert 'vmatte_picture_seconds_count{model="vmatte"}' in text
