// The screen of the mask canvas: its layers, where the picture lies on them, and when they are
// drawn. canvas.py joins the files of the canvas, in the order of its SCRIPTS, into one script, which
// gr.HTML runs as the body of a function of element, props, trigger, upload and watch.

const root = element.querySelector(".mask-canvas");
const find = (selector) => root.querySelector(selector);
const stage = find(".stage");
const layer = (canvas, options) => canvas.getContext("2d", options);
const newLayer = (options) => layer(document.createElement("canvas"), options);

const screen = layer(find("canvas"));
const tint = newLayer(); // the mask as it lies on the screen, in the overlay's colour
const edge = newLayer(); // scratch for the rim around it
const mask = newLayer(); // what is painted, opaque = repaint, at about the work copy's size

const colours = newLayer(); // what is painted in colour or pasted, as large as the mask layer
const band = newLayer({ willReadFrequently: true });

const BAND_SIDE = 1024; // long side of the blend band
const BACKING_PIXELS = 6e6; // cap of a screen layer on large high-density displays
const MAX_ZOOM = 16; // CSS pixels per picture pixel

let picture = null; // {src, base, width, height, image, under}
let preview = null; // {image, box}
let view = { scale: 1, x: 0, y: 0, whole: true }; // screen = picture * scale + (x, y), CSS pixels
let density = 1; // backing pixels per CSS pixel
let colourful = false; // there is something in colours
let banded = false; // the blend band is that of the present mask
let bare = false; // only the picture is shown
const look = { tone: "red", opacity: 0.42 }; // of the mask

// Listeners outside this element go when Gradio drops the element; while it is hidden they rest.
const outside = new AbortController();
function onPage(type, handler, options = {}) {
  const guarded = (event) => {
    if (!root.isConnected) outside.abort();
    else if (stage.offsetParent) handler(event);
  };
  document.addEventListener(type, guarded, { ...options, signal: outside.signal });
}
const typing = (target) =>
  target.closest?.(
    "textarea, select, [contenteditable], input:not([type=range], [type=checkbox], [type=radio])",
  );

// ---- Geometry ---------------------------------------------------------------------------------

const clamp = (value, low, high) => Math.min(Math.max(value, low), high);
const margin = () => Math.min(20, stage.clientWidth * 0.03);

function stagePoint(event) {
  const box = stage.getBoundingClientRect();
  return [event.clientX - box.left, event.clientY - box.top];
}

function picturePoint(event) {
  const [x, y] = stagePoint(event);
  const digits = Math.max(picture.width, picture.height) > 1000 ? 10 : 100;
  const round = (value) => Math.round(value * digits) / digits;
  return [round((x - view.x) / view.scale), round((y - view.y) / view.scale)];
}

function fitScale() {
  const room = (side, length) => Math.max(side - 2 * margin(), 16) / length;
  const { width, height } = shown();
  const [x, y] = [room(stage.clientWidth, width), room(stage.clientHeight, height)];
  return Math.min(x, y, MAX_ZOOM);
}

// Zoom and move: the picture's point at `from` on the stage comes to `to`, as far as the picture
// stays in sight. The whole picture is the smallest zoom, and lies in the middle.
function moveView(scale, from, to = from) {
  const { width, height } = shown();
  const least = fitScale();
  const next = clamp(scale, least, MAX_ZOOM);
  const place = (i, offset, side, length) => {
    const room = side - length * next;
    const [one, other] = [margin(), room - margin()]; // where an edge is a margin from the stage's
    const wanted = to[i] - ((from[i] - offset) * next) / view.scale;
    return next === least ? room / 2 : clamp(wanted, Math.min(one, other), Math.max(one, other));
  };
  const x = place(0, view.x, stage.clientWidth, width);
  const y = place(1, view.y, stage.clientHeight, height);
  view = { scale: next, x, y, whole: next === least };
  find("[data-do=fit]").textContent = `${Math.round(next * 100)}%`;
  drawShape();
  placeLayer();
  placeSplit();
  redraw();
}

const zoomTo = (scale) => moveView(scale, [stage.clientWidth / 2, stage.clientHeight / 2]);

function resize() {
  const [width, height] = [stage.clientWidth, stage.clientHeight];
  if (!width || !height) return; // hidden, say by a tab: keep everything for the return
  density = Math.min(devicePixelRatio, 2, Math.sqrt(BACKING_PIXELS / (width * height)));
  for (const { canvas } of [screen, tint, edge]) {
    canvas.width = Math.round(width * density);
    canvas.height = Math.round(height * density);
  }
  if (picture) zoomTo(view.whole ? 0 : view.scale);
}

// ---- Drawing ----------------------------------------------------------------------------------

let dirty = null; // the box to draw in the next frame, in picture pixels
const EVERYTHING = [-Infinity, -Infinity, Infinity, Infinity];

function redraw(box = EVERYTHING) {
  if (!dirty) requestAnimationFrame(drawFrame);
  const join = (a, b, i) => (i < 2 ? Math.min(a, b) : Math.max(a, b));
  dirty = dirty ? dirty.map((side, i) => join(side, box[i], i)) : box;
}

function drawFrame() {
  const box = dirty;
  dirty = null;
  const { width: right, height: bottom } = screen.canvas;
  if (!picture || !right) return;
  const scale = view.scale * density;
  const [x, y] = [view.x * density, view.y * density];
  const rim = 4 * density;
  const left = clamp(Math.floor(box[0] * scale + x - rim), 0, right);
  const top = clamp(Math.floor(box[1] * scale + y - rim), 0, bottom);
  const width = clamp(Math.ceil(box[2] * scale + x + rim), left, right) - left;
  const height = clamp(Math.ceil(box[3] * scale + y + rim), top, bottom) - top;
  if (!width || !height) return;
  const place = { bare, scale, x, y, density };
  if (reviewing()) {
    const scene = { ...review, ...place, mode, split: Math.round(splitPlace() * density) };
    return drawReview(screen, scene, [left, top, width, height]);
  }
  const layers = {
    mask: mask.canvas,
    colours: colourful ? colours.canvas : null,
    band: banded ? band.canvas : null,
  };
  const { opacity } = look;
  const tone = TONES[look.tone];
  const scene = { picture, preview, ...layers, ...place, tone, opacity };
  drawBox({ screen, tint, edge }, scene, [left, top, width, height]);
}

// ---- The blend band: shown a moment after the mask has changed --------------------------------

function drawBand() {
  clearTimeout(drawBand.timer);
  const [grow, feather] = [props.grow || 0, props.feather || 0];
  const wanted = picture && (grow > 0 || feather > 0);
  if (!wanted && banded) redraw();
  if (!wanted) banded = false;
  else drawBand.timer = setTimeout(() => computeBand(grow, feather), 80);
}

function computeBand(grow, feather) {
  if (!picture) return;
  const { width, height } = picture;
  const scale = Math.min(2, BAND_SIDE / Math.max(width, height));
  band.canvas.width = Math.ceil(width * scale); // also clears
  band.canvas.height = Math.ceil(height * scale);
  // The two layers' edges lie at the same place of the picture, up to the rounding of their sizes.
  const { a } = mask.getTransform();
  band.drawImage(
    mask.canvas,
    0,
    0,
    (mask.canvas.width * scale) / a,
    (mask.canvas.height * scale) / a,
  );
  const colour = [1, 3, 5].map((i) => parseInt(TONES[look.tone].slice(i, i + 2), 16));
  blendBand(band, colour, grow * scale, feather * scale);
  banded = true;
  redraw();
}
