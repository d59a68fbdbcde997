"""Streams from the network through PyAV: RTSP, RTMP, HTTP, HLS, UDP, SRT."""

import itertools
import time
from collections.abc import Generator, Iterator
from fractions import Fraction

import av
import av.container
import av.error
from av.video.stream import VideoStream

from vmatte.colour import Colour
from vmatte.errors import (
    DamagedMediaError,
    InputError,
    InputNotFoundError,
    SourceLostError,
    mask,
)
from vmatte.frames import Frame, StreamInfo
from vmatte.sources.file import pick_video
from vmatte.sources.filters import Upright, shape_of
from vmatte.sources.held import Held

_WEB = "http,https,httpproxy,tcp,tls,crypto,data"
_RTMP = "rtmp,rtmpt,rtmps,rtmpts,ffrtmphttp,tcp,tls,http,https"
_RTSP = "rtsp,rtsps,rtp,srtp,udp,tcp,tls,http,https"
PROTOCOLS = {
    **dict.fromkeys(("http", "https"), _WEB),
    **dict.fromkeys(("rtmp", "rtmps", "rtmpt", "rtmpts"), _RTMP),
    **dict.fromkeys(("rtsp", "rtsps"), _RTSP),
    "rtp": "rtp,udp",
    "udp": "udp",
    "tcp": "tcp",
    "srt": "srt",
}
"""Schemes, and FFmpeg's protocols that each may use: never 'file', which a playlist could name."""

OPENING = 5.0
"""Seconds that a connection, and looking for the first picture, may take."""
_GAP = 1.0
"""Seconds that time stamps may jump forward, or back, before it counts as a new segment."""
_BURSTS = ("hls", "dash")
"""Formats that come in pieces of seconds: their frames are given out at their own times."""
_PIECE = 15.0
"""Seconds that such a piece may take to come."""
_SILENT = "sent nothing for too long"


def scheme_of(name: str) -> str | None:
    """Return the scheme of an address, in small letters; None where ``name`` is none."""
    scheme, sep, _ = name.partition("://")
    return scheme.lower() if sep else None


