"""How fast the page answers, measured and printed."""

import numpy as np
import pytest
from board import sheet

pytestmark = pytest.mark.browser


def test_a_stroke_shows_within_50_ms_on_a_large_picture(open_canvas):
    canvas = open_canvas(sheet((6000, 4000)), scale=2)
    canvas.tab.evaluate("""() => {
        globalThis.waits = [];
        document.addEventListener("pointermove", () => {
            const start = performance.now();
            requestAnimationFrame(() => setTimeout(() => waits.push(performance.now() - start)));
        });
    }""")
    canvas.drag((1000, 1000), (3000, 1500), (5000, 1000), (4000, 3000), (2000, 2000))
    canvas.strokes(1)
    waits = canvas.tab.evaluate("waits")
    assert len(waits) > 10 and np.median(waits) < 50
