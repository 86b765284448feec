"""Serves the page as the operator wants it."""

from __future__ import annotations

import importlib.util
import os
from dataclasses import replace
from typing import Any

import gradio as gr
from starlette.middleware import Middleware

from inpaint.ui.controls import offered
from inpaint.ui.gate import Gate
from inpaint.ui.listening import keep_heard
from inpaint.ui.options import Options
from inpaint.ui.page import CSS, create_demo
from inpaint.ui.uploads import keep_swept, use_own_folder
from inpaint.ui.words import translations
from inpaint.ui.zero import lent

MCP = "mcp==1.30.0"
"""What the MCP server needs."""
SLACK = 1 << 20
"""Bytes that a request may be longer than the file it brings."""


def fitted(options: Options) -> Options:
    """Return the options as this machine can serve them.

    Raises
    ------
    ValueError
        It cannot, with one sentence.
    """
    if options.device not in ("auto", "cpu"):  # these are always there, and torch need not be asked
        from inpaint.devices import pick

        pick(options.device)
    _tell(options)
    if options.sam:
        from inpaint.devices import pick
        from inpaint.sam import segmenter

        segmenter(options.sam, pick("cpu" if lent() else options.device).name)
    if options.model not in offered():
        raise ValueError(f"--model must be one of {', '.join(offered())}, got {options.model}")
    if options.mcp and importlib.util.find_spec("mcp") is None:
        raise ValueError(f"--mcp needs one package more: pip install {MCP}")
    # A GPU that is lent is never this process's own; `zero.edit` works on it.
    return replace(options, device="cpu") if lent() else options


def _tell(options: Options) -> None:
    """Leave word for the rooms below, which read variables."""
    os.environ["INPAINT_SAM"] = options.sam
    os.environ["INPAINT_DOWNLOADS"] = "all" if options.may_download else "none"


def launch(options: Options, **more: Any) -> gr.Blocks:
    """Start to serve, in threads of its own; `more` goes to Gradio's launch.

    Raises
    ------
    ValueError
        The port is taken.
    """
    _tell(options)
    hosted = "SPACE_ID" in os.environ
    if hosted:  # behind a proxy that names the visitor
        os.environ.setdefault("FORWARDED_ALLOW_IPS", "*")
    use_own_folder()
    demo = create_demo(options)
    largest = options.max_upload << 20
    try:
        demo.launch(
            server_name="0.0.0.0" if hosted else options.host,
            server_port=options.port,
            share=options.share,
            auth=options.users() or None,
            mcp_server=options.mcp,
            max_file_size=largest,
            app_kwargs={
                "middleware": [Middleware(Gate, rate=options.rate, largest=largest + SLACK)]
            },
            enable_monitoring=False,
            css_paths=CSS,
            i18n=translations(),
            ssr_mode=False,
            run_history=False,
            footer_links=[],
            prevent_thread_lock=True,
            **more,
        )
    except OSError as error:
        if "empty port" not in str(error):
            raise
        raise ValueError(f"Port {options.port} is taken; choose another with --port.") from None
    keep_swept(demo)
    keep_heard(demo)
    return demo
