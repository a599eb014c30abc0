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

  const place = (svg, x, y) => {
    tip.hidden = false;
    const at = new DOMPoint(x, y).matrixTransform(svg.getScreenCTM());
    const left = at.x + 16 + tip.offsetWidth > innerWidth ? at.x - 16 - tip.offsetWidth : at.x + 16;
    const top = Math.min(Math.max(8, at.y - tip.offsetHeight / 2), innerHeight - tip.offsetHeight - 8);
    tip.style.left = `${Math.max(8, left)}px`;
    tip.style.top = `${top}px`;
  };

  const show = (svg, dot) => {
    const [title, quality, costs, configuration] = tips[dot.index];
    tip.replaceChildren(line("strong", title), line("b", quality), line("p", costs), line("p", configuration));
    const cursor = svg.querySelector(".cursor");
    cursor.setAttribute("cx", dot.x);
    cursor.setAttribute("cy", dot.y);
    cursor.setAttribute("visibility", "visible");
    place(svg, dot.x, dot.y);
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

  const heat = (svg, { names, clusters, centres, similarity }) => {
    const { left, top, cell } = svg.querySelector(".cells").dataset;
    const cursor = svg.querySelector(".cursor");
    const last = names.length - 1;
    let at;
    const told = (i) => `${i} ${names[i]}${clusters.length ? `, cluster ${clusters[i]}` : ""}${centres.includes(i) ? ", hint point" : ""}`;
    const tell = (row, column) => {
      at = [row, column];
      const [x, y] = [+left + column * cell, +top + row * cell];
      const value = similarity[row][column];
      tip.replaceChildren(line("b", value === null ? "–" : value.toFixed(3)), line("p", row === column ? told(row) : `${told(row)}\n${told(column)}`));
      cursor.setAttribute("x", x);
      cursor.setAttribute("y", y);
      cursor.setAttribute("visibility", "visible");
      place(svg, x + +cell, y + cell / 2);
    };
    svg.tabIndex = 0;
    svg.addEventListener("pointermove", (event) => {
      const p = new DOMPoint(event.clientX, event.clientY).matrixTransform(svg.getScreenCTM().inverse());
      const [row, column] = [Math.floor((p.y - top) / cell), Math.floor((p.x - left) / cell)];
      if (Math.min(row, column) < 0 || Math.max(row, column) > last) hide();
      else tell(row, column);
    });
    svg.addEventListener("pointerleave", hide);
    svg.addEventListener("blur", hide);
    svg.addEventListener("keydown", (event) => {
      const step = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
      if (event.key === "Escape") hide();
      if (!step) return;
      event.preventDefault();
      if (at) tell(...at.map((v, i) => Math.min(last, Math.max(0, v + step[i]))));
      else tell(0, 0);
    });
  };

  document.querySelectorAll("figure.heat").forEach((figure) => {
    const told = JSON.parse(figure.dataset.heat);
    figure.querySelectorAll("svg.similarity").forEach((svg) => heat(svg, told));
  });
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
