// ---- The camera: asked for only when its button is pressed ------------------------------------
// What it takes goes up as a file, like any other picture.

const cameraDialog = find("dialog.camera");
const video = cameraDialog.querySelector("video");
const BEST = { width: { ideal: 4096 }, height: { ideal: 4096 }, facingMode: "environment" };
const REASONS = { NotAllowedError: "camera_denied", NotReadableError: "camera_busy" };

async function openCamera() {
  if (!navigator.mediaDevices?.getUserMedia) return say(word("camera_unsafe"));
  try {
    video.srcObject = await navigator.mediaDevices.getUserMedia({ video: BEST });
  } catch ({ name }) {
    return say(word(REASONS[name] ?? "camera_none"));
  }
  cameraDialog.showModal();
  await video.play();
}

cameraDialog.addEventListener("close", () => {
  for (const track of video.srcObject?.getTracks() ?? []) track.stop();
  video.srcObject = null;
});

async function shoot() {
  const { videoWidth: width, videoHeight: height } = video;
  if (!width) return; // it has not begun
  const still = newLayer();
  [still.canvas.width, still.canvas.height] = [width, height];
  still.drawImage(video, 0, 0);
  cameraDialog.close();
  const taken = await new Promise((resolve) => still.canvas.toBlob(resolve, "image/png"));
  openFile(new File([taken], "camera.png", { type: "image/png" }));
}
