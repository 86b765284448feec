// ---- Making strokes ---------------------------------------------------------------------------

const cursor = find(".cursor");
const shape = find(".shape path");
const sizeSlider = find(".size input");
const paintColour = find("input[type=color]");
const [CLOSE_BY, LIGHTEST] = [10, 0.15]; // CSS pixels; share of the radius at no pressure
const FREEHAND = ["brush", "eraser", "paint", "snap"];

let tool = "brush";
let live = null; // the stroke being drawn
let corners = null; // the polygon being clicked: {points, erase, over: the pointer's place}
let scribble = null; // what was handed to Python to find an object
let lastEnd = null; // of the last freehand stroke: a straight line begins there

const freehand = () => FREEHAND.includes(tool);
const rounded = (value) => Math.round(value * 100) / 100;

function begin(event) {
  const point = picturePoint(event);
  if (tool === "fill") return fillAt(point, event.altKey);
  if (tool === "paint" && event.altKey) return pickColour(point);
  if (tool === "polygon") return moveCorner(event);
  if (tool === "paste") return;
  const radius = freehand() ? rounded(sizeSlider.valueAsNumber / view.scale) : 0;
  live = { tool, radius, points: [point] };
  if (tool === "paint") live.color = paintColour.value;
  if (event.altKey || event.button === PEN_ERASER) live.erase = true;
  if (event.pointerType === "pen" && freehand() && tool !== "snap") live.pressed = true;
  else if (event.shiftKey && lastEnd && freehand()) live.points.unshift(lastEnd);
  if (live.pressed) point.push(pressedRadius(event));
  extend([]);
}

const pressedRadius = ({ pressure }) =>
  rounded(live.radius * (LIGHTEST + (1 - LIGHTEST) * pressure));

function extend(events) {
  const { points } = live;
  const from = live.drawn ?? 0;
  for (const event of events) {
    const point = picturePoint(event);
    const [x, y] = points.at(-1);
    const step = Math.hypot(point[0] - x, point[1] - y) * view.scale;
    if (live.pressed) point.push(pressedRadius(event));
    if (tool === "rectangle" || tool === "ellipse") points[1] = squared(points[0], point, event);
    else if (step >= 0.5) points.push(point);
  }
  if (!freehand() || tool === "snap") return drawShape();
  const fresh = strokeOf({ ...live, points: points.slice(from) });
  live.drawn = points.length - 1;
  drawFresh(fresh);
  const [xs, ys] = [fresh.points.map(([x]) => x), fresh.points.map(([, y]) => y)];
  const { radius } = live;
  const [left, top] = [Math.min(...xs) - radius, Math.min(...ys) - radius];
  redraw([left, top, Math.max(...xs) + radius, Math.max(...ys) + radius]);
}

// With Shift a box has equal sides.
function squared([x, y], [right, bottom], { shiftKey }) {
  if (!shiftKey) return [right, bottom];
  const side = Math.max(Math.abs(right - x), Math.abs(bottom - y));
  return [rounded(x + Math.sign(right - x) * side), rounded(y + Math.sign(bottom - y) * side)];
}

// The stroke as it is sent: a pressed pen's radii stand beside its points.
function strokeOf({ pressed, drawn, points, ...rest }) {
  if (!pressed) return { ...rest, points };
  return { ...rest, points: points.map(([x, y]) => [x, y]), radii: points.map(([, , r]) => r) };
}

function finish() {
  const made = live;
  live = null;
  made.points = simplify(made.points, 0.25 / view.scale);
  const least = { rectangle: 2, ellipse: 2, lasso: 3 }[made.tool] ?? 1;
  if (made.points.length < least) return drawShape(); // a click with a shape tool
  if (tool === "snap") return searchObject(made);
  drawShape();
  const stroke = strokeOf(made);
  if (freehand()) lastEnd = stroke.points.at(-1);
  else drawFresh(stroke);
  redraw();
  commit(stroke);
}

function abandon() {
  live = null;
  drawShape();
  drawMask();
}

