"""Trains the network: python -m training.train --help.

Stills first, then longer and longer sequences. Step n draws its batch from seed + n, so that a
run that is stopped and resumed sees what an unbroken one sees. The same command runs on a CPU
and on a GPU; there with larger --frames.
"""

from __future__ import annotations

import argparse
import copy
import json
import math
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from training.cores import Cores
from training.losses import matting_loss
from training.motion import Dice
from training.network import MattingNet
from training.optimiser import Optimisers
from training.pack import unpack
from training.sequences import Batch, Maker
from training.validate import validate

# Share of the plan at which a phase ends, the longest sequence learnt from in it, and its share
# of --area: the first steps learn what people are, for which small pictures do.
PHASES = ((0.15, 1, 0.55), (0.30, 1, 1.0), (0.50, 4, 1.0), (0.80, 8, 1.0), (1.01, 12, 1.0))
ZOOMS = (0.6, 1.0, 1.8, 3.0)  # shares of --area in the phases of full size


@dataclass(frozen=True)
class Lesson:
    """What one step trains on: `warm` frames that only fill the state, then `learn` frames."""

    batch: int
    warm: int
    learn: int
    area: float  # share of the full number of pixels
    frozen: bool  # batch norm uses the statistics that it has


def lesson(dice: Dice, step: int, steps: int, frames: int) -> Lesson:
    """Stills in a third of the steps, else sequences, mostly short ones after some that only warm.

    Stills and short sequences show more people for the same work; what the network must know of
    longer times it learns from fewer, the longest where frames are small. The statistics of batch
    norm are learnt in the phases of stills and stay: a few sequences of alike frames would give
    poor ones.
    """
    longest, area = next((t, a) for end, t, a in PHASES if step / steps < end)
    if area == 1.0:  # people of all sizes in pixels, about the same number of pixels per step
        area = ZOOMS[int(dice.below(len(ZOOMS), 1))]
        frames = max(2, round(frames / area))
        longest = round(longest / min(area, 1.0)) if longest > 1 else 1
    if longest == 1 or dice.number() < 0.35:
        return Lesson(frames, 0, 1, area, longest > 1)
    learn = min(4, longest) if dice.number() < 0.7 else longest
    # Half of the sequences begin cold, as the first frames of a video do, half with a state.
    warm = int(dice.below(longest, 1)) + 1 if dice.number() < 0.5 else 0
    return Lesson(max(2, frames // learn), warm, learn, area, True)


def learning_rate(step: int, steps: int, peak: float) -> float:
    """Warm-up over 1 % of the plan, then flat, then a cosine to 1 % over its second half."""
    rise = min(1.0, (step + 1) / max(1.0, 0.01 * steps))
    fall = min(1.0, max(0.0, (step / steps - 0.5) / 0.5))
    return peak * rise * (0.01 + 0.99 * (1 + math.cos(math.pi * fall)) / 2)


class Trainer:
    """Network, averaged network and optimisers, with their checkpoint."""

    def __init__(self, options: argparse.Namespace, device: torch.device) -> None:
        self.options, self.device = options, device
        torch.manual_seed(options.seed)
        self.net = MattingNet()
        if options.begin and options.init is None:
            raise ValueError("--begin is the step at which --init was exported; give --init too")
        if options.begin:
            from training.export import restored  # needs onnxruntime, which training does not

            self.net = restored(options.init)
        elif options.init is not None:
            self.net.encoder.load_published(options.init)
        if options.fix_edges:
            self.net.encoder.fix_edges()
        self.net.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.average = copy.deepcopy(self.net).eval()
        self.optimiser = Optimisers(self.net, self.net.encoder, share=0.3, decay=1e-3)
        self.step = options.begin
        self.seconds = 0.0  # of training so far, over all runs

    def state(self) -> dict[str, Any]:
        return {
            "net": self.net.state_dict(),
            "average": self.average.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "step": self.step,
            "seconds": self.seconds,
        }

    def save(self, path: Path) -> None:
        part = path.with_suffix(".part")
        torch.save(self.state(), part)
        part.replace(path)

    def resume(self, path: Path) -> None:
        state = torch.load(path, map_location=self.device, weights_only=True)
        self.net.load_state_dict(state["net"])
        self.average.load_state_dict(state["average"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.step, self.seconds = state["step"], state["seconds"]

    def learn(self, batch: Batch, plan: Lesson) -> dict[str, float]:
        """One step on frames [T,B,...], the first of which, `plan.warm`, only fill the state."""
        self.net.train()
        for module in self.net.modules():
            if plan.frozen and isinstance(module, nn.BatchNorm2d):
                module.eval()
        warm = plan.warm
        self.optimiser.set_rate(learning_rate(self.step, self.options.steps, self.options.lr))
        _, count, _, height, width = batch.frames.shape
        state = self.net.start(count, height, width)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.options.bf16):
            if warm:
                with torch.no_grad():
                    _, _, state = self.net(packed(batch.frames[:warm]), state, warm)
            frames, target = batch.frames[warm:], batch.alphas[warm:]
            logits, coarse, _ = self.net(packed(frames), state, len(frames))
        loss, parts = matting_loss(logits.view_as(target), coarse, target, batch.weights[warm:])
        self.optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        norm = nn.utils.clip_grad_norm_(self.net.parameters(), 1.0)
        if bool(torch.isfinite(norm)):  # one bad batch must not end a run of hours
            self.optimiser.step()
        self.step += 1
        self.follow()
        return parts | {"norm": float(norm)}

    @torch.no_grad()
    def follow(self) -> None:
        """Moves the averaged weights; faster at the start, when they are still far away."""
        decay = min(self.options.average, (1 + self.step) / (10 + self.step))
        ours = self.net.state_dict()
        for name, value in self.average.state_dict().items():
            if value.dtype.is_floating_point:
                value.lerp_(ours[name], 1 - decay)
            else:
                value.copy_(ours[name])


def packed(frames: Tensor) -> Tensor:
    """[T,B,3,H,W] -> [T*B,3,H,W] with channels last in memory."""
    return frames.flatten(0, 1).contiguous(memory_format=torch.channels_last)


def pick_device(name: str) -> torch.device:
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(name)


def run(options: argparse.Namespace) -> Trainer:
    """Trains until --steps or --time-limit; saves, validates and logs on the way."""
    started = time.monotonic()
    device = pick_device(options.device)
    many = options.threads or torch.get_num_threads()
    fixed = options.threads > 0 or device.type != "cpu" or many == 1
    cores = Cores((many,) if fixed else (many, many - 1), torch.set_num_threads)
    torch.backends.cudnn.benchmark = True
    out: Path = options.out
    out.mkdir(parents=True, exist_ok=True)
    items, canvases = unpack(options.pack, options.cache or out)
    maker = Maker(items, canvases, device)
    held = Maker(items, canvases, device, held_out=True)
    trainer = Trainer(options, device)
    last = out / "last.pt"
    if last.exists():
        trainer.resume(last)
    print(f"{device}, step {trainer.step} of {options.steps}, {len(items)} items", flush=True)
    stop = False

    def ask_to_stop(*_: object) -> None:
        nonlocal stop
        stop = True

    before = {s: signal.signal(s, ask_to_stop) for s in (signal.SIGTERM, signal.SIGINT)}
    saved = checked = mark = time.monotonic()
    sums: dict[str, float] = {}
    count = seen = 0

    def prepare(step: int) -> tuple[Lesson, Batch]:
        dice = Dice(options.seed * 1_000_003 + step, torch.device("cpu"))
        plan = lesson(dice, step, options.steps, options.frames)
        seed = int(dice.below(2**31, 1))
        area = round(plan.area * options.area)
        return plan, maker.make(seed, plan.batch, plan.warm + plan.learn, area)

    # The next batch is made while this one is learnt from.
    ahead = ThreadPoolExecutor(1, initializer=torch.set_num_threads, initargs=(1,))
    upcoming = ahead.submit(prepare, trainer.step)
    while trainer.step < options.steps and not stop:
        begin = time.monotonic()
        if options.time_limit and begin - started > options.time_limit * 60:
            break
        plan, batch = upcoming.result()
        upcoming = ahead.submit(prepare, trainer.step + 1)
        parts = trainer.learn(batch, plan)
        now = time.monotonic()
        trainer.seconds += now - begin
        cores.note(batch.frames.numel(), now - begin)
        count, seen = count + 1, seen + plan.batch * (plan.warm + plan.learn)
        for name, value in parts.items():
            sums[name] = sums.get(name, 0.0) + value
        if trainer.step % options.log_every == 0:
            means = " ".join(f"{k} {v / count:.4f}" for k, v in sums.items())
            rate = seen / max(now - mark, 1e-9)
            print(f"step {trainer.step} {means} | {rate:.1f} frames/s", flush=True)
            sums, count, seen, mark = {}, 0, 0, now
        if now - saved > options.save_every * 60:
            trainer.save(last)
            saved = now
        if now - checked > options.check_every * 60:
            report(trainer, held, out)
            checked = mark = time.monotonic()
            seen = 0
    ahead.shutdown(cancel_futures=True)
    for number, handler in before.items():
        signal.signal(number, handler)
    trainer.save(last)
    report(trainer, held, out)
    return trainer


def report(trainer: Trainer, held: Maker, out: Path) -> None:
    """Validates the averaged weights, logs it, keeps the best."""
    scores = validate(trainer.average, held, trainer.options.area, trainer.options.check_batches)
    row = {"step": trainer.step, "hours": round(trainer.seconds / 3600, 3), **scores}
    log = out / "validation.jsonl"
    rows = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
    if all(scores["score"] <= r["score"] for r in rows):
        trainer.save(out / "best.pt")
    with log.open("a") as sink:
        print(json.dumps(row), file=sink)
    print("validation", json.dumps(row), flush=True)


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(description="Trains the matting network; resumes by itself.")
    p.add_argument("--pack", type=Path, required=True, help="file written by training.pack")
    p.add_argument("--out", type=Path, required=True, help="folder of checkpoints and logs")
    p.add_argument("--cache", type=Path, help="folder of the unpacked pictures; default: --out")
    p.add_argument(
        "--init", type=Path, help="deeplabv3_mnv2_257.onnx, or with --begin an exported network"
    )
    p.add_argument(
        "--begin", type=int, default=0, help="step of the plan at which --init was exported"
    )
    p.add_argument("--steps", type=int, default=40000, help="length of the whole plan")
    p.add_argument("--frames", type=int, default=24, help="frames per step")
    p.add_argument("--area", type=int, default=144 * 256, help="pixels per frame")
    p.add_argument("--lr", type=float, default=1e-3)
    p.add_argument(
        "--fix-edges", action="store_true", help="late in a run: the encoder's first half rests"
    )
    p.add_argument("--average", type=float, default=0.999, help="decay of the averaged weights")
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--device", default="auto", help="auto, cpu, cuda")
    p.add_argument("--threads", type=int, default=0, help="0: all cores or one less, as it goes")
    p.add_argument("--bf16", action=argparse.BooleanOptionalAction, default=True)
    p.add_argument("--time-limit", type=float, default=0, help="minutes; 0: none")
    p.add_argument("--save-every", type=float, default=5, help="minutes")
    p.add_argument("--check-every", type=float, default=20, help="minutes")
    p.add_argument("--check-batches", type=int, default=8)
    p.add_argument("--log-every", type=int, default=50, help="steps")
    return p


if __name__ == "__main__":
    run(parser().parse_args())