class NetworkSource:
    """One connection to a stream. See open_live and FrameSource.

    Reads time out; ``close`` may come from any thread, and takes effect at the latest then. Damaged
    frames are left out and counted.
    """

    def __init__(self, url: str, *, timeout: float = 2.0, transport: str = "tcp") -> None:
        """Connect, and decode the first frame.

        timeout: seconds without data after which the stream is lost. transport: of RTSP. Raises
        InputError and its subclasses.
        """
        self.name, self.skipped = mask(url), 0
        scheme = scheme_of(url)
        if scheme not in PROTOCOLS:
            raise InputError(
                f"{self.name}: {scheme}:// is not understood; expected one of "
                + ", ".join(f"{s}://" for s in PROTOCOLS)
            )
        self._timeout, self._segment = timeout, 0
        self._opened = time.monotonic()
        options = {"protocol_whitelist": PROTOCOLS[scheme]}
        # What FFmpeg looks at before it begins; a camera tells all in its first key frame.
        options["analyzeduration"] = "200000" if scheme.startswith("rtsp") else "1000000"
        if scheme.startswith("rtsp"):
            options |= {"rtsp_transport": transport, "max_delay": "200000"}
        opening = max(OPENING, timeout)
        for self._reading in (timeout, max(timeout, _PIECE)):
            limits = opening, self._reading
            try:
                self._container = av.open(url, "r", options=options, timeout=limits)
            except (av.error.FFmpegError, OSError) as e:
                raise self._refused(e, opening) from None
            self._bursts = self._container.format.name in _BURSTS
            if not self._bursts or self._reading >= _PIECE:
                break
            # A time-out cannot be changed any more.
            self._container.close()
        self._held = Held(self._container.close)
        try:
            self._stream: VideoStream = pick_video(self.name, self._container)
            # Decoding several frames at once would hold each back until the next ones come.
            self._stream.thread_type = "SLICE"
            self.finite = scheme in ("http", "https") and bool(self._container.duration)
            """Whether it is a file that ends, and no live stream."""
            self._pictures = self._decode()
            first = next(self._pictures, None)
            if first is None:
                raise self._lost("ended before its first picture")
            self._first = first
            self._set_up(first)
        except BaseException:
            self._held.close()
            raise

    def _set_up(self, picture: av.VideoFrame) -> None:
        """Follow the stream to the shape of ``picture``."""
        stream = self._stream
        assert stream.time_base is not None
        self._upright = upright = Upright(self.name, picture, stream.time_base)
        sar = stream.codec_context.sample_aspect_ratio
        if upright.rotation % 180 == 90:
            sar = 1 / sar if sar else sar
        rate = stream.average_rate or stream.guessed_rate
        if rate is not None and not 1 <= rate <= 1000:
            rate = None  # FFmpeg's guess from two time stamps
        self.info = StreamInfo(
            width=upright.size[0],
            height=upright.size[1],
            format=upright.format,
            colour=Colour.of(picture),
            time_base=stream.time_base,
            rate=None if rate is None else Fraction(rate),
            sample_aspect_ratio=sar if sar and sar != 1 else None,
            live=True,
            rotation=upright.rotation,
            deinterlaced=upright.interlaced,
            notes=upright.notes,
        )

    def _decode(self) -> Generator[av.VideoFrame]:
        """Yield decoded pictures; skip and count the damaged ones."""
        packets = self._container.demux(self._stream)
        seen = time.monotonic()
        while True:
            found: list[av.VideoFrame] = []
            with self._held.used() as there:
                if not there:
                    return
                begun = time.monotonic()
                ended = False
                try:
                    packet = next(packets, None)
                    # The last packet is empty; what it brings is what the decoder still had.
                    ended = packet is None or not packet.size
                    found = packet.decode() if packet is not None else []
                except av.error.EOFError:
                    ended = True
                except (av.error.InvalidDataError, av.error.UnknownError):
                    # A generator that has raised is at its end; the stream may not be.
                    packets = self._container.demux(self._stream)
                    self.skipped += 1
                except (av.error.FFmpegError, OSError) as e:
                    raise self._broken(e) from None
            # FFmpeg calls a read that timed out damage, or gives the last packet that it held back.
            late = time.monotonic() - begun > 0.9 * self._reading
            for picture in found:
                if picture.is_corrupt:
                    self.skipped += 1
                    continue
                seen = time.monotonic()
                yield picture
            if ended:
                if self._held.closed.is_set() or self.finite:
                    return
                raise self._lost("ended")
            if late:
                raise self._lost(_SILENT)
            waited = time.monotonic() - seen
            if waited > max(self._timeout, _PIECE):
                raise self._lost(f"sent nothing that can be decoded for {waited:.0f} s")

    def _upright_pictures(self) -> Iterator[av.VideoFrame]:
        for picture in itertools.chain([self._first], self._pictures):
            if shape_of(picture) != self._upright.shape:
                yield from self._upright.push(None)
                self._set_up(picture)
                self._segment += 1
            yield from self._upright.push(picture)

    def __iter__(self) -> Iterator[Frame]:
        """Yield the frames, see FrameSource and open_live."""
        base = self.info.time_base
        times = Times(base, self.info.rate)
        ahead = None
        for picture in self._upright_pictures():
            now, stamp = time.monotonic(), picture.pts
            # Deinterlacers halve the time base.
            if stamp is not None and picture.time_base and picture.time_base != base:
                stamp = round(stamp * picture.time_base / base)
            pts = times(stamp, now)
            if pts is None:
                self.skipped += 1
                continue
            if self._bursts:
                due = float(pts * base)
                if ahead is None or now - due > ahead + _PIECE or times.jumped:
                    ahead = now - due
                if self._held.closed.wait(max(0.0, ahead + due - now)):
                    return
            yield Frame(picture, pts, base, self.info.colour, self._segment + times.jumps)

    def close(self) -> None:
        """Let go of the connection, at the latest when a read that waits has timed out."""
        self._held.close()

    def _refused(self, error: Exception, seconds: float) -> InputError:
        kind: type[InputError] = InputError
        late = time.monotonic() - self._opened > 0.9 * seconds
        if late or isinstance(error, av.error.ExitError | TimeoutError):
            fact = f"did not answer within {seconds:g} s; check the address and the network"
        elif isinstance(error, ConnectionRefusedError):
            fact = "refuses connections; is the server running, and the port right?"
        elif isinstance(error, av.error.HTTPUnauthorizedError | av.error.HTTPForbiddenError):
            fact = "refuses whoever asks; give user and password: scheme://USER:PASSWORD@HOST/..."
        elif isinstance(error, av.error.HTTPNotFoundError | FileNotFoundError):
            kind, fact = InputNotFoundError, "has nothing there; check the path of the address"
        elif isinstance(error, av.error.InvalidDataError):
            kind = DamagedMediaError
            fact = "answers, but with nothing that is a video, or that may be read from there"
        else:
            # Its words, without the address that FFmpeg repeats.
            said = getattr(error, "strerror", None) or type(error).__name__
            fact = f"cannot be opened ({said}); check the address and the network"
        return kind(f"{self.name}: {fact}")

    def _broken(self, error: Exception) -> SourceLostError:
        if isinstance(error, av.error.ExitError | TimeoutError):
            return self._lost(_SILENT)
        said = getattr(error, "strerror", None) or type(error).__name__
        return self._lost(f"broke off ({said})")

    def _lost(self, fact: str) -> SourceLostError:
        seconds = time.monotonic() - self._opened
        return SourceLostError(f"{self.name}: {fact}, {seconds:.1f} s after it was opened")


class Times:
    """Makes time stamps rise from 0, whatever a stream's own do."""

    def __init__(self, base: Fraction, rate: Fraction | None) -> None:
        """Count in ``base``; where there is no stamp, ``rate`` says how far apart frames are."""
        self._base, self._step = base, max(1, round(1 / (rate or 25) / base))
        self._last: int | None = None
        self._shift: int | None = None
        self._when = 0.0
        self._behind = 0
        self.jumps = 0
        """How often stamps jumped, or nothing came for longer than a second."""
        self.jumped = False
        """Whether the last one did."""

    def __call__(self, stamp: int | None, now: float) -> int | None:
        """Return pts for the stream's ``stamp``, None for a frame that is to be left out.

        now: seconds; a jump is bridged by the time that has really passed.
        """
        elapsed, self._when = now - self._when, now
        self.jumped = False
        if self._last is None:
            self._last, self._shift = 0, None if stamp is None else -stamp
            return 0
        if stamp is None:
            self._last += self._step
            return self._last
        if self._shift is None:
            # The first frames of RTSP have none until the server told its time.
            self._shift = self._last + self._step - stamp
        pts = stamp + self._shift
        ahead = float((pts - self._last) * self._base)
        if ahead <= 0 and ahead > -_GAP and self._behind < 25:
            self._behind += 1
            return None
        self._behind = 0
        if ahead > _GAP or ahead <= 0:
            self.jumps += 1
            self.jumped = True
            if ahead <= 0 or ahead > elapsed + _GAP:
                pts = self._last + max(self._step, int(elapsed / self._base))
                self._shift = pts - stamp
        self._last = pts
        return pts
