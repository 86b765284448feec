// ---- The menu, the look of the mask, and the words on everything ------------------------------

const menu = find(".menu");
const menuButton = find("[data-do=more]");
const help = find("dialog");
const opacitySlider = find(".opacity input");
const NARROW = 640; // CSS pixels; there the less used buttons stand in the menu
const MEMORY = "inpaint-canvas"; // in localStorage

function toggleMenu(open = menu.hidden) {
  menu.hidden = !open;
  menuButton.setAttribute("aria-expanded", open);
  if (open) menu.querySelector("button:not(:disabled), input").focus({ preventScroll: true });
}

root.addEventListener("pointerdown", ({ target }) => {
  if (!menu.hidden && !menu.contains(target) && !menuButton.contains(target)) toggleMenu(false);
});
menu.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  event.stopPropagation();
  toggleMenu(false);
  menuButton.focus();
});

// Groups that a narrow canvas has no room for move into the menu.
function arrange() {
  const narrow = root.clientWidth < NARROW;
  if (root.classList.contains("narrow") === narrow) return;
  root.classList.toggle("narrow", narrow);
  for (const group of root.querySelectorAll(".spare")) {
    if (narrow) menu.prepend(group);
    else find(`[data-home=${group.dataset.from}]`).after(group);
  }
  writeWords();
}

// The mask's colour and opacity are remembered by the browser.
function recall() {
  try {
    const { tone, opacity } = JSON.parse(localStorage.getItem(MEMORY)) ?? {};
    if (tone in TONES) look.tone = tone;
    if (opacity >= 0.1 && opacity <= 0.9) look.opacity = opacity;
  } catch {
    // No storage, or nothing of ours in it.
  }
  find(`.tones [value=${look.tone}]`).checked = true;
  opacitySlider.valueAsNumber = look.opacity;
  root.style.setProperty("--tone", TONES[look.tone]);
}

function changeLook(change) {
  Object.assign(look, change);
  root.style.setProperty("--tone", TONES[look.tone]);
  try {
    localStorage.setItem(MEMORY, JSON.stringify(look));
  } catch {
    // Then it lasts as long as the page.
  }
  if (change.tone) drawBand();
  if (picture) redraw();
}

find(".tones").addEventListener("change", ({ target }) => changeLook({ tone: target.value }));
opacitySlider.addEventListener("input", () => changeLook({ opacity: opacitySlider.valueAsNumber }));

const keyOf = (action) => Object.keys(keys).find((key) => keys[key] === action);

// data-label names the word of a control, data-text that of a text; in the menu both show.
function writeWords() {
  for (const item of root.querySelectorAll("[data-label]")) {
    const { label, do: name } = item.dataset;
    const fixed = { undo: "Ctrl+Z", redo: "Ctrl+Shift+Z", original: "\\" };
    const hint = keyOf(name ?? label) ?? fixed[name];
    item.setAttribute("aria-label", word(label));
    item.title = hint
      ? `${word(label)} (${hint.length === 1 ? hint.toUpperCase() : hint})`
      : word(label);
    const row = menu.contains(item) && item.matches("button, .row");
    let text = item.querySelector(":scope > .text");
    if (!row) text?.remove();
    else {
      if (!text) item.append((text = Object.assign(document.createElement("span"))));
      text.className = "text";
      text.textContent = word(label);
    }
  }
  for (const item of root.querySelectorAll("[data-text]")) {
    item.textContent = word(item.dataset.text);
    if (item.dataset.tip) item.title = word(item.dataset.tip);
  }
}

function showHelp() {
  const tools = TOOLS.filter((name) => keyOf(name) && available(name));
  const rows = [
    ...tools.map((name) => [name, [keyOf(name)]]),
    ["smaller", ["["]],
    ["larger", ["]"]],
    ["line", ["Shift"]],
    ["erasing", ["Alt"]],
    ...(props.guide ? [["picking", ["Alt", word("click")]]] : []),
    ["closing", ["Enter"]],
    ["back", ["⌫"]],
    ["leaving", ["Esc"]],
    ["undo", ["Ctrl", "Z"]],
    ["redo", ["Ctrl", "Shift", "Z"]],
    ...["grow", "shrink", "invert"].map((name) => [name, [keyOf(name)]]),
    ["panning", [word("space"), word("drag")]],
    ["zooming", ["+", "−", word("wheel")]],
    ["fit", ["0"]],
    ["original", ["\\"]],
    ["help", ["?"]],
  ];
  const list = help.querySelector("dl");
  list.replaceChildren(
    ...rows.map(([name, strokes]) => {
      const row = document.createElement("div");
      const [term, keyList] = [document.createElement("dt"), document.createElement("dd")];
      term.textContent = word(name);
      for (const stroke of strokes) {
        const key = document.createElement("kbd");
        key.textContent = stroke.length === 1 ? stroke.toUpperCase() : stroke;
        keyList.append(key);
      }
      row.append(term, keyList);
      return row;
    }),
  );
  toggleMenu(false);
  help.showModal();
}
help.addEventListener("click", ({ target }) => target === help && help.close());

// ---- The original, as long as its button or key is held ---------------------------------------

function seeOriginal(on) {
  if (bare === on) return;
  bare = on;
  root.classList.toggle("bare", on);
  if (picture) redraw();
}

const originalButton = find("[data-do=original]");
originalButton.addEventListener("pointerdown", () => seeOriginal(true));
originalButton.addEventListener(
  "keydown",
  ({ key }) => /^( |Enter)$/.test(key) && seeOriginal(true),
);
for (const type of ["pointerup", "pointerleave", "pointercancel", "keyup", "blur"]) {
  originalButton.addEventListener(type, () => seeOriginal(false));
}
