"use strict";
(() => {
  const tips = JSON.parse(document.getElementById("tips").textContent);
  const tip = document.getElementById("tip");
  const views = [...document.querySelectorAll("figure.view")];
  const buttons = [...document.querySelectorAll(".switch button")];

  const hide = () => {
    tip.hidden = true;
    document.querySelectorAll(".cursor").forEach((c) => c.setAttribute("visibility", "hidden"));
  };

  const line = (tag, text) => {
    const made = document.createElement(tag);
    made.textContent = text;
    return made;
  };

  const show = (svg, dot) => {
    const [title, quality, costs, configuration] = tips[dot.index];
    tip.replaceChildren(line("strong", title), line("b", quality), line("p", costs), line("p", configuration));
    const cursor = svg.querySelector(".cursor");
    cursor.setAttribute("cx", dot.x);
    cursor.setAttribute("cy", dot.y);
    cursor.setAttribute("visibility", "visible");
    tip.hidden = false;
    const at = new DOMPoint(dot.x, dot.y).matrixTransform(svg.getScreenCTM());
    const left = at.x + 16 + tip.offsetWidth > innerWidth ? at.x - 16 - tip.offsetWidth : at.x + 16;
    const top = Math.min(Math.max(8, at.y - tip.offsetHeight / 2), innerHeight - tip.offsetHeight - 8);
    tip.style.left = `${Math.max(8, left)}px`;
    tip.style.top = `${top}px`;
  };

  const dotsOf = (path) => {
    const indices = path.dataset.indices.split(",");
    return [...path.getAttribute("d").matchAll(/M(\S+) (\S+?)h0/g)].map((found, i) => ({ x: +found[1], y: +found[2], index: +indices[i] }));
  };

  const wire = (svg) => {
    const dots = [...svg.querySelectorAll(".dots")].flatMap(dotsOf);
    if (!dots.length) return;
    const byPlace = [...dots].sort((a, b) => a.x - b.x || b.y - a.y);
    let at = -1;
    svg.tabIndex = 0;
    svg.addEventListener("pointermove", (event) => {
      const p = new DOMPoint(event.clientX, event.clientY).matrixTransform(svg.getScreenCTM().inverse());
      const far = (d) => Math.hypot(d.x - p.x, d.y - p.y);
      const near = dots.reduce((a, b) => (far(b) < far(a) ? b : a));
      if (far(near) < 28) show(svg, near);
      else hide();
    });
    svg.addEventListener("pointerleave", hide);
    svg.addEventListener("blur", hide);
    svg.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (event.key === "Escape") hide();
      if (!step) return;
      event.preventDefault();
      at = (at + step + byPlace.length) % byPlace.length;
      show(svg, byPlace[at]);
    });
  };

  views.forEach((view) => view.querySelectorAll("svg").forEach(wire));
  buttons.forEach((button) => button.addEventListener("click", () => {
    hide();
    buttons.forEach((b) => b.setAttribute("aria-pressed", b === button));
    views.forEach((view) => (view.hidden = view.dataset.view !== button.dataset.view));
  }));
  document.querySelectorAll(".switch").forEach((group) => (group.hidden = buttons.length < 2));
  document.querySelectorAll(".copy").forEach((button) => {
    button.hidden = false;
    button.addEventListener("click", async () => {
      const code = button.parentElement.querySelector("code");
      getSelection().selectAllChildren(code);
      await navigator.clipboard?.writeText(code.textContent).then(() => (button.textContent = "copied"), () => {});
    });
  });
  addEventListener("scroll", hide, { passive: true });
})();
