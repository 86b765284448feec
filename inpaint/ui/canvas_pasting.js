// ---- A second picture, laid over the first: drag it, scale it, keep it ------------------------

const layerBox = find(".pasting");
const LEAST_SIDE = 16; // CSS pixels
let layerOn = null; // {path, image, box: [left, top, right, bottom]}

async function pasteSecond({ path, url }) {
  const image = await decoded(url);
  if (locked() || !props.guide) return;
  if (layerOn) keepLayer();
  pasted.set(path, image);
  const { width, height } = picture;
  const fit = Math.min(0.5 * width, 0.5 * height, Math.max(image.width, image.height));
  const scale = fit / Math.max(image.width, image.height);
  const [w, h] = [image.width * scale, image.height * scale];
  const [x, y] = [(width - w) / 2, (height - h) / 2];
  layerOn = { path, box: [x, y, x + w, y + h] };
  layerBox.querySelector("img").src = url;
  placeLayer();
  layerBox.focus();
  say(word("keep"));
}

function placeLayer() {
  layerBox.hidden = !layerOn;
  if (!layerOn) return;
  const [left, top, right, bottom] = layerOn.box;
  const { style } = layerBox;
  style.translate = `${left * view.scale + view.x}px ${top * view.scale + view.y}px`;
  style.width = `${(right - left) * view.scale}px`;
  style.height = `${(bottom - top) * view.scale}px`;
}

function keepLayer() {
  if (!layerOn) return;
  const { path, box } = layerOn;
  const [left, top, right, bottom] = box.map(rounded);
  dropLayer();
  const points = [
    [left, top],
    [right, bottom],
  ];
  const stroke = { tool: "paste", radius: 0, points, path };
  drawFresh(stroke);
  redraw();
  commit(stroke);
}

function dropLayer() {
  layerOn = null;
  placeLayer();
}

let pull = null; // {corner: [0 or 2, 1 or 3] or null, from, box}
layerBox.addEventListener("pointerdown", (event) => {
  if (event.button) return;
  event.stopPropagation(); // the stage would paint
  layerBox.setPointerCapture(event.pointerId);
  const corner = event.target.dataset.corner?.split(",").map(Number) ?? null;
  pull = { corner, from: picturePoint(event), box: layerOn.box };
});
layerBox.addEventListener("pointermove", (event) => {
  if (!pull) return;
  const [x, y] = picturePoint(event);
  const [dx, dy] = [x - pull.from[0], y - pull.from[1]];
  if (!pull.corner) layerOn.box = pull.box.map((side, i) => side + (i % 2 ? dy : dx));
  else layerOn.box = scaledBox(pull.box, pull.corner, dx, dy);
  placeLayer();
});
for (const type of ["pointerup", "pointercancel"]) {
  layerBox.addEventListener(type, () => (pull = null));
}
layerBox.addEventListener("keydown", (event) => {
  const { key } = event;
  const step = (event.shiftKey ? 10 : 1) / view.scale;
  const moves = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  if (key in moves) {
    const by = moves[key].map((side) => side * step);
    layerOn.box = layerOn.box.map((side, i) => side + by[i % 2]);
    placeLayer();
  } else if (key === "Enter") keepLayer();
  else if (key === "Escape" || key === "Delete" || key === "Backspace") dropLayer();
  else return;
  event.preventDefault();
  event.stopPropagation();
  if (!layerOn) stage.focus();
});

// The opposite corner stays, and so do the proportions.
function scaledBox(box, [i, j], dx, dy) {
  const [width, height] = [box[2] - box[0], box[3] - box[1]];
  const grown = Math.max(
    (width + (i ? dx : -dx)) / width,
    (height + (j === 3 ? dy : -dy)) / height,
    LEAST_SIDE / view.scale / Math.min(width, height),
  );
  const scaled = [...box];
  scaled[i] = box[2 - i] + (i ? 1 : -1) * width * grown;
  scaled[j] = box[4 - j] + (j === 3 ? 1 : -1) * height * grown;
  return scaled;
}
