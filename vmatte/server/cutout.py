"""One picture in, its cut-out out."""

from pathlib import Path
from typing import Any

from vmatte.composite import AlphaOutput, Composite, Compositor, Subject, parse_background
from vmatte.matting import Matter
from vmatte.pipeline import Output, Pipeline
from vmatte.sinks import open_sink
from vmatte.sources import open_source


def cut_out(source: Path, target: Path, matter: Matter[Any], *, background: str, only: str) -> None:
    """Matte the picture ``source`` into ``target``, whose suffix says how it is written.

    background: as parse_background takes it. only: 'picture', or 'alpha' for the matte itself.
    Raises VmatteError.
    """
    compositor: Compositor
    if only == "alpha":
        compositor = AlphaOutput()
    else:
        behind = parse_background(background)
        compositor = Subject(transparent=True) if behind is None else Composite(behind)
    opened = open_source(str(source))
    output = Output(compositor, open_sink(str(target), still=True))
    try:
        output.open(opened.info)
    except BaseException:
        opened.close()
        raise
    Pipeline(opened, matter, [output], workers=1).run()
