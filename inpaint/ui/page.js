// What the page does by itself: keys, downloads, and the camera. Run once when it is loaded.
() => {
  const button = (id) => document.querySelector(`button#${id}, #${id} button`);
  const press = (id) => {
    const found = button(id);
    if (!found || found.disabled) return false;
    found.click();
    return true;
  };

  document.addEventListener("keydown", (event) => {
    if (document.querySelector("dialog[open]")) return;
    const run = event.key === "Enter" && (event.ctrlKey || event.metaKey);
    if ((run && press("fill")) || (event.key === "Escape" && press("stop"))) event.preventDefault();
  });

  window.inpaintSave = ({ url, orig_name }) => {
    const link = Object.assign(document.createElement("a"), { href: url, download: orig_name });
    document.body.append(link);
    link.click();
    link.remove();
  };

  // The camera is asked for only when its button is pressed. What it takes goes the canvas's way.
  async function takePicture() {
    let stream;
    try {
      stream = await navigator.mediaDevices.getUserMedia({ video: { width: 4096 } });
    } catch {
      return;
    }
    const dialog = document.createElement("dialog");
    dialog.id = "camera-view";
    const video = Object.assign(document.createElement("video"), { srcObject: stream, muted: true });
    const take = Object.assign(document.createElement("button"), { textContent: "●", type: "button" });
    take.setAttribute("aria-label", button("camera").textContent.trim());
    dialog.append(video, take);
    document.body.append(dialog);
    dialog.addEventListener("close", () => {
      for (const track of stream.getTracks()) track.stop();
      dialog.remove();
    });
    take.addEventListener("click", () => {
      const canvas = document.createElement("canvas");
      [canvas.width, canvas.height] = [video.videoWidth, video.videoHeight];
      canvas.getContext("2d").drawImage(video, 0, 0);
      canvas.toBlob((blob) => {
        const files = new DataTransfer();
        files.items.add(new File([blob], "camera.png", { type: "image/png" }));
        const input = document.querySelector(".mask-canvas input[name=picture]");
        input.files = files.files;
        input.dispatchEvent(new Event("change"));
        dialog.close();
      });
    });
    dialog.showModal();
    await video.play();
  }
  button("camera")?.addEventListener("click", takePicture);
};
