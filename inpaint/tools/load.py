"""Many users at once: `python -m inpaint.tools.load --pid $(pgrep -f app.py) --minutes 10`.

Each user fills pictures of their own through the running page's `/fill`. It is counted how many
requests were answered, refused in a sentence, or lost, whether each answer is the asker's own, and
how the memory, threads and open files of the page's process grow after its first third.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from inpaint import pictures

REFUSALS = ("ahead", "busy", "full", "many", "wait")
"""A refusal that tells to come back says one of these."""
Sample = tuple[float, float, int, int]  # seconds, megabytes, threads, open files


def user(url: str, number: int, end: float, counts: Counter[str]) -> None:
    """Fill small pictures until it is time to end."""
    from gradio_client import Client, handle_file

    rng = np.random.default_rng(number)
    with tempfile.TemporaryDirectory(prefix="inpaint-load-") as folder:
        client = Client(url, verbose=False, download_files=folder)
        while time.monotonic() < end:
            pixels = rng.integers(0, 256, (96, 96, 3), np.uint8)
            mask = np.zeros((96, 96), bool)
            mask[40:52, 40:52] = True
            files = {}
            for name, array in (("picture", pixels), ("mask", mask)):
                path = pictures.write(pictures.read(array), Path(folder, f"{name}.png"))
                files[name] = handle_file(path)
            try:
                answer = client.submit(**files, task="fill", steps=4, api_name="/fill").result(300)
                counts[_judged(answer, pixels, mask)] += 1
            except Exception as error:  # whatever it is, it is counted and told
                said = str(error).splitlines()[0][:120] if str(error) else type(error).__name__
                refused = any(word in said.lower() for word in REFUSALS)
                counts["refused" if refused else f"lost: {said}"] += 1
                time.sleep(random.uniform(0.5, 2))


def _judged(answer: Any, pixels: np.ndarray, mask: np.ndarray) -> str:
    """Say whether an answer is the picture that was asked for, by the pixels far from the mask."""
    filled = pictures.read(answer[0]).pixels
    far = np.ones_like(mask)
    far[30:62, 30:62] = False
    own = filled.shape == pixels.shape and bool((filled[far] == pixels[far]).all())
    return "answered" if own else "another's answer"


def watch(process: int, end: float, every: float = 1.0) -> list[Sample]:
    """Sample a process's memory, threads and open files until it is time to end."""
    samples, began = [], time.monotonic()
    proc = Path(f"/proc/{process}")
    while time.monotonic() < end:
        words = dict(
            line.split(":", 1) for line in (proc / "status").read_text().splitlines() if ":" in line
        )
        memory, threads = int(words["VmRSS"].split()[0]) / 1024, int(words["Threads"])
        files = len(list((proc / "fd").iterdir()))
        samples.append((time.monotonic() - began, memory, threads, files))
        time.sleep(every)
    return samples


def growth(samples: list[Sample]) -> list[float]:
    """Fit lines after the first third; growth a minute of megabytes, threads and files."""
    late = np.array(samples[len(samples) // 3 :])
    if len(late) < 2:
        return [0.0] * 3
    return [float(60 * np.polyfit(late[:, 0], late[:, k], 1)[0]) for k in (1, 2, 3)]


def main() -> int:
    """Run as a command; the exit status is 1 if a request was lost or went to another user."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", default="http://127.0.0.1:7860", help="the page (%(default)s)")
    parser.add_argument("--pid", type=int, required=True, help="the page's process")
    parser.add_argument("--users", type=int, default=8, help="at once (%(default)s)")
    parser.add_argument("--minutes", type=float, default=0.5, help="how long (%(default)s)")
    options = parser.parse_args()
    counts: Counter[str] = Counter()
    end = time.monotonic() + 60 * options.minutes
    users = [
        threading.Thread(target=user, args=(options.url, number, end, counts), daemon=True)
        for number in range(options.users)
    ]
    for one in users:
        one.start()
    try:
        samples = watch(options.pid, end)
    except OSError:
        sys.exit(f"The page's process {options.pid} is not there, or has ended.")
    for one in users:
        one.join(600)
    if hung := sum(one.is_alive() for one in users):
        counts["lost: no answer in ten minutes"] += hung
    for what, count in counts.most_common():
        print(f"{count:6} {what}")
    memory, threads, files = growth(samples)
    print(
        f"at the end {samples[-1][1]:.0f} MB, {samples[-1][2]} threads, {samples[-1][3]} files; "
        f"after warm-up {memory:+.2f} MB, {threads:+.2f} threads, {files:+.2f} files a minute"
    )
    return 0 if counts["answered"] and set(counts) <= {"answered", "refused"} else 1


if __name__ == "__main__":
    sys.exit(main())
