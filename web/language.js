/** Words in the language that the editor is set to; English where a language lacks them. */
import { app } from "../../scripts/app.js";

/** words({ en: { stop: "Stop" }, zh: { stop: "停止" } }).stop, read anew each time. */
export function words(tables) {
  return new Proxy(tables.en, {
    get: (english, key) => tables[language()]?.[key] ?? english[key],
  });
}

export function language() {
  return String(app.extensionManager?.setting?.get("Comfy.Locale") ?? "en").split("-")[0];
}