// What is being made, drawn over the picture.
function drawShape() {
  const made = live ?? scribble ?? corners;
  const place = ([x, y]) => `${x * view.scale + view.x} ${y * view.scale + view.y}`;
  let path = "";
  const rough = made?.tool === "snap";
  if (made && (rough || !FREEHAND.includes(made.tool))) {
    const { points } = made;
    const [[x0, y0], [x1, y1]] = [points[0], points.at(-1)];
    if (rough) path = `M${[...points, points.at(-1)].map(place).join("L")}`;
    else if (made.tool === "rectangle") {
      path = `M${[
        [x0, y0],
        [x1, y0],
        [x1, y1],
        [x0, y1],
      ]
        .map(place)
        .join("L")}Z`;
    } else if (made.tool === "ellipse") {
      const radii = [x1 - x0, y1 - y0].map((side) => (Math.abs(side) * view.scale) / 2).join(" ");
      const [left, right] = [
        [x0, (y0 + y1) / 2],
        [x1, (y0 + y1) / 2],
      ].map(place);
      path = `M${left}A${radii} 0 1 1 ${right}A${radii} 0 1 1 ${left}Z`;
    } else if (made.tool === "lasso") path = `M${points.map(place).join("L")}Z`;
    else {
      const [x, y] = place(points[0]).split(" ").map(Number);
      path = `M${[...points, made.over].map(place).join("L")}Z`; // and a box around the first
      path += `M${x - 4} ${y - 4}h8v8h-8Z`;
    }
  }
  shape.setAttribute("d", path);
  shape.classList.toggle("rough", rough);
  shape.style.strokeWidth = rough ? `${2 * made.radius * view.scale}px` : "";
}

// ---- Polygon: corner after corner -------------------------------------------------------------

function moveCorner(event) {
  const over = picturePoint(event);
  if (corners) corners.over = over;
  else corners = { tool: "polygon", points: [over], over, erase: event.altKey, fresh: true };
  drawShape();
}

// A corner is set where the pointer is lifted, so that a second finger can still move the view.
function setCorner(event) {
  if (!corners) return;
  const point = picturePoint(event);
  const near = (other) =>
    Math.hypot(point[0] - other[0], point[1] - other[1]) * view.scale < CLOSE_BY;
  if (corners.fresh) corners.fresh = false;
  else if (corners.points.length > 2 && near(corners.points[0])) return closePolygon();
  else if (near(corners.points.at(-1)))
    return closePolygon(); // a double click
  else corners.points.push(point);
  corners.over = point;
  drawShape();
}

function closePolygon() {
  if (corners.points.length < 3) return;
  const { points, erase } = corners;
  corners = null;
  const stroke = { tool: "polygon", radius: 0, points, ...(erase && { erase }) };
  drawFresh(stroke);
  drawShape();
  redraw();
  commit(stroke);
}

function takeBack() {
  corners.points.pop();
  if (!corners.points.length) corners = null;
  drawShape();
}

function leavePolygon() {
  corners = null;
  drawShape();
}

// ---- Fill, snap, colours ----------------------------------------------------------------------

// The area is found on the mask layer as it is shown, and kept as its outline, which reaches a
// little under the lines around it: so it is the same at any size.
function fillAt([x, y], erase) {
  const bitmap = bitmapOf(mask);
  const { a } = mask.getTransform();
  const [column, row] = [Math.floor(x * a), Math.floor(y * a)];
  if (column < 0 || row < 0 || column >= bitmap.width || row >= bitmap.height) return;
  const filled = bitmap.set[row * bitmap.width + column];
  if (filled && !erase) return say(word("painted"));
  if (!filled && (erase || !bitmap.set.includes(1))) return say(word("open_area"));
  const points = outline(flood(bitmap, column, row, 2), 0.75).map(([px, py]) => [
    rounded(px / a),
    rounded(py / a),
  ]);
  const stroke = { tool: "polygon", radius: 0, points, ...(erase && { erase }) };
  drawFresh(stroke);
  redraw();
  commit(stroke);
}

function searchObject({ radius, points, erase }) {
  scribble = { tool: "snap", radius, points };
  drawShape();
  say(word("searching"), true);
  const { width, height } = picture;
  const stroke = { tool: "brush", radius, points, ...(erase && { erase }) };
  trigger("snap", { width, height, strokes: [stroke] });
  clearTimeout(searchObject.timer);
  searchObject.timer = setTimeout(endSearch, 30_000, scribble); // Python has failed
}

function endSearch(which = scribble) {
  if (!which || scribble !== which) return;
  scribble = null;
  say("");
  drawShape();
}

function pickColour([x, y]) {
  const { image, width, height } = picture;
  const spot = newLayer();
  spot.canvas.width = spot.canvas.height = 1;
  const [px, py] = [(x * image.width) / width, (y * image.height) / height].map(Math.floor);
  spot.drawImage(image, px, py, 1, 1, 0, 0, 1, 1);
  const [...channels] = spot.getImageData(0, 0, 1, 1).data.slice(0, 3);
  paintColour.value = `#${channels.map((value) => value.toString(16).padStart(2, "0")).join("")}`;
  announce(paintColour.value);
}
