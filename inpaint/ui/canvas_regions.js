// Areas of the mask as bitmaps, one byte per pixel: distances, growing, filling, outlines.

// Squared distance from every pixel to the nearest one that is set, centre to centre; Meijster,
// Roerdink and Hesselink 2000.
function squaredDistances(set, width, height) {
  const far = width + height;
  const column = new Int32Array(width * height);
  for (let x = 0; x < width; x++) {
    column[x] = set[x] ? 0 : far;
    for (let i = x + width; i < column.length; i += width) {
      column[i] = set[i] ? 0 : Math.min(far, column[i - width] + 1);
    }
    for (let i = column.length - 2 * width + x; i >= 0; i -= width) {
      column[i] = Math.min(column[i], column[i + width] + 1);
    }
  }
  const squares = new Float32Array(width * height);
  const site = new Int32Array(width); // whose parabola is the lowest, from which x on
  const from = new Int32Array(width);
  for (let row = 0; row < column.length; row += width) {
    const height2 = (i) => column[row + i] ** 2;
    const at = (x, i) => (x - i) * (x - i) + height2(i);
    let last = 0;
    site[0] = from[0] = 0;
    for (let x = 1; x < width; x++) {
      while (last >= 0 && at(from[last], site[last]) > at(from[last], x)) last--;
      if (last < 0) {
        site[(last = 0)] = x;
        continue;
      }
      const i = site[last];
      const meet = Math.floor((x * x - i * i + height2(x) - height2(i)) / (2 * (x - i))) + 1;
      if (meet < width) [site[++last], from[last]] = [x, meet];
    }
    for (let x = width - 1; x >= 0; x--) {
      squares[row + x] = at(x, site[last]);
      if (x === from[last]) last--;
    }
  }
  return squares;
}

const inverted = (set) => set.map((value) => 1 - value);

// The opaque pixels of a layer.
function bitmapOf(context) {
  const { width, height } = context.canvas;
  const { data } = context.getImageData(0, 0, width, height);
  const set = new Uint8Array(width * height);
  for (let i = 0; i < set.length; i++) set[i] = data[4 * i + 3] > 127;
  return { set, width, height };
}

// The part of a bitmap around its set pixels, and where it begins; null if none is set.
function around({ set, width, height }, margin) {
  const first = set.indexOf(1);
  if (first < 0) return null;
  const [top, bottom] = [first, set.lastIndexOf(1)].map((i) => Math.floor(i / width));
  let [left, right] = [width, -1];
  for (let row = top * width; row <= bottom * width; row += width) {
    const line = set.subarray(row, row + width);
    const begin = line.indexOf(1);
    if (begin < 0) continue;
    left = Math.min(left, begin);
    right = Math.max(right, line.lastIndexOf(1));
  }
  const [x0, y0] = [Math.max(left - margin, 0), Math.max(top - margin, 0)];
  const [x1, y1] = [Math.min(right + margin + 1, width), Math.min(bottom + margin + 1, height)];
  const part = new Uint8Array((x1 - x0) * (y1 - y0));
  for (let y = y0; y < y1; y++) {
    part.set(set.subarray(y * width + x0, y * width + x1), (y - y0) * (x1 - x0));
  }
  return { set: part, width: x1 - x0, height: y1 - y0, x: x0, y: y0 };
}

// Grow the opaque part of a layer by a disc, or shrink it if the radius is negative.
function reshape(context, radius) {
  const part = around(bitmapOf(context), radius < 0 ? 1 : Math.ceil(radius) + 1);
  if (!part) return;
  const { set, width, height, x, y } = part;
  const squares = squaredDistances(radius < 0 ? inverted(set) : set, width, height);
  const image = context.createImageData(width, height);
  for (let i = 0; i < set.length; i++) {
    const within = Math.abs(radius) + 0.5 - Math.sqrt(squares[i]); // a smooth edge, half at radius
    image.data[4 * i + 3] = 255 * (radius < 0 ? 1 - within : within); // clamped
  }
  context.putImageData(image, x, y);
}

