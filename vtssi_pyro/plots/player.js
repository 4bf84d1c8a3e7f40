"use strict";
// Plays the films of a page. A film is data that somebody else may have written: nothing of it becomes markup.
(() => {
  const SHARP = 840;  // px, least width of the canvas: twice that of a phone's page
  const SPEEDS = [1, 2, 5, 10, 25];  // frames a second

  function element(name, properties, ...children) {
    const made = Object.assign(document.createElement(name), properties);
    made.append(...children);
    return made;
  }

  function play(root, film, style) {
    const scale = Math.max(1, Math.ceil(SHARP / film.width));
    const line = Math.max(2, (film.width * scale) / 300);
    const canvas = element("canvas", {width: film.width * scale, height: film.height * scale});
    const pen = canvas.getContext("2d");
    const films = film.films.map((urls) => urls.map((url) => element("img", {src: url, onload: draw})));
    let scene = film.scenes[0], now = 0, timer = null, speed = 5;
    const shown = {boxes: true, paths: true, regions: true, futures: true};

    const choice = element("select", {title: "what is played", onchange: () => choose(choice.selectedIndex)});
    for (const each of film.scenes) choice.append(element("option", {textContent: each.title}));
    choice.hidden = film.scenes.length < 2;
    const slider = element("input", {type: "range", min: 0, value: 0, oninput: () => go(Number(slider.value))});
    slider.setAttribute("aria-label", "frame");
    const button = element("button", {type: "button", onclick: toggle});
    const step = (by, text, title) => element("button", {type: "button", textContent: text, title, onclick: () => { halt(); go(now + by); }});
    const pace = element("select", {title: "frames a second", onchange: () => { speed = Number(pace.value); if (timer) { halt(); start(); } }});
    for (const each of SPEEDS) pace.append(element("option", {value: each, textContent: `${each} / s`, selected: each === speed}));
    const futures = film.scenes.some((each) => each.objects.some((object) => object.futures.length));
    const switches = Object.keys(shown).filter((name) => futures || name !== "futures").map((name) => element("label", {}, element("input", {
      type: "checkbox", checked: true, onchange: (event) => { shown[name] = event.target.checked; draw(); }}), ` ${name}`));
    const state = element("output", {});
    root.replaceChildren(
      element("div", {className: "row"}, choice, state), canvas, slider,
      element("div", {className: "row"}, step(-1, "◀", "one frame back"), button, step(1, "▶", "one frame on"), pace),
      element("div", {className: "row"}, ...switches),
      element("p", {textContent: "Keys: space plays and stops, ← and → step, Home and End jump."
        + (film.left_out ? ` ${film.left_out} frames are left out: pictures of more would make this page too large.` : "")}));
    root.tabIndex = 0;
    root.setAttribute("role", "group");
    root.setAttribute("aria-label", "player of frames and tracks");
    canvas.setAttribute("role", "img");
    root.addEventListener("keydown", pressed);
    choose(0);

    function pressed(event) {
      if (event.ctrlKey || event.altKey || event.metaKey || event.target.tagName === "SELECT") return;
      const last = scene.frames - 1;
      const keys = {ArrowLeft: now - 1, ArrowRight: now + 1, Home: 0, End: last};
      if (event.key in keys) { halt(); go(keys[event.key]); }
      else if (event.key === " " && !["BUTTON", "INPUT"].includes(event.target.tagName)) toggle();
      else if (event.key === " " && event.target === slider) toggle();
      else return;
      event.preventDefault();
    }

    function choose(number) {
      scene = film.scenes[number];
      slider.max = scene.frames - 1;
      go(Math.min(now, scene.frames - 1));
      halt();
    }

    function start() {
      if (now >= scene.frames - 1) go(0);
      timer = setInterval(() => (now < scene.frames - 1 ? go(now + 1) : halt()), 1000 / speed);
      button.textContent = "Stop";
    }

    function halt() {
      clearInterval(timer);
      timer = null;
      button.textContent = "Play";
    }

    function toggle() { timer ? halt() : start(); }

    function go(frame) {
      now = Math.max(0, Math.min(frame, scene.frames - 1));
      slider.value = now;
      draw();
    }

    function predicted() { return scene.observed !== null && now >= scene.observed; }

    function at(object, name, frame) {
      const value = object[name][frame - object.first];
      return value === undefined ? null : value;
    }

    function draw() {
      if (!scene) return;
      const picture = films[scene.film][now];
      pen.setTransform(1, 0, 0, 1, 0, 0);
      pen.fillStyle = "#000";
      pen.fillRect(0, 0, canvas.width, canvas.height);
      pen.imageSmoothingEnabled = false;
      if (picture && picture.complete && picture.naturalWidth) pen.drawImage(picture, 0, 0, canvas.width, canvas.height);
      let there = 0;
      for (const object of scene.objects) {
        const colour = style.colours[object.id % style.colours.length];
        pen.strokeStyle = pen.fillStyle = colour;
        pen.lineWidth = line;
        pen.setLineDash([]);
        if (shown.futures && predicted()) drawFutures(object);
        if (shown.paths) drawPath(object);
        if (at(object, "x", now) !== null) { there += 1; drawObject(object); }
      }
      const kind = scene.observed === null ? "" : predicted() ? ", predicted" : ", observed";
      const objects = there === 1 ? "1 object" : `${there} objects`;
      state.textContent = `frame ${film.first + now + 1} of ${film.first + scene.frames}${kind}, ${objects}`;
      canvas.setAttribute("aria-label", state.textContent);
      slider.setAttribute("aria-valuetext", state.textContent);
    }

    function drawObject(object) {
      const [x, y, width, height] = ["x", "y", "width", "height"].map((name) => scaled(at(object, name, now)));
      const [wide, high] = ["x_std", "y_std"].map((name) => scaled(at(object, name, now)));
      const sure = at(object, "confidence", now);
      if (shown.boxes && width !== null && height !== null) {
        pen.setLineDash(predicted() || (sure !== null && sure < style.hidden) ? [4 * line, 3 * line] : []);
        pen.strokeRect(x - width / 2, y - height / 2, width, height);
        pen.setLineDash([]);
      }
      if (shown.regions && wide !== null && high !== null) {
        pen.beginPath();
        pen.ellipse(x, y, Math.max(style.region * wide, line), Math.max(style.region * high, line), 0, 0, 2 * Math.PI);
        pen.stroke();
      }
      pen.font = `bold ${11 * line}px sans-serif`;
      const left = x + (width === null ? 6 * line : width / 2 + 3 * line);
      const place = [Math.min(left, canvas.width - 9 * line), Math.max(y, 10 * line)];
      pen.strokeStyle = "#000";  // around the number, which may stand on a bright object
      pen.lineWidth = 2 * line;
      pen.strokeText(String(object.id + 1), ...place);
      pen.fillText(String(object.id + 1), ...place);
    }

    function scaled(value) { return value === null ? null : value * scale; }

    function drawPath(object) {
      pen.beginPath();
      let joined = false;
      for (let frame = Math.max(0, now - style.trail); frame <= now; frame += 1) {
        const x = scaled(at(object, "x", frame)), y = scaled(at(object, "y", frame));
        if (x !== null) joined ? pen.lineTo(x, y) : pen.moveTo(x, y);
        joined = x !== null;
      }
      pen.stroke();
    }

    function drawFutures(object) {
      pen.globalAlpha = 0.35;
      for (const future of object.futures) {
        pen.beginPath();
        for (let k = 0; k <= now - scene.observed + 1 && 2 * k + 1 < future.length; k += 1) {
          const x = scaled(future[2 * k]), y = scaled(future[2 * k + 1]);
          if (x !== null && y !== null) k ? pen.lineTo(x, y) : pen.moveTo(x, y);
        }
        pen.stroke();
      }
      pen.globalAlpha = 1;
    }
  }

  for (const root of document.querySelectorAll("[data-film]")) {
    play(root, JSON.parse(root.dataset.film), JSON.parse(root.dataset.style));
  }
})();
