"use strict";
// Browsers start no worker from a file, and the theme's search is one: where the site is
// read from a folder, an invisible frame takes its place.
if (location.protocol === "file:") {
  globalThis.Worker = class extends EventTarget {
    #ready;

    constructor(address) {
      super();
      const frame = document.createElement("iframe");
      frame.hidden = true;
      document.body.append(frame);
      const within = frame.contentWindow;
      within.postMessage = (data) => {
        const message = new MessageEvent("message", { data });
        this.onmessage?.(message);
        this.dispatchEvent(message);
      };
      const script = frame.contentDocument.createElement("script");
      script.src = address;
      this.#ready = new Promise((loaded) => {
        script.addEventListener("load", () => loaded(within));
      });
      frame.contentDocument.body.append(script);
    }

    async postMessage(data) {
      const within = await this.#ready;
      within.dispatchEvent(new within.MessageEvent("message", { data }));
    }
  };
}