// What is joined to a pixel by pixels of the same value, with `extra` pixels around it.
function flood({ set, width, height }, x, y, extra) {
  const region = new Uint8Array(set.length);
  const value = set[y * width + x];
  const stack = [y * width + x];
  while (stack.length) {
    const start = stack.pop();
    if (region[start]) continue;
    const row = start - (start % width);
    let [left, right] = [start, start];
    while (left > row && set[left - 1] === value) left--;
    while (right < row + width - 1 && set[right + 1] === value) right++;
    for (let i = left; i <= right; i++) {
      region[i] = 1;
      for (const next of [i - width, i + width]) {
        // Only where a run begins: the run is walked when it is popped.
        const begins = i === left || set[next - 1] !== value;
        if (set[next] === value && !region[next] && begins) stack.push(next);
      }
    }
  }
  const part = around({ set: region, width, height }, extra);
  const squares = squaredDistances(part.set, part.width, part.height);
  return { ...part, set: part.set.map((_, i) => squares[i] <= extra * extra) };
}

// One polygon along the pixel edges around all parts of a bitmap, its holes left out: from loop to
// loop and back along the same way, where the two ways cancel. The inside lies to the right.
function outline({ set, width, height, x: left, y: top }, tolerance) {
  const inside = (x, y) => x >= 0 && y >= 0 && x < width && y < height && set[y * width + x];
  const HEADINGS = [
    // step, and the pixels ahead on the left and on the right
    { step: [1, 0], left: [0, -1], right: [0, 0] },
    { step: [0, 1], left: [0, 0], right: [-1, 0] },
    { step: [-1, 0], left: [-1, 0], right: [-1, -1] },
    { step: [0, -1], left: [-1, -1], right: [0, -1] },
  ];
  const seen = new Uint8Array(set.length); // top edges, by the pixel below them
  const [path, doors] = [[], []];
  for (let start = 0; start < set.length; start++) {
    const [x0, y0] = [start % width, Math.floor(start / width)];
    if (!set[start] || seen[start] || inside(x0, y0 - 1)) continue;
    const loop = [[x0, y0]];
    let [x, y, heading] = [x0, y0, 0];
    do {
      if (heading === 0) seen[y * width + x] = 1;
      const { step } = HEADINGS[heading];
      [x, y] = [x + step[0], y + step[1]];
      const { left, right } = HEADINGS[heading];
      let turn = 0;
      if (!inside(x + right[0], y + right[1])) turn = 1;
      else if (inside(x + left[0], y + left[1])) turn = 3;
      if (turn) loop.push([x, y]);
      heading = (heading + turn) % 4;
    } while (x !== x0 || y !== y0 || heading !== 0);
    path.push(...simplify(loop, tolerance));
    doors.push([x0, y0]);
  }
  return [...path, ...doors.slice(1, -1).reverse()].map(([x, y]) => [x + left, y + top]);
}

const LEAST_BAND = 0.4; // opacity at the outer end of the band, so that it is seen how far it goes

// Where the fill will be blended in, as a picture: a light tint outside the mask as far as it is
// repainted too, and a white haze inside as far as the old picture shines through.
function blendBand(context, colour, grow, feather) {
  const part = around(bitmapOf(context), Math.ceil(grow) + 1);
  context.clearRect(0, 0, context.canvas.width, context.canvas.height);
  if (!part) return;
  const { set, width, height, x, y } = part;
  const image = context.createImageData(width, height);
  const outside = squaredDistances(set, width, height);
  const rest = new Uint8Array(set.length);
  for (let i = 0; i < rest.length; i++) rest[i] = outside[i] > (grow + 1e-3) ** 2;
  const depths = squaredDistances(rest, width, height);
  const light = colour.map((channel) => (channel + 255) / 2);
  for (let i = 0; i < set.length; i++) {
    if (rest[i]) continue;
    const t = feather ? Math.min((Math.sqrt(depths[i]) - 0.5) / feather, 1) : 1;
    const share = t * t * (3 - 2 * t);
    image.data.set(set[i] ? [255, 255, 255] : light, 4 * i);
    image.data[4 * i + 3] = 255 * (set[i] ? 1 - share : LEAST_BAND + (1 - LEAST_BAND) * share);
  }
  context.putImageData(image, x, y);
}
