// ---- Files: dropped anywhere on the page, pasted, or chosen -------------------------------------

const chooser = find("input[name=picture]");
const maskChooser = find("input[name=mask]");
const secondChooser = find("input[name=second]");

// What is said to the eye, and what to a screen reader alone.
function say(text, lasting = false) {
  const notice = find(".notice");
  notice.textContent = text;
  clearTimeout(say.timer);
  if (text && !lasting) say.timer = setTimeout(() => (notice.textContent = ""), 6000);
}
const announce = (text) => (find(".announce").textContent = text);

// A file goes up as it is, byte for byte; Python decodes it, and answers.
async function send(file, text, then) {
  if (!file || props.busy) return;
  say(text, true);
  try {
    const sent = await upload(file);
    say("");
    await then(sent);
  } catch (error) {
    say(word("lost", error.message ?? error));
  }
}
const openFile = (file) => send(file, word("opening"), ({ path }) => trigger("upload", { path }));
const openMask = (file) =>
  send(file, word("loading"), ({ path }) => trigger("mask_upload", { path }));
const openSecond = (file) => send(file, word("opening"), pasteSecond);
// A second picture is taken while its tool is chosen; else it replaces the first.
const take = (file) => (tool === "paste" ? openSecond(file) : openFile(file));

for (const [input, opener] of [
  [chooser, openFile],
  [maskChooser, openMask],
  [secondChooser, openSecond],
]) {
  input.addEventListener("change", () => {
    opener(input.files[0]);
    input.value = ""; // the same file may be chosen again
  });
}
onPage("paste", (event) => {
  const file = event.clipboardData?.files[0];
  if (file && !typing(event.target)) take(file);
});
const bringsFile = (event) =>
  !event.defaultPrevented && event.dataTransfer?.types.includes("Files");
onPage("dragover", (event) => {
  if (!bringsFile(event)) return;
  event.preventDefault(); // else the browser would leave the page for the picture
  root.classList.toggle("over", !props.busy);
});
onPage("dragleave", (event) => event.relatedTarget || root.classList.remove("over"));
onPage("drop", (event) => {
  root.classList.remove("over");
  if (!bringsFile(event)) return;
  event.preventDefault();
  take(event.dataTransfer.files[0]);
});
