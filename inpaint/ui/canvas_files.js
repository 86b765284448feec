// ---- Files: dropped anywhere on the page, pasted, or chosen -------------------------------------

const chooser = find("input[type=file]");

function say(text, lasting = false) {
  const notice = find(".notice");
  notice.textContent = text;
  clearTimeout(say.timer);
  if (text && !lasting) say.timer = setTimeout(() => (notice.textContent = ""), 6000);
}

// The file goes up as it is, byte for byte; Python decodes it, and answers with a new value.
async function send(file) {
  if (!file || props.busy) return;
  say("Opening the picture…", true);
  try {
    const { path } = await upload(file);
    trigger("upload", { path });
    say("");
  } catch (error) {
    say(`The file did not arrive: ${error.message ?? error}`);
  }
}

chooser.addEventListener("change", () => {
  send(chooser.files[0]);
  chooser.value = ""; // the same file may be chosen again
});
onPage("paste", (event) => {
  const file = event.clipboardData?.files[0];
  if (file && !typing(event.target)) send(file);
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
  send(event.dataTransfer.files[0]);
});
