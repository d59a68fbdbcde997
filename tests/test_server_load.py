"""Many at once: served or politely refused, none lost, memory bounded."""

from pathlib import Path

from serving import expect_no_litter, running

from benchmarks.server import measure


def test_many_uploads_at_once(tmp_path: Path) -> None:
    with running(tmp_path, "--waiting", "6") as server:
        assert server.process is not None
        found = measure(server.url, server.process.pid, clients=32, side=320)
        expect_no_litter(tmp_path)
    assert found["lost"] == 0, found
    assert found["served in the end"] == 32
    # Two at work and six waiting; the others were told to come again.
    assert found["served at once"] >= 8 and found["refused at first"] >= 1
    assert found["served at once"] + found["refused at first"] == 32
    assert found["peak, MB"] < found["peak before, MB"] + 200, found
