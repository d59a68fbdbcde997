"""The parts by hand: count how much of each frame is subject, without writing a file."""

import sys

from vmatte import load_matter, open_source


def main() -> None:
    """Print the share of the picture that the subject takes, frame by frame."""
    if len(sys.argv) != 2:
        sys.exit("usage: python samples/own_pipeline.py VIDEO")
    source = open_source(sys.argv[1])
    matter = load_matter()
    state = None
    try:
        for frame in source:
            size = matter.working_size(frame.width, frame.height)
            if state is None:
                state = matter.start(*size)
            found, state = matter.step(frame.rgb(size), state)
            print(f"{float(frame.time):8.3f} s  {found.alpha.mean():6.1%}")
    finally:
        source.close()
        matter.close()


if __name__ == "__main__":
    main()
