"use strict";
(() => {
  const PAUSE = 1100; // milliseconds a step stays while playing
  const LEAST_SCALE = 0.8; // smaller text is hard to read
  const calm = window.matchMedia("(prefers-reduced-motion: reduce)");
  document.body.classList.add("live-page");

  class Player {
    constructor(figure) {
      this.figure = figure;
      this.last = Number(figure.dataset.last);
      this.slider = figure.querySelector("input[type=range]");
      this.output = figure.querySelector("output");
      this.frame = figure.querySelector(".drawing");
      this.steps = [...figure.querySelectorAll(".steps > li")];
      this.edges = [...figure.querySelectorAll(".edge")];
      this.nodes = [...figure.querySelectorAll(".node")].map((element) => ({
        element,
        adjoint: element.querySelector(".adjoint"),
        value: element.querySelector("text.value"),
        events: JSON.parse(element.dataset.adjoint),
      }));
      this.timer = 0;
      this.drawing = this.frame.querySelector("svg");
      this.natural = this.drawing.viewBox.baseVal;
      this.fit();
      window.addEventListener("resize", () => this.fit());
      figure.classList.add("live");
      this.slider.addEventListener("input", () => { this.stop(); this.show(Number(this.slider.value)); });
      figure.querySelectorAll("button[data-go]").forEach((button) =>
        button.addEventListener("click", () => this.go(button.dataset.go)));
      this.frame.addEventListener("keydown", (event) => this.key(event));
      this.nodes.forEach(({ element }) =>
        element.addEventListener("click", () => { this.stop(); this.show(Number(element.dataset.forward)); }));
      this.show(this.last);
    }

    // a drawing a little too wide shrinks, a much wider one scrolls
    fit() {
      const { width, height } = this.natural;
      const scale = Math.max(LEAST_SCALE, Math.min(1, (this.frame.clientWidth - 4) / width));
      this.drawing.setAttribute("width", String(Math.floor(width * scale)));
      this.drawing.setAttribute("height", String(Math.ceil(height * scale)));
    }

    go(where) {
      if (where === "play") return this.timer ? this.stop() : this.play();
      this.stop();
      const now = this.now;
      this.show({ first: 0, previous: now - 1, next: now + 1, last: this.last }[where]);
    }

    key(event) {
      const moves = { ArrowRight: "next", ArrowLeft: "previous", Home: "first", End: "last", " ": "play" };
      if (event.ctrlKey || event.altKey || event.metaKey || !(event.key in moves)) return;
      event.preventDefault();
      this.go(moves[event.key]);
    }

    play() {
      if (this.now >= this.last) this.show(0);
      this.timer = window.setInterval(() => {
        this.show(this.now + 1);
        if (this.now >= this.last) this.stop();
      }, PAUSE);
      this.button("Pause");
    }

    stop() {
      window.clearInterval(this.timer);
      this.timer = 0;
      this.button("Play");
    }

    button(words) {
      this.figure.querySelector("button[data-go=play]").textContent = words;
    }

    show(step) {
      const now = Math.min(Math.max(step, 0), this.last);
      this.now = now;
      this.figure.dataset.step = String(now);
      this.slider.value = String(now);
      this.slider.setAttribute("aria-valuetext", this.steps[now].dataset.label);
      this.output.textContent = `${now} of ${this.last}`;
      this.steps.forEach((element, k) => { element.hidden = k !== now; });
      this.nodes.forEach((node) => this.paint(node, now));
      this.edges.forEach((edge) => {
        const forward = Number(edge.dataset.forward);
        const back = edge.dataset.reverse !== "" && Number(edge.dataset.reverse) === now;
        edge.classList.toggle("todo", now < forward);
        edge.classList.toggle("now", now === forward || back);
        edge.classList.toggle("back", back);
      });
      this.follow();
    }

    paint({ element, adjoint, value, events }, now) {
      const forward = Number(element.dataset.forward);
      const reverse = element.dataset.reverse === "" ? -1 : Number(element.dataset.reverse);
      const known = events.filter(([step]) => step <= now);
      const arrives = events.some(([step]) => step === now);
      element.classList.toggle("todo", now < forward);
      element.classList.toggle("now", now === reverse || (now === forward && now > 0));
      element.classList.toggle("gets", arrives && now !== reverse);
      value.textContent = now < forward ? "" : value.dataset.words || (value.dataset.words = value.textContent);
      if (adjoint) adjoint.textContent = known.length ? `← ${known[known.length - 1][1]}` : "";
    }

    follow() {
      const found = this.figure.querySelector(".node.now, .node.gets");
      const frame = this.frame;
      if (!found || frame.scrollWidth <= frame.clientWidth) return;
      const box = found.getBoundingClientRect();
      const view = frame.getBoundingClientRect();
      if (box.left >= view.left + 20 && box.right <= view.right - 20) return;
      const left = frame.scrollLeft + (box.left + box.right - view.left - view.right) / 2;
      frame.scrollTo({ left, behavior: calm.matches ? "auto" : "smooth" });
    }
  }

  const players = [...document.querySelectorAll("figure.graph")].map((figure) => new Player(figure));

  // page.html#step=5 or #graph=2&step=5 opens a graph at a step
  const readAddress = () => {
    const wanted = new URLSearchParams(window.location.hash.slice(1));
    if (!wanted.has("step")) return;
    const id = wanted.get("graph");
    const player = id ? players.find(({ figure }) => figure.id === `graph-${id}`) : players[0];
    if (!player) return;
    player.figure.closest("details").open = true;
    player.show(Number(wanted.get("step")) || 0);
    player.figure.scrollIntoView();
  };
  readAddress();
  window.addEventListener("hashchange", readAddress);

  document.querySelectorAll("nav a").forEach((link) => link.addEventListener("click", () => {
    const target = document.querySelector(link.getAttribute("href"));
    if (target) target.querySelector("details").open = true;
  }));

  const filters = [...document.querySelectorAll("button[data-filter]")];
  filters.forEach((button) => button.addEventListener("click", () => {
    filters.forEach((other) => other.setAttribute("aria-pressed", String(other === button)));
    document.querySelectorAll("[data-status]").forEach((element) => {
      element.hidden = button.dataset.filter !== "" && element.dataset.status !== button.dataset.filter;
    });
  }));
})();
