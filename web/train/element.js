/** element("button", { type: "button" }, child, …): properties, not markup, so text stays text. */
export function element(tag, properties, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}
