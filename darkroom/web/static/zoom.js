// Zoom and pan of one picture on a stage: wheel, pinch, double click, drag, and by buttons. 1 is "fits the stage".
// A sideways swipe on a picture that fits is passed on as `turn(-1)` or `turn(1)`.
darkroom.zoom = (stage, image, { turn, changed }) => {
  const PIXELS = 4; // the largest: each pixel of the picture as so many of the screen
  const SWIPE = 50;
  const fingers = new Map();
  let scale = 1;
  let x = 0;
  let y = 0;
  let start = null;

  const largest = () => Math.max(2, (PIXELS * image.naturalWidth) / Math.max(1, image.offsetWidth));

  function place() {
    if (!image.naturalWidth) return;
    const spareX = Math.max(0, (image.offsetWidth * scale - stage.clientWidth) / 2);
    const spareY = Math.max(0, (image.offsetHeight * scale - stage.clientHeight) / 2);
    x = Math.min(spareX, Math.max(-spareX, x));
    y = Math.min(spareY, Math.max(-spareY, y));
    image.style.transform = scale === 1 ? "" : `translate(${x}px, ${y}px) scale(${scale})`;
    stage.classList.toggle("zoomed", scale > 1);
    const shown = (image.offsetWidth * scale) / image.naturalWidth;
    image.classList.toggle("pixels", shown >= 3);
    changed(scale, shown);
  }

  // What lies under the point stays there.
  function to(wanted, clientX, clientY) {
    const box = stage.getBoundingClientRect();
    const atX = (clientX ?? box.left + box.width / 2) - box.left - box.width / 2;
    const atY = (clientY ?? box.top + box.height / 2) - box.top - box.height / 2;
    const next = Math.min(largest(), Math.max(1, wanted));
    x = atX - ((atX - x) * next) / scale;
    y = atY - ((atY - y) * next) / scale;
    scale = next;
    place();
  }

  function fit() {
    scale = 1;
    x = y = 0;
    place();
  }

  // Between "fits" and the picture's own pixels, or twice the size where those are no larger.
  function toggle(clientX, clientY) {
    const own = (image.naturalWidth || 1) / Math.max(1, image.offsetWidth);
    if (scale > 1) fit();
    else to(own > 1.2 ? own : 2, clientX, clientY);
  }

  function spread() {
    const [a, b] = [...fingers.values()];
    return { distance: Math.hypot(a.x - b.x, a.y - b.y), x: (a.x + b.x) / 2, y: (a.y + b.y) / 2 };
  }

  stage.addEventListener("wheel", (event) => {
    event.preventDefault();
    const lines = event.deltaMode === 1 ? 20 : 1;
    to(scale * Math.exp(-event.deltaY * lines * (event.ctrlKey ? 0.01 : 0.002)), event.clientX, event.clientY);
  }, { passive: false });

  stage.addEventListener("dblclick", (event) => {
    if (!event.target.closest("button")) toggle(event.clientX, event.clientY);
  });

  stage.addEventListener("pointerdown", (event) => {
    if (event.target.closest("button") || event.button > 0) return;
    fingers.set(event.pointerId, { x: event.clientX, y: event.clientY });
    start = { x: event.clientX, y: event.clientY };
  });

  stage.addEventListener("pointermove", (event) => {
    const finger = fingers.get(event.pointerId);
    if (!finger) return;
    // Let go of outside of the stage.
    if (event.pointerType !== "touch" && !event.buttons) {
      fingers.delete(event.pointerId);
      start = null;
      return;
    }
    const before = fingers.size === 2 ? spread() : null;
    const byX = event.clientX - finger.x;
    const byY = event.clientY - finger.y;
    finger.x = event.clientX;
    finger.y = event.clientY;
    if (before) {
      const after = spread();
      start = null;
      x += after.x - before.x;
      y += after.y - before.y;
      to((scale * after.distance) / Math.max(1, before.distance), after.x, after.y);
    } else if (scale > 1) {
      start = null;
      stage.setPointerCapture(event.pointerId);
      x += byX;
      y += byY;
      place();
    }
  });

  function lift(event) {
    if (!fingers.delete(event.pointerId) || !start || event.type === "pointercancel") return;
    const byX = event.clientX - start.x;
    const byY = event.clientY - start.y;
    start = null;
    if (scale === 1 && Math.abs(byX) > SWIPE && Math.abs(byX) > 2 * Math.abs(byY)) turn(byX < 0 ? 1 : -1);
  }
  stage.addEventListener("pointerup", lift);
  stage.addEventListener("pointercancel", lift);
  image.addEventListener("load", fit);
  new ResizeObserver(place).observe(stage);

  return { fit, in: () => to(scale * 1.5), out: () => to(scale / 1.5), toggle };
};
