// The mask canvas in the browser: strokes, pointers, tools, and the value. canvas.py describes what
// goes in and out. Strokes are vectors in the picture's own pixels, and Python makes the one
// authoritative mask from them; the browser only shows a work copy and an overlay.

const cursor = find(".cursor");
const shape = find(".shape path");
const sizeSlider = find("input[type=range]");
const MASK_SIDE = 2048; // long side of the mask layer

let strokes = [];
let undone = [];
let live = null; // the stroke being made
let tool = "brush";
let loads = 0; // numbers the values and previews, for a late one to know that it is overtaken
let previews = 0;
let loading = false;

// ---- Strokes and their history ----------------------------------------------------------------

function drawMask() {
  const { width, height, under } = picture;
  const scale = Math.min(8, MASK_SIDE / Math.max(width, height));
  mask.canvas.width = Math.ceil(width * scale); // also clears
  mask.canvas.height = Math.ceil(height * scale);
  mask.scale(scale, scale);
  if (under) mask.drawImage(under, 0, 0, width, height);
  for (const stroke of strokes) drawStroke(mask, stroke, picture);
  redraw();
}

const locked = () => !picture || loading || Boolean(props.busy);

function publish() {
  // The links travel as plain strings: as file records Gradio would check and copy them each time.
  const { src, base, width, height } = picture;
  props.value = { src, base, width, height, strokes };
  trigger("input");
  refresh();
}

function commit(stroke) {
  strokes = [...strokes, stroke];
  undone = [];
  publish();
}

function whole(tool) {
  const stroke = { tool, radius: 0, points: [] };
  drawStroke(mask, stroke, picture);
  redraw();
  commit(stroke);
}

function undo() {
  if (!strokes.length) return;
  undone.push(strokes.at(-1));
  strokes = strokes.slice(0, -1);
  drawMask();
  publish();
}

function redo() {
  if (!undone.length) return;
  strokes = [...strokes, undone.pop()];
  drawMask();
  publish();
}

const freehand = () => tool === "brush" || tool === "eraser";

function begin(event) {
  const radius = freehand() ? sizeSlider.valueAsNumber / view.scale : 0;
  live = { tool, radius: Math.round(radius * 100) / 100, points: [picturePoint(event)] };
  if (event.altKey || event.button === PEN_ERASER) live.erase = true;
  extend([]);
}

function extend(events) {
  const { points, radius } = live;
  const from = points.length - 1;
  for (const event of events) {
    const point = picturePoint(event);
    const [x, y] = points.at(-1);
    const step = Math.hypot(point[0] - x, point[1] - y) * view.scale;
    if (tool === "rectangle") points[1] = point;
    else if (step >= 0.5) points.push(point);
  }
  if (freehand()) {
    const fresh = points.slice(from);
    drawStroke(mask, { ...live, points: fresh }, picture);
    const [xs, ys] = [fresh.map(([x]) => x), fresh.map(([, y]) => y)];
    const [left, top] = [Math.min(...xs) - radius, Math.min(...ys) - radius];
    redraw([left, top, Math.max(...xs) + radius, Math.max(...ys) + radius]);
  } else {
    const [[x0, y0], [x1, y1]] = [points[0], points.at(-1)];
    const corners =
      tool === "lasso"
        ? points
        : [
            [x0, y0],
            [x1, y0],
            [x1, y1],
            [x0, y1],
          ];
    const place = ([x, y]) => `${x * view.scale + view.x} ${y * view.scale + view.y}`;
    shape.setAttribute("d", `M${corners.map(place).join("L")}Z`);
  }
}

function finish() {
  const stroke = live;
  live = null;
  shape.setAttribute("d", "");
  stroke.points = simplify(stroke.points, 0.25 / view.scale);
  const shaped = { rectangle: 2, lasso: 3 }[stroke.tool] ?? 1;
  if (stroke.points.length < shaped) return; // a click with a shape tool
  if (shaped > 1) {
    drawStroke(mask, stroke, picture);
    redraw();
  }
  commit(stroke);
}

function abandon() {
  live = null;
  shape.setAttribute("d", "");
  drawMask();
}

