"""A plain loop over rembg's ``remove``, for an interpreter that has rembg and av, and no vmatte.

    python3 -m venv REMBG && REMBG/bin/pip install 'rembg[cpu]' av

U2NET_HOME names the folder with u2net.onnx; of vmatte only what needs no package is used.
"""

from itertools import islice
from pathlib import Path
from typing import Any

import av
from PIL import Image
from rembg import new_session, remove

from vmatte.bench.watch import Watch, until

GREEN = (120, 255, 155, 255)


def loop(source: str, target: str, preset: str, seconds: float) -> dict[str, Any]:
    """Matte onto green, one picture after the other. See vmatte.bench.jobs."""
    session = new_session("u2net")
    with av.open(source) as reader, av.open(target, "w") as writer:
        stream = reader.streams.video[0]
        stream.thread_type = "AUTO"
        out: Any = writer.add_stream(
            "libx264", rate=stream.average_rate, options={"crf": "20", "preset": preset}
        )
        out.width, out.height, out.pix_fmt = stream.width, stream.height, "yuv420p"
        out.codec_context.time_base = out.time_base = stream.time_base
        watch = Watch()
        frames = 0
        for picture in until(reader.decode(stream), seconds):
            shown = remove(picture.to_image(), session=session, bgcolor=GREEN)
            assert isinstance(shown, Image.Image)
            new = av.VideoFrame.from_image(shown.convert("RGB"))
            new.pts, new.time_base = picture.pts, picture.time_base
            writer.mux(out.encode(new))
            frames += 1
        writer.mux(out.encode(None))
    return watch.stop(frames)


def mattes(videos: dict[str, str], folder: str, frames: int) -> None:
    """Write rembg's mattes of the first frames of each video, by name, without loss."""
    session = new_session("u2net")
    for name, video in videos.items():
        target = Path(folder) / f"{name}.mkv"
        target.parent.mkdir(parents=True, exist_ok=True)
        with av.open(video) as reader, av.open(str(target), "w") as writer:
            out: Any = writer.add_stream("ffv1", rate=30)
            stream = reader.streams.video[0]
            out.width, out.height, out.pix_fmt = stream.width, stream.height, "gray"
            for picture in islice(reader.decode(stream), frames):
                matte = remove(picture.to_image(), session=session, only_mask=True)
                assert isinstance(matte, Image.Image)
                gray = av.VideoFrame.from_image(matte.convert("RGB")).reformat(format="gray")
                gray.pts = None
                writer.mux(out.encode(gray))
            writer.mux(out.encode(None))
