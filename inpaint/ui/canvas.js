// The mask canvas in the browser: pointers, tools, keys, and what Python sets. canvas.py describes
// what goes in and out; the files before this one hold the parts.

let loads = 0; // numbers the values and previews, for a late one to know that it is overtaken
let previews = 0;
let loading = false;
let ready = null; // resolves when the present value is shown

// ---- Pointers: one paints, two move and pinch -------------------------------------------------

const [MIDDLE, PEN_ERASER] = [1, 5]; // PointerEvent.button
const pointers = new Map();
let moving = false; // the present pointers move the view
let spaceHeld = false;

function showCursor(event) {
  const seen = event.pointerType !== "touch" && freehand() && !moving && !spaceHeld;
  cursor.hidden = !seen || locked() || reviewing();
  const [x, y] = stagePoint(event);
  root.classList.toggle("erasing", tool === "eraser" || (event.altKey && tool !== "paint"));
  cursor.style.width = cursor.style.height = `${2 * sizeSlider.valueAsNumber}px`;
  cursor.style.translate = `calc(${x}px - 50%) calc(${y}px - 50%)`;
}

stage.addEventListener("pointerdown", (event) => {
  if (!picture || ![0, MIDDLE, PEN_ERASER].includes(event.button)) return;
  if (event.button === MIDDLE) event.preventDefault(); // no autoscroll
  stage.setPointerCapture(event.pointerId);
  pointers.set(event.pointerId, stagePoint(event));
  if (pointers.size > 1 && live) abandon(); // it was the first finger of two
  if (pointers.size > 1 && corners?.fresh) leavePolygon();
  if (layerOn) return keepLayer();
  toggleMenu(false);
  if (pointers.size > 1) splitting = false;
  if (pointers.size > 1 || spaceHeld || event.button === MIDDLE) moving = true;
  else if (mode === "sure") moving = true;
  else if (mode === "compare") {
    splitting = true;
    moveSplit(stagePoint(event)[0]);
  }
  else if (!moving && !locked()) begin(event);
  showCursor(event);
});

