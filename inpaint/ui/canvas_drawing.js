// Drawing for the mask canvas: functions of their arguments, without state or events.
// canvas.py puts this file before canvas.js, in the same scope.

const TONES = {
  red: "#f0146e", // rarer in photographs than a plain red
  green: "#00c95e",
  blue: "#2f7bff",
  yellow: "#ffd400",
  white: "#ffffff",
};
const DIAGONALS = [
  [1, 1],
  [-1, 1],
  [1, -1],
  [-1, -1],
];

// Ramer-Douglas-Peucker: a stroke keeps only the points that its shape needs.
function simplify(points, tolerance) {
  if (points.length < 3) return points;
  const [first, last] = [points[0], points.at(-1)];
  let [farthest, distance] = [0, tolerance];
  for (let i = 1; i < points.length - 1; i++) {
    const away = distanceToSegment(points[i], first, last);
    if (away > distance) [farthest, distance] = [i, away];
  }
  if (!farthest) return [first, last];
  const head = simplify(points.slice(0, farthest + 1), tolerance);
  return [...head.slice(0, -1), ...simplify(points.slice(farthest), tolerance)];
}

// Points have any number of coordinates; a pressed pen's third one is its radius.
function distanceToSegment(point, from, to) {
  const along = to.map((value, i) => value - from[i]);
  const away = point.map((value, i) => value - from[i]);
  const dot = (a, b) => a.reduce((sum, value, i) => sum + value * b[i], 0);
  const t = Math.min(Math.max(dot(away, along) / (dot(along, along) || 1), 0), 1);
  return Math.hypot(...away.map((value, i) => value - t * along[i]));
}

// The hull of two discs, as a path of its own.
function addHull(context, [ax, ay], a, [bx, by], b) {
  const length = Math.hypot(bx - ax, by - ay);
  if (length <= Math.abs(a - b)) {
    const [x, y, radius] = a > b ? [ax, ay, a] : [bx, by, b];
    context.moveTo(x + radius, y);
    context.arc(x, y, radius, 0, 2 * Math.PI);
    return;
  }
  const heading = Math.atan2(by - ay, bx - ax);
  const lean = Math.acos((a - b) / length); // from the heading to where the sides touch
  context.moveTo(ax + a * Math.cos(heading + lean), ay + a * Math.sin(heading + lean));
  context.arc(ax, ay, a, heading + lean, heading - lean + 2 * Math.PI);
  context.arc(bx, by, b, heading - lean, heading + lean);
  context.closePath();
}

function tracePath(context, { tool, radius, points, radii }) {
  context.beginPath();
  if (tool === "rectangle" || tool === "ellipse" || tool === "paste") {
    const [[x, y], [right, bottom]] = [points[0], points.at(-1)];
    const [rx, ry] = [Math.abs(right - x) / 2, Math.abs(bottom - y) / 2];
    if (tool !== "ellipse") context.rect(x, y, right - x, bottom - y);
    else context.ellipse((x + right) / 2, (y + bottom) / 2, rx, ry, 0, 0, 2 * Math.PI);
  } else if (tool === "lasso" || tool === "polygon") {
    for (const point of points) context.lineTo(...point);
  } else {
    points.forEach((point, i) => {
      const before = Math.max(i - 1, 0);
      if (!i && points.length > 1) return;
      const [a, b] = radii?.length ? [radii[before], radii[i]] : [radius, radius];
      addHull(context, points[before], a, point, b);
    });
  }
}

const COLOURED = ["paint", "paste"];

// One stroke on the mask layer, whose transform maps picture pixels; opaque = repaint.
function drawStroke(context, stroke, { width, height }) {
  const { tool, radius, points } = stroke;
  context.save();
  if (tool === "clear") {
    context.clearRect(0, 0, width, height);
  } else if (tool === "invert") {
    context.globalCompositeOperation = "source-out";
    context.fillRect(0, 0, width, height);
  } else if (tool === "grow" || tool === "shrink") {
    reshape(context, context.getTransform().a * (tool === "grow" ? radius : -radius));
  } else if (points.length) {
    const takesAway = stroke.erase || tool === "eraser";
    context.globalCompositeOperation = takesAway ? "destination-out" : "source-over";
    tracePath(context, stroke);
    context.fill();
  }
  context.restore();
}

// The same stroke on the layer of colours, which holds what is painted or pasted and not erased.
function drawColour(context, stroke, { width, height }, pasted) {
  const { tool, points, color, path } = stroke;
  if (!COLOURED.includes(tool)) {
    const takesAway = stroke.erase || tool === "eraser" || tool === "clear";
    if (takesAway) drawStroke(context, stroke, { width, height });
    return;
  }
  context.fillStyle = color ?? "#000";
  if (tool === "paint") {
    tracePath(context, stroke);
    context.fill();
  } else if (pasted.has(path)) {
    const [[x, y], [right, bottom]] = [points[0], points.at(-1)];
    context.clearRect(x, y, right - x, bottom - y);
    context.drawImage(pasted.get(path), x, y, right - x, bottom - y);
  }
}

