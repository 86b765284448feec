// ---- What came of a run, laid over the picture: before and after, and where candidates differ ---

const split = find(".split");
const SPLIT_STEP = 0.02; // of the stage, for a press of an arrow key

let review = null; // {before, after, sure: images, width, height, box, strokes: those that led to it}
let mode = "paint"; // or "compare" or "sure"
let splitAt = 0.5; // before lies left of it; a share of the stage, so that it stays when zoomed
let splitting = false; // it is being dragged
let reviews = 0; // numbers them, for a late one to know that it is overtaken

const reviewing = () => review !== null && mode !== "paint";
// What has the size of what is shown: a picture that was extended or enlarged is another one.
const shown = () => (reviewing() ? review : picture);
// Whether nothing was painted since.
const isLatest = () =>
  review !== null &&
  strokes.length === review.strokes.length &&
  strokes.at(-1) === review.strokes.at(-1);

const offers = (name) => name === "paint" || Boolean(review?.[name === "sure" ? "sure" : "after"]);

// Show the mask or the review, which may be a new one; the view stays where it is.
function change(name, next = review) {
  const from = shown();
  [mode, review] = [name, next];
  root.dataset.mode = name;
  const to = shown();
  if (from && to && (from.width !== to.width || from.height !== to.height)) {
    const alike = Math.abs(from.width / from.height - to.width / to.height) < 0.01;
    view.scale *= from.width / to.width; // the same place of an enlarged picture
    zoomTo(alike && !view.whole ? view.scale : 0);
  }
  refresh();
  placeSplit();
  redraw();
}

function setMode(name) {
  if (name === mode || (name !== "paint" && (props.busy || !offers(name)))) return;
  if (live) abandon();
  leavePolygon();
  if (layerOn) keepLayer();
  change(name);
  say(name === "sure" ? word("sure_tip") : "");
  announce(word(name === "paint" ? "mask" : name));
}

async function onReview() {
  const ticket = ++reviews;
  const wanted = props.review;
  if (!wanted) return change("paint", null);
  try {
    await new Promise((go) => setTimeout(go)); // the picture that comes along is set by then
    await ready;
    const files = [wanted.before, wanted.after, wanted.sure].map((path) => path && served(path));
    const [before, after, sure] = await Promise.all(files.map(decoded));
    if (ticket !== reviews || !picture) return;
    const next = { ...wanted, before, after, sure, strokes };
    change(mode === "sure" && sure ? "sure" : "compare", next);
    openSplit();
  } catch {
    say(word("unseen"));
  }
}

// ---- The handle between before and after ------------------------------------------------------

// The part of the picture that is in sight, on the stage: [left, top, right, bottom].
function inSight() {
  const { width, height } = shown();
  const { scale, x, y } = view;
  const [right, bottom] = [x + width * scale, y + height * scale];
  const { clientWidth, clientHeight } = stage;
  return [Math.max(x, 0), Math.max(y, 0), Math.min(right, clientWidth), Math.min(bottom, clientHeight)];
}

// All of the change is to be seen at first, with the handle beside it; half of it if it is wide.
function openSplit() {
  const [left, , right] = inSight();
  const [begin, , end] = review.box.map((side) => side * view.scale + view.x);
  const wide = end - begin > 0.7 * (right - left);
  splitAt = (wide ? (left + right) / 2 : clamp(begin - 24, left, right)) / stage.clientWidth;
  placeSplit();
  redraw();
}

function placeSplit() {
  split.hidden = mode !== "compare" || !reviewing();
  if (split.hidden) return;
  const [left, top, right, bottom] = inSight();
  const at = splitPlace();
  split.style.translate = `${at}px ${top}px`;
  split.style.height = `${Math.max(bottom - top, 0)}px`;
  const share = right > left ? (at - left) / (right - left) : 0;
  split.setAttribute("aria-valuenow", Math.round(100 * share));
}

function splitPlace() {
  const [left, , right] = inSight();
  return clamp(splitAt * stage.clientWidth, left, Math.max(left, right));
}

function moveSplit(to) {
  splitAt = to / stage.clientWidth;
  splitAt = splitPlace() / stage.clientWidth;
  placeSplit();
  redraw();
}

split.addEventListener("keydown", (event) => {
  const step = SPLIT_STEP * (event.shiftKey ? 5 : 1);
  const moves = { ArrowLeft: -step, ArrowDown: -step, ArrowRight: step, ArrowUp: step, Home: -1, End: 1 };
  if (!(event.key in moves)) return;
  event.preventDefault();
  event.stopPropagation();
  moveSplit((splitAt + moves[event.key]) * stage.clientWidth);
});
