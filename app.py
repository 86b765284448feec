"""Start the page: `python app.py`. On a Hugging Face Space this file is the entry."""

import gc
import os
import signal
import sys
import time
from contextlib import suppress

# Before gradio is imported: no telemetry, no request leaves this machine.
os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
# All that is imported stays: to look through it for garbage again and again is time lost.
gc.disable()
if os.environ.get("SPACES_ZERO_GPU"):
    import spaces  # noqa: F401  # before torch

from inpaint import threads  # noqa: E402

threads.limit()  # before numpy, too

from inpaint.ui import serving, studio  # noqa: E402
from inpaint.ui.options import Options  # noqa: E402


def main() -> None:
    """Read flags and variables, and serve the page."""
    # A container is ended by SIGTERM: it shall clean up as after Ctrl+C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        options = serving.fitted(Options.of(sys.argv[1:], os.environ))
        told = listen_for_the_end()
        demo = serving.launch(options)
    except (ValueError, OSError) as error:
        sys.exit(f"app.py: {error}")
    gc.enable()
    warming = studio.warm_up(options.device, options.model)
    while not told:
        time.sleep(0.1)
    demo.close(verbose=False)
    warming.join()  # a thread that is cut off within torch aborts the process


def listen_for_the_end() -> list[int]:
    """Return where SIGINT or SIGTERM is noted; as an exception it would be lost in a callback."""
    told: list[int] = []

    def note(number: int, frame: object) -> None:
        told.append(number)
        signal.signal(signal.SIGINT, signal.default_int_handler)  # said again by who is in a hurry

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, note)
    return told


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        main()
