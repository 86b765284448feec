// ---- Strokes and their history ----------------------------------------------------------------
// Strokes are vectors in the picture's own pixels, and Python makes the one authoritative mask from
// them. A stroke never changes, and what lies before it in the list does not either.

const MASK_SIDE = 2048; // long side of the mask layer
const SETTLED = 3; // results of growing and shrinking that are kept, for a quick undo

let strokes = [];
let undone = []; // steps: lists of strokes
let joined = new WeakSet(); // strokes that belong to the step of the one before
let settled = []; // [{stroke, canvas}]: the mask layer after a stroke that is slow to draw
const pasted = new Map(); // path -> image

function drawMask() {
  const { width, height, under } = picture;
  const scale = Math.min(8, MASK_SIDE / Math.max(width, height));
  for (const { canvas } of [mask, colours]) {
    canvas.width = Math.ceil(width * scale); // also clears
    canvas.height = Math.ceil(height * scale);
  }
  let from = 0;
  const known = settled.findLast(({ stroke }) => strokes.includes(stroke));
  if (known) {
    mask.drawImage(known.canvas, 0, 0);
    from = strokes.indexOf(known.stroke) + 1;
  }
  mask.scale(scale, scale);
  colours.scale(scale, scale);
  if (under && !known) mask.drawImage(under, 0, 0, width, height);
  strokes.slice(from).forEach(drawOnMask);
  colourful = strokes.some(({ tool }) => COLOURED.includes(tool));
  if (colourful) for (const stroke of strokes) drawColour(colours, stroke, picture, pasted);
  drawBand();
  redraw();
}

function drawOnMask(stroke) {
  drawStroke(mask, stroke, picture);
  if (stroke.tool !== "grow" && stroke.tool !== "shrink") return;
  const copy = newLayer();
  copy.canvas.width = mask.canvas.width;
  copy.canvas.height = mask.canvas.height;
  copy.drawImage(mask.canvas, 0, 0);
  settled = [...settled, { stroke, canvas: copy.canvas }].slice(-SETTLED);
}

function drawFresh(stroke) {
  drawOnMask(stroke);
  colourful ||= COLOURED.includes(stroke.tool);
  if (colourful) drawColour(colours, stroke, picture, pasted);
}

const locked = () => !picture || loading || Boolean(props.busy);

function publish() {
  // The links travel as plain strings: as file records Gradio would check and copy them each time.
  const { src, base, width, height, caption } = picture;
  props.value = { src, base, width, height, caption, strokes };
  trigger("input");
  refresh();
}

// Take over strokes that are drawn already, as one step.
function commit(...step) {
  for (const stroke of step.slice(1)) joined.add(stroke);
  strokes = [...strokes, ...step];
  undone = [];
  drawBand();
  publish();
}

function whole(tool, radius = 0) {
  const stroke = { tool, radius, points: [] };
  drawFresh(stroke);
  redraw();
  commit(stroke);
  announce(`${word(tool)} ${radius ? word("reshaped", radius) : ""}`);
}

// Growing and shrinking go in steps that show at the present zoom, in whole pixels.
const reshapeBy = (tool) => whole(tool, Math.max(1, Math.round(2 / view.scale)));

// What is undone step by step: strokes, and before them the run that the picture came from.
function undo() {
  if (!strokes.length) return props.earlier && trigger("back");
  const first = strokes.findLastIndex((stroke) => !joined.has(stroke));
  undone.push(strokes.slice(first));
  strokes = strokes.slice(0, first);
  drawMask();
  publish();
  announce(word("undo"));
}

function redo() {
  if (!undone.length) return isLatest() && setMode("compare");
  strokes = [...strokes, ...undone.pop()];
  drawMask();
  publish();
  announce(word("redo"));
}

// Strokes that Python adds, say an object's outline.
function onAppend() {
  scribble = null;
  drawShape();
  say("");
  const added = props.append?.strokes ?? [];
  if (locked() || !props.append) return;
  if (!added.length) return say(word("missed"));
  added.forEach(drawFresh);
  redraw();
  commit(...added);
}
