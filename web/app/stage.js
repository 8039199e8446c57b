// Where the picture goes. fit is pure; Stage lays a <video> out.

const SNAP = 0.9; // a whole multiple is taken if it keeps at least this much of the height

/**
 * The size of the picture in a box.
 * @param {{width: number, height: number, aspect: number, rotation: number}} geometry
 *   native size in pixels before turning; aspect of the picture as shown, after
 *   turning (0 = square pixels); rotation in quarter turns counter-clockwise
 * @param {number} boxWidth  CSS pixels
 * @param {number} boxHeight CSS pixels
 * @param {number} ratio device pixels per CSS pixel
 * @returns {{width: number, height: number, turns: number}} CSS pixels as shown
 */
export function fit(geometry, boxWidth, boxHeight, ratio = 1) {
  const turns = (((geometry.rotation | 0) % 4) + 4) % 4;
  const upright = turns % 2 === 0;
  const nativeWidth = Number(upright ? geometry.width : geometry.height) || 4;
  const nativeHeight = Number(upright ? geometry.height : geometry.width) || 3;
  const given = Number(geometry.aspect);
  const aspect = given > 0.2 && given < 5 ? given : nativeWidth / nativeHeight;
  let height = Math.min(boxHeight, boxWidth / aspect);
  const scale = (height * ratio) / nativeHeight;
  const whole = Math.floor(scale);
  if (whole >= 1 && whole / scale >= SNAP) height = (whole * nativeHeight) / ratio;
  return { width: height * aspect, height, turns };
}

export class Stage {
  #box;
  #video;
  #geometry = { width: 256, height: 240, aspect: 4 / 3, rotation: 0 };
  #observer;

  constructor(box, video) {
    this.#box = box;
    this.#video = video;
    this.#observer = new ResizeObserver(() => this.#layOut());
    this.#observer.observe(box);
  }

  set geometry(geometry) {
    this.#geometry = geometry;
    this.#layOut();
  }

  close() {
    this.#observer.disconnect();
  }

  #layOut() {
    const { clientWidth, clientHeight } = this.#box;
    if (!clientWidth || !clientHeight) return;
    const { width, height, turns } = fit(this.#geometry, clientWidth, clientHeight, window.devicePixelRatio);
    const style = this.#video.style;
    const upright = turns % 2 === 0;
    style.width = `${upright ? width : height}px`;
    style.height = `${upright ? height : width}px`;
    style.transform = turns ? `rotate(${-90 * turns}deg)` : '';
    this.#box.style.setProperty('--picture-width', `${width}px`);
    this.#box.style.setProperty('--picture-height', `${height}px`);
  }
}
