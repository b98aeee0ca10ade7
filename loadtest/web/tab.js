// The tab of locust's web UI: a frame around /goodput that is as high as what it shows.
customElements.define("goodput-tab", class extends HTMLElement {
  connectedCallback() {
    const frame = document.createElement("iframe");
    frame.title = "Goodput";
    frame.src = "./goodput";
    frame.style.cssText = "display:block;width:100%;height:80vh;border:0";
    this.style.display = "block";
    frame.addEventListener("load", () => {
      const body = frame.contentDocument && frame.contentDocument.querySelector("main");
      if (!body) return;
      this.watch = new ResizeObserver(() => { frame.style.height = `${Math.ceil(body.offsetHeight) + 16}px`; });
      this.watch.observe(body);
    });
    this.replaceChildren(frame);
  }

  disconnectedCallback() {
    if (this.watch) this.watch.disconnect();
  }
});
