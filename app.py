"""Start the page: `python app.py`. On a Hugging Face Space this file is the entry."""

import argparse
import os

# Before gradio is imported: no telemetry, no request leaves this machine.
os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")

from inpaint.devices import DEVICES, pick  # noqa: E402
from inpaint.pictures import MAX_PIXELS  # noqa: E402
from inpaint.ui import studio  # noqa: E402
from inpaint.ui.page import CSS, Options, create_demo  # noqa: E402


def main() -> None:
    """Parse the flags, build the page and serve it."""
    parser = argparse.ArgumentParser(description="Paint over a part of a picture and fill it in.")
    parser.add_argument("--host", default="127.0.0.1", help="0.0.0.0 serves the network too")
    parser.add_argument("--port", type=int, default=7860)
    parser.add_argument("--device", default="auto", choices=DEVICES)
    parser.add_argument("--max-pixels", type=int, default=MAX_PIXELS, help="refuse larger pictures")
    parser.add_argument("--queue", type=int, default=16, help="people who may wait for their turn")
    parser.add_argument("--share", action="store_true", help="a public link, through Gradio")
    options = parser.parse_args()
    try:
        print(f"Computing on: {pick(options.device).why}.")
    except ValueError as error:
        parser.error(str(error))
    demo = create_demo(Options(options.device, options.max_pixels, options.queue))
    hosted = "SPACE_ID" in os.environ
    try:
        demo.launch(
            server_name="0.0.0.0" if hosted else options.host,
            server_port=options.port,
            share=options.share,
            css_paths=CSS,
            ssr_mode=False,
            run_history=False,
            footer_links=[],
            max_file_size="200mb",
            prevent_thread_lock=True,
        )
    except OSError as error:
        parser.error(f"{error} Choose another port with --port.")
    studio.warm_up(options.device)
    demo.block_thread()


if __name__ == "__main__":
    main()