function checkerboard(context, side) {
  const tile = document.createElement("canvas");
  tile.width = tile.height = 2 * side;
  const squares = tile.getContext("2d");
  squares.fillStyle = "#999";
  squares.fillRect(0, 0, 2 * side, 2 * side);
  squares.fillStyle = "#bbb";
  squares.fillRect(0, 0, side, side);
  squares.fillRect(side, side, side, side);
  return context.createPattern(tile, "repeat");
}

function within(context, [left, top, width, height], draw) {
  context.save();
  context.beginPath();
  context.rect(left, top, width, height);
  context.clip();
  draw();
  context.restore();
}

function afresh(context, box, draw) {
  within(context, box, () => {
    context.clearRect(...box);
    draw();
  });
}

// Draw an image over [left, top, right, bottom] of the picture.
function put(context, image, [x0, y0, x1, y1], { scale, x, y }) {
  context.setTransform(scale, 0, 0, scale, x, y);
  context.imageSmoothingEnabled = scale * (x1 - x0) < 4 * image.width; // show single pixels
  context.drawImage(image, x0, y0, x1 - x0, y1 - y0);
  context.resetTransform();
}

// Under transparent pixels.
function drawGround(screen, { width, height, scale, x, y, density }) {
  screen.fillStyle = checkerboard(screen, Math.round(8 * density));
  screen.fillRect(x, y, width * scale, height * scale);
}

// Draw one box of the screen: before left of the split, after right of it, or how sure that is.
// scene: {before, after, sure, mode, split, width, height, bare, scale, x, y, density}
function drawReview(screen, scene, box) {
  const { before, after, sure, mode, split, bare, width, height } = scene;
  const whole = [0, 0, width, height];
  afresh(screen, box, () => {
    drawGround(screen, scene);
    put(screen, bare ? before : mode === "sure" ? sure : after, whole, scene);
  });
  if (bare || mode === "sure") return;
  const [left, top, wide, high] = box;
  within(screen, box, () =>
    afresh(screen, [left, top, clamp(split - left, 0, wide), high], () => {
      drawGround(screen, scene);
      put(screen, before, whole, scene);
    }),
  );
}

// Draw one box of the screen: picture, preview, and the mask as a tint with a rim.
//
// layers: {screen, tint, edge}, equally large; tint keeps the mask as it lies on the screen.
// scene: {picture, preview, mask, colours, band, bare, tone, opacity, scale, x, y, density}, with
// screen = picture * scale + (x, y). colours and band may be null; bare shows the picture alone.
// Only the box is touched, so that a brush stroke costs the same on any screen and picture.
function drawBox({ screen, tint, edge }, scene, [left, top, width, height]) {
  const { picture, preview, colours, band, bare, density } = scene;
  const box = [left, top, width, height];
  const dye = (context, colour) => {
    context.globalCompositeOperation = "source-in";
    context.fillStyle = colour;
    context.fillRect(left, top, width, height);
  };
  // The mask drawn four times, moved along the diagonals, less the mask itself, is its rim; a
  // 2-D canvas has no cheaper dilation. Light inside dark shows on any picture.
  const drawRim = (reach, colour) => {
    const by = Math.max(1, Math.round(reach * density));
    afresh(edge, box, () => {
      for (const [dx, dy] of DIAGONALS) edge.drawImage(tint.canvas, dx * by, dy * by);
      edge.globalCompositeOperation = "destination-out";
      edge.drawImage(tint.canvas, 0, 0);
      dye(edge, colour);
    });
    screen.drawImage(edge.canvas, 0, 0);
  };

  const whole = [0, 0, picture.width, picture.height];
  afresh(tint, box, () => {
    put(tint, scene.mask, whole, scene);
    dye(tint, scene.tone);
  });
  afresh(screen, box, () => {
    drawGround(screen, { ...scene, width: picture.width, height: picture.height });
    put(screen, picture.image, whole, scene);
    if (bare) return;
    if (preview) put(screen, preview.image, preview.box, scene);
    if (band && !preview) {
      screen.globalAlpha = 0.8;
      put(screen, band, whole, scene);
      screen.globalAlpha = 1;
    }
    drawRim(2, "rgb(0 0 0 / 0.65)");
    drawRim(1, "#fff");
    if (preview) return; // it is to be seen: the rim is enough
    screen.globalAlpha = scene.opacity;
    screen.drawImage(tint.canvas, 0, 0);
    screen.globalAlpha = 1;
    if (!colours) return;
    afresh(edge, box, () => {
      put(edge, colours, whole, scene);
      edge.globalCompositeOperation = "destination-in";
      edge.drawImage(tint.canvas, 0, 0);
    });
    screen.drawImage(edge.canvas, 0, 0);
  });
}
