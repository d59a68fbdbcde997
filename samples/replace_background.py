"""The Python API in a few lines: python samples/replace_background.py IN OUT [BACKGROUND]."""

import sys

from vmatte import JobOptions, VmatteError, matte


def main() -> int:
    """Replace the background of a video and say what ran."""
    if len(sys.argv) < 3:
        print(__doc__, file=sys.stderr)
        return 2
    background = sys.argv[3] if len(sys.argv) > 3 else "blur"
    try:
        stats = matte(sys.argv[1], [sys.argv[2]], JobOptions(background=background))
    except VmatteError as error:
        print(error, file=sys.stderr)
        return 1
    print(f"{stats.frames} frames at {stats.fps:.1f} fps with {stats.engine.model}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