// ---- Pointers: one paints, two move and pinch -------------------------------------------------

const [MIDDLE, PEN_ERASER] = [1, 5]; // PointerEvent.button
const pointers = new Map();
let moving = false; // the present pointers move the view
let spaceHeld = false;

function showCursor(event) {
  const shown = event.pointerType !== "touch" && freehand() && !moving && !spaceHeld;
  cursor.hidden = !shown || locked();
  const [x, y] = stagePoint(event);
  cursor.style.width = cursor.style.height = `${2 * sizeSlider.valueAsNumber}px`;
  cursor.style.translate = `calc(${x}px - 50%) calc(${y}px - 50%)`;
}

stage.addEventListener("pointerdown", (event) => {
  if (!picture || ![0, MIDDLE, PEN_ERASER].includes(event.button)) return;
  if (event.button === MIDDLE) event.preventDefault(); // no autoscroll
  stage.setPointerCapture(event.pointerId);
  pointers.set(event.pointerId, stagePoint(event));
  if (pointers.size > 1 && live) abandon(); // it was the first finger of two
  if (pointers.size > 1 || spaceHeld || event.button === MIDDLE) moving = true;
  else if (!moving && !locked()) begin(event);
  showCursor(event);
});

stage.addEventListener("pointermove", (event) => {
  showCursor(event);
  if (!pointers.has(event.pointerId)) return;
  if (live) {
    const merged = event.getCoalescedEvents?.() ?? [];
    extend(merged.length ? merged : [event]);
  } else if (moving) {
    const hold = () => {
      const [[ax, ay], [bx, by] = [ax, ay]] = [...pointers.values()];
      return { middle: [(ax + bx) / 2, (ay + by) / 2], spread: Math.hypot(bx - ax, by - ay) };
    };
    const before = hold();
    pointers.set(event.pointerId, stagePoint(event));
    const after = hold();
    const factor = before.spread ? after.spread / before.spread : 1;
    moveView(view.scale * factor, before.middle, after.middle);
  }
});

function release(event) {
  if (!pointers.delete(event.pointerId)) return;
  if (live && event.type === "pointerup") finish();
  else if (live) abandon();
  if (!pointers.size) moving = false;
}
stage.addEventListener("pointerup", release);
stage.addEventListener("pointercancel", release);
stage.addEventListener("pointerleave", () => (cursor.hidden = true));

stage.addEventListener(
  "wheel",
  (event) => {
    if (!picture || live) return;
    const inside = ([px, py]) => px >= 0 && py >= 0 && px < picture.width && py < picture.height;
    const pinch = event.ctrlKey || event.metaKey;
    const outward = event.deltaY > 0 && view.whole;
    if (!pinch && (outward || !inside(picturePoint(event)))) return; // the page scrolls
    event.preventDefault();
    const lines = event.deltaMode === 1 ? 16 : 1;
    const turn = clamp(event.deltaY * lines, -120, 120) * (pinch ? 0.01 : 0.002);
    moveView(view.scale * Math.exp(-turn), stagePoint(event));
  },
  { passive: false },
);

// ---- Tools and keys ---------------------------------------------------------------------------

function pick(name) {
  tool = name;
  root.dataset.tool = name;
  refresh();
}

function grow(factor) {
  const size = sizeSlider.valueAsNumber;
  sizeSlider.valueAsNumber = factor > 1 ? Math.max(size + 1, size * factor) : size * factor;
  cursor.style.width = cursor.style.height = `${2 * sizeSlider.valueAsNumber}px`;
}

const views = {
  fit: () => zoomTo(0),
  closer: () => zoomTo(view.scale * 1.4),
  farther: () => zoomTo(view.scale / 1.4),
};
const actions = {
  brush: () => pick("brush"),
  eraser: () => pick("eraser"),
  rectangle: () => pick("rectangle"),
  lasso: () => pick("lasso"),
  undo,
  redo,
  clear: () => whole("clear"),
  invert: () => whole("invert"),
  smaller: () => grow(1 / 1.15),
  larger: () => grow(1.15),
  open: () => chooser.click(),
};
const keys = { b: "brush", e: "eraser", r: "rectangle", l: "lasso", i: "invert" };
Object.assign(keys, { "[": "smaller", "]": "larger", 0: "fit", "+": "closer", "-": "farther" });

