// Drawing for the mask canvas: functions of their arguments, without state or events.
// canvas.py puts this file before canvas.js, in the same scope.

const ACCENT = "#f0146e"; // rare in photographs
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

function distanceToSegment([x, y], [ax, ay], [bx, by]) {
  const [dx, dy] = [bx - ax, by - ay];
  const along = ((x - ax) * dx + (y - ay) * dy) / (dx * dx + dy * dy || 1);
  const t = Math.min(Math.max(along, 0), 1);
  return Math.hypot(x - ax - t * dx, y - ay - t * dy);
}

// One stroke on the mask layer, whose transform maps picture pixels; opaque = repaint. Knows every
// tool of masks.py: Python may send some that the toolbar does not have.
function drawStroke(context, { tool, radius, points, erase }, { width, height }) {
  if (!points.length && tool !== "invert" && tool !== "clear") return;
  const takesAway = erase || tool === "eraser";
  context.save();
  context.beginPath();
  context.globalCompositeOperation = takesAway ? "destination-out" : "source-over";
  if (tool === "clear") {
    context.clearRect(0, 0, width, height);
  } else if (tool === "invert") {
    context.globalCompositeOperation = "source-out";
    context.fillRect(0, 0, width, height);
  } else if (tool === "rectangle" || tool === "ellipse") {
    const [[x, y], [right, bottom]] = [points[0], points.at(-1)];
    const [rx, ry] = [Math.abs(right - x) / 2, Math.abs(bottom - y) / 2];
    if (tool === "rectangle") context.rect(x, y, right - x, bottom - y);
    else context.ellipse((x + right) / 2, (y + bottom) / 2, rx, ry, 0, 0, 2 * Math.PI);
    context.fill();
  } else {
    context.moveTo(...points[0]);
    for (const point of points) context.lineTo(...point);
    if (tool === "lasso" || tool === "polygon") {
      context.fill();
    } else {
      context.lineWidth = 2 * radius;
      context.lineCap = context.lineJoin = "round";
      context.stroke();
      // A click: a path of no length strokes nothing.
      context.beginPath();
      context.arc(...points[0], radius, 0, 2 * Math.PI);
      context.fill();
    }
  }
  context.restore();
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

// Draw one box of the screen: picture, preview, and the mask as a tint with a rim.
//
// layers: {screen, tint, edge}, equally large; tint keeps the mask as it lies on the screen.
// scene: {picture, preview, mask, scale, x, y, density}, with screen = picture * scale + (x, y).
// Only the box is touched, so that a brush stroke costs the same on any screen and picture.
function drawBox({ screen, tint, edge }, scene, [left, top, width, height]) {
  const { picture, preview, scale, x, y, density } = scene;

  const afresh = (context, draw) => {
    context.save();
    context.beginPath();
    context.rect(left, top, width, height);
    context.clip();
    context.clearRect(left, top, width, height);
    draw();
    context.restore();
  };
  const put = (context, image, [x0, y0, x1, y1]) => {
    context.setTransform(scale, 0, 0, scale, x, y);
    context.imageSmoothingEnabled = scale * (x1 - x0) < 4 * image.width; // show single pixels
    context.drawImage(image, x0, y0, x1 - x0, y1 - y0);
    context.resetTransform();
  };
  const flood = (context, colour) => {
    context.globalCompositeOperation = "source-in";
    context.fillStyle = colour;
    context.fillRect(left, top, width, height);
  };
  // The mask drawn four times, moved along the diagonals, less the mask itself, is its rim; a
  // 2-D canvas has no cheaper dilation. Light inside dark shows on any picture.
  const drawRim = (reach, colour) => {
    const by = Math.max(1, Math.round(reach * density));
    afresh(edge, () => {
      for (const [dx, dy] of DIAGONALS) edge.drawImage(tint.canvas, dx * by, dy * by);
      edge.globalCompositeOperation = "destination-out";
      edge.drawImage(tint.canvas, 0, 0);
      flood(edge, colour);
    });
    screen.drawImage(edge.canvas, 0, 0);
  };

  const whole = [0, 0, picture.width, picture.height];
  afresh(tint, () => {
    put(tint, scene.mask, whole);
    flood(tint, ACCENT);
  });
  afresh(screen, () => {
    screen.fillStyle = checkerboard(screen, Math.round(8 * density)); // under transparent pixels
    screen.fillRect(x, y, picture.width * scale, picture.height * scale);
    put(screen, picture.image, whole);
    if (preview) put(screen, preview.image, preview.box);
    drawRim(2, "rgb(0 0 0 / 0.65)");
    drawRim(1, "#fff");
    if (preview) return; // it is to be seen: the rim is enough
    screen.globalAlpha = 0.42;
    screen.drawImage(tint.canvas, 0, 0);
  });
}
