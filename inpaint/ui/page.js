// What the page does by itself: keys and downloads. Run once when it is loaded.
() => {
  const button = (id) => document.querySelector(`button#${id}, #${id} button`);
  const press = (id) => {
    const found = button(id);
    if (!found || found.disabled) return false;
    found.click();
    return true;
  };

  const FIELDS = "textarea, [role=listbox], input:not([type=range], [type=checkbox], [type=radio])";
  document.addEventListener("keydown", (event) => {
    if (document.querySelector("dialog[open]")) return;
    const run = event.key === "Enter" && (event.ctrlKey || event.metaKey);
    // In a field Escape closes a list, say.
    const used = event.defaultPrevented || event.target.closest?.(FIELDS);
    const stop = event.key === "Escape" && !used;
    if ((run && press("fill")) || (stop && press("stop"))) event.preventDefault();
  });

  window.inpaintSave = ({ url, orig_name }) => {
    const link = Object.assign(document.createElement("a"), { href: url, download: orig_name });
    document.body.append(link);
    link.click();
    link.remove();
  };

  // Gradio's buttons have no tips of their own; what each does is set when it is pointed at.
  const language = navigator.language.slice(0, 2).toLowerCase();
  const { en, [language]: own = en } = window.gradio_config?.i18n_translations ?? {};
  const explain = ({ target }) => {
    const part = target.closest?.("[id]:not([title])");
    const tip = part && own?.[`button_tip_${part.id}`];
    if (tip) part.title = tip;
  };
  document.addEventListener("pointerover", explain);
  document.addEventListener("focusin", explain);
};