function act(name) {
  if (live) return;
  if (name in views) picture && views[name]();
  else if (name === "open" ? !props.busy : !locked()) actions[name]();
}

function refresh() {
  root.classList.toggle("empty", !picture && !loading);
  root.classList.toggle("busy", Boolean(props.busy));
  for (const button of root.querySelectorAll("[data-do]")) {
    const name = button.dataset.do;
    const idle = {
      undo: strokes.length,
      redo: undone.length,
      clear: strokes.length || picture?.under,
    };
    button.disabled = !(name in views) && (Boolean(props.busy) || !(idle[name] ?? true));
    if (button.hasAttribute("aria-pressed")) button.setAttribute("aria-pressed", name === tool);
  }
  sizeSlider.disabled = Boolean(props.busy);
}

root.addEventListener("click", (event) => {
  const button = event.target.closest("[data-do]");
  if (button) act(button.dataset.do);
});

onPage("keydown", (event) => {
  if (typing(event.target) || event.altKey || event.defaultPrevented) return;
  const key = event.key.toLowerCase();
  let name = keys[key];
  if (event.ctrlKey || event.metaKey)
    name = { z: event.shiftKey ? "redo" : "undo", y: "redo" }[key];
  if (key === " " && stage.matches(":hover")) {
    spaceHeld = true;
    cursor.hidden = true;
    root.classList.add("grab");
  } else if (!name) return;
  else act(name);
  event.preventDefault();
});
onPage("keyup", (event) => {
  if (event.key !== " ") return;
  spaceHeld = false;
  root.classList.remove("grab");
});

// ---- What Python sets -------------------------------------------------------------------------

const link = (file) => file?.url ?? file ?? null;

async function decoded(src) {
  if (!src) return null;
  const image = new Image();
  image.src = src;
  await image.decode();
  return image;
}

async function load() {
  const ticket = ++loads;
  const value = props.value || {};
  const { width, height } = value;
  const [src, base] = [link(value.src), link(value.base)];
  if (live) abandon();
  let next = null;
  loading = Boolean(src);
  try {
    if (src && src === picture?.src && base === picture.base) next = { ...picture, width, height };
    else if (src) {
      const [image, under] = await Promise.all([decoded(src), decoded(base)]);
      next = { src, base, width, height, image, under };
    }
  } catch {
    say("The picture could not be shown.");
  }
  if (ticket !== loads) return; // a later value overtook this one
  loading = false;
  const sameSize = width === picture?.width && height === picture?.height;
  picture = next;
  strokes = value.strokes ?? [];
  undone = [];
  refresh();
  if (!props.busy) preview = null;
  if (!picture) return;
  drawMask();
  if (!sameSize) zoomTo(0); // a result of the same size keeps the view
}

// Previews belong to a run. Its last one stays until the result is there to take its place.
function onBusy() {
  if (!props.busy && !loading) preview = null;
  refresh();
  if (picture) redraw();
}

async function showPreview() {
  const ticket = ++previews;
  const wanted = props.preview;
  const image = await decoded(wanted?.src).catch(() => null);
  if (ticket !== previews) return;
  preview = image && { image, box: wanted.box };
  if (picture) redraw();
}

for (const [name, handler] of Object.entries({
  value: load,
  preview: showPreview,
  busy: onBusy,
})) {
  watch(name, handler);
}
new ResizeObserver(resize).observe(stage);
resize();
load();
showPreview();

// For tests: where a point of the picture lies in the window, and what is shown.
root.canvasView = {
  toScreen: (x, y) => {
    const box = stage.getBoundingClientRect();
    return [box.left + x * view.scale + view.x, box.top + y * view.scale + view.y];
  },
  get zoom() {
    return view.scale;
  },
  get size() {
    return picture && !loading ? [picture.width, picture.height] : null;
  },
};