stage.addEventListener("pointermove", (event) => {
  showCursor(event);
  if (corners && !moving && event.pointerType !== "touch") moveCorner(event);
  if (!pointers.has(event.pointerId)) return;
  if (splitting) {
    pointers.set(event.pointerId, stagePoint(event));
    moveSplit(stagePoint(event)[0]);
  } else if (live) {
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
  else if (corners && !moving && event.type === "pointerup") setCorner(event);
  if (!pointers.size) moving = splitting = false;
}
stage.addEventListener("pointerup", release);
stage.addEventListener("pointercancel", release);
stage.addEventListener("pointerleave", () => (cursor.hidden = true));

stage.addEventListener(
  "wheel",
  (event) => {
    if (!picture || live) return;
    const { width, height } = shown();
    const inside = ([px, py]) => px >= 0 && py >= 0 && px < width && py < height;
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

const TOOLS = [...root.querySelectorAll(".rail [data-do]")].map((button) => button.dataset.do);
const GUIDED = ["paint", "paste"]; // only where Python asks for a guide
const TIPS = { polygon: "polygon_tip", snap: "snap_tip" };

const available = (name) => Boolean(props.guide) || !GUIDED.includes(name);

function pick(name) {
  if (!available(name)) return;
  tool = name;
  root.dataset.tool = name;
  say(name in TIPS ? word(TIPS[name]) : "");
  announce(word(name));
  refresh();
  if (name === "paste") secondChooser.click();
}

function resizeBrush(factor) {
  const size = sizeSlider.valueAsNumber;
  sizeSlider.valueAsNumber = factor > 1 ? Math.max(size + 1, size * factor) : size * factor;
  cursor.style.width = cursor.style.height = `${2 * sizeSlider.valueAsNumber}px`;
}

const views = {
  fit: () => zoomTo(0),
  closer: () => zoomTo(view.scale * 1.4),
  farther: () => zoomTo(view.scale / 1.4),
  more: () => toggleMenu(),
  help: showHelp,
  close: () => help.close(),
  "paint-view": () => setMode("paint"),
  "compare-view": () => setMode("compare"),
  "sure-view": () => setMode("sure"),
  original: () => {}, // while it is held, see canvas_panel.js
};
const actions = {
  ...Object.fromEntries(TOOLS.map((name) => [name, () => pick(name)])),
  undo,
  redo,
  grow: () => reshapeBy("grow"),
  shrink: () => reshapeBy("shrink"),
  clear: () => whole("clear"),
  invert: () => whole("invert"),
  smaller: () => resizeBrush(1 / 1.15),
  larger: () => resizeBrush(1.15),
  open: () => chooser.click(),
  load: () => maskChooser.click(),
  save: () => trigger("mask_download"),
  camera: openCamera,
  shoot,
  unshoot: () => cameraDialog.close(),
};
const READING = ["help", "close"]; // they need no picture either
const ARRIVING = ["open", "camera", "shoot", "unshoot"]; // they need no picture
const ASIDE = [...ARRIVING, "load", "save", "smaller", "larger"]; // they change nothing painted
const keys = {
  b: "brush",
  e: "eraser",
  r: "rectangle",
  o: "ellipse",
  l: "lasso",
  p: "polygon",
  f: "fill",
  s: "snap",
  c: "paint",
  i: "invert",
  ".": "grow",
  ",": "shrink",
  "[": "smaller",
  "]": "larger",
  0: "fit",
  "+": "closer",
  "-": "farther",
  "?": "help",
};

const finishing = { enter: closePolygon, escape: leavePolygon, backspace: takeBack };

function act(name) {
  if (live) return;
  if (name in views) return (picture || READING.includes(name)) && views[name]();
  if (ARRIVING.includes(name) ? props.busy : locked()) return;
  if (reviewing() && !ASIDE.includes(name)) {
    setMode("paint"); // what was painted is seen again, and changed
    if (name === "undo") return;
  }
  if (corners && name === "undo") return takeBack();
  if (corners && !["smaller", "larger"].includes(name)) leavePolygon();
  if (layerOn && name === "undo") return dropLayer();
  if (layerOn) keepLayer();
  actions[name]();
}

function refresh() {
  root.classList.toggle("empty", !picture && !loading);
  root.classList.toggle("busy", Boolean(props.busy));
  if (!available(tool)) pick("brush");
  const useful = {
    load: !props.merging,
    undo: strokes.length || props.earlier || reviewing(),
    redo: undone.length || (!reviewing() && isLatest()),
    clear: strokes.length || picture?.under,
  };
  for (const button of root.querySelectorAll("[data-do]")) {
    const name = button.dataset.do;
    button.disabled = !(name in views) && (Boolean(props.busy) || !(useful[name] ?? true));
    if (GUIDED.includes(name)) button.hidden = !props.guide;
    const active = name.endsWith("-view") ? name === `${mode}-view` : name === tool && !reviewing();
    if (button.hasAttribute("aria-pressed")) button.setAttribute("aria-pressed", active);
  }
  const { width, height } = shown() ?? {};
  const resized = reviewing() && (width !== picture.width || height !== picture.height);
  const now = resized ? ` → ${width} × ${height}` : "";
  find(".caption").textContent = `${picture?.caption ?? ""}${now}`;
  find(".modes").hidden = !review || Boolean(props.busy);
  find("[data-do=sure-view]").hidden = !review?.sure;
  sizeSlider.disabled = Boolean(props.busy);
  paintColour.hidden = tool !== "paint";
}

root.addEventListener("click", (event) => {
  const button = event.target.closest("[data-do]");
  if (button) act(button.dataset.do);
});
// What is in sight counts: a button of the page finds it among the strokes.
function settle({ target }) {
  if (locked() || root.contains(target) || !target.closest?.("button")) return;
  if (corners?.points.length > 2) closePolygon();
  if (layerOn) keepLayer();
}
onPage("click", settle, { capture: true });

stage.addEventListener("contextmenu", (event) => live && event.preventDefault()); // a long touch
addEventListener("blur", letGo, { signal: outside.signal });

function letGo() {
  seeOriginal(false);
  spaceHeld = false;
  root.classList.remove("grab");
}
// Space presses what has the focus, if that is none of the canvas's own.
const presses = (target) =>
  !root.contains(target) && target.closest?.("button, a, input, summary, [role], [tabindex]");

onPage("keydown", (event) => {
  if (typing(event.target) || event.altKey || event.defaultPrevented || find("dialog[open]")) return;
  const key = event.key.toLowerCase();
  let name = keys[key];
  if (corners && finishing[key]) {
    finishing[key]();
    return event.preventDefault();
  }
  if (key === "\\") return seeOriginal(true);
  if (key === "escape") {
    if (live) abandon();
    endSearch();
  }
  if (event.ctrlKey || event.metaKey)
    name = { z: event.shiftKey ? "redo" : "undo", y: "redo" }[key];
  if (key === " " && stage.matches(":hover") && !presses(event.target)) {
    spaceHeld = true;
    cursor.hidden = true;
    root.classList.add("grab");
  } else if (!name) return;
  else act(name);
  event.preventDefault();
});
onPage("keyup", (event) => {
  if (event.key === "\\" || event.key === " ") letGo();
});

// ---- What Python sets -------------------------------------------------------------------------

const link = (file) => file?.url ?? file ?? null;
// Python names files by their path; the links of all begin like the picture's.
function served(path) {
  const src = link(props.value?.src) ?? "";
  return src.slice(0, src.indexOf("file=") + 5) + path;
}

async function decoded(src) {
  if (!src) return null;
  const image = new Image();
  image.src = src;
  await image.decode();
  return image;
}

const load = () => (ready = loadValue());

async function loadValue() {
  const ticket = ++loads;
  const value = props.value || {};
  const { width, height, caption } = value;
  const [src, base] = [link(value.src), link(value.base)];
  if (live) abandon();
  setMode("paint");
  leavePolygon();
  dropLayer();
  endSearch();
  let next = null;
  loading = Boolean(src);
  try {
    if (src && src === picture?.src && base === picture.base) next = { ...picture, width, height, caption };
    else if (src) {
      const [image, under] = await Promise.all([decoded(src), decoded(base)]);
      next = { src, base, width, height, caption, image, under };
    }
    await fetchPasted(value.strokes ?? []);
  } catch {
    say(word("unseen"));
  }
  if (ticket !== loads) return; // a later value overtook this one
  loading = false;
  const sameSize = width === picture?.width && height === picture?.height;
  picture = next;
  strokes = value.strokes ?? [];
  undone = [];
  settled = [];
  lastEnd = null;
  refresh();
  if (!props.busy) preview = null;
  if (!picture) return;
  drawMask();
  if (!sameSize) zoomTo(0); // a result of the same size keeps the view
}

async function fetchPasted(strokes) {
  const paths = strokes.map(({ path }) => path).filter((path) => path && !pasted.has(path));
  const fetched = paths.map(async (path) => pasted.set(path, await decoded(served(path))));
  await Promise.all(fetched);
}

// Previews belong to a run. Its last one stays until the result is there to take its place.
function onBusy() {
  if (props.busy && live) abandon();
  if (props.busy) {
    setMode("paint");
    leavePolygon();
  }
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
  append: onAppend,
  review: onReview,
  earlier: refresh,
  merging: refresh,
  grow: drawBand,
  feather: drawBand,
  guide: refresh,
  lang: writeWords,
})) {
  watch(name, handler);
}
new ResizeObserver(resize).observe(stage);
new ResizeObserver(arrange).observe(root);
recall();
writeWords();
arrange();
resize();
load();
showPreview();
onReview();

// For tests: where a point of the picture lies in the window, and what is shown.
root.canvasView = {
  words: WORDS,
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
  get mode() {
    return reviewing() ? mode : "paint";
  },
  get compared() {
    return review ? [review.before.src, review.after.src] : null;
  },
  get src() {
    return picture && !loading ? picture.src : null;
  },
  get base() {
    return picture && !loading ? picture.base : null;
  },
  get previewed() {
    return preview !== null;
  },
};
