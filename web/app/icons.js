// Icons, drawn on a 16x16 pixel grid; every one is ours.

import { s } from './dom.js';

const paths = {
  back: 'M8 2h3v2H9v2H7v2H5V6h2V4h1zM3 7h11v2H3zM5 8h2v2h2v2h2v2H8v-2H7v-2H5z',
  full: 'M2 2h5v2H4v3H2zM9 2h5v5h-2V4H9zM2 9h2v3h3v2H2zM12 9h2v5H9v-2h3z',
  unfull: 'M5 2h2v5H2V5h3zM9 2h2v3h3v2H9zM2 9h5v5H5v-3H2zM9 9h5v2h-3v3H9z',
  sound: 'M2 6h3v4H2zM5 5h1v6H5zM6 4h1v8H6zM7 3h1v10H7zM10 6h1v4h-1zM12 4h1v8h-1z',
  mute: 'M2 6h3v4H2zM5 5h1v6H5zM6 4h1v8H6zM7 3h1v10H7zM10 6h1v1h-1zM11 7h1v1h-1zM12 8h1v1h-1zM13 9h1v1h-1zM13 6h1v1h-1zM12 7h1v1h-1zM11 8h1v1h-1zM10 9h1v1h-1z',
  share: 'M7 2h2v8H7zM6 3h1v1H6zM5 4h1v1H5zM9 3h1v1H9zM10 4h1v1h-1zM3 7h2v2H5v3h6V9H11V7h2v7H3z',
  stats: 'M2 10h2v4H2zM6 6h2v8H6zM10 8h2v6h-2zM13 3h1v11h-1z',
  help: 'M5 3h6v2H5zM4 4h2v3H4zM10 4h2v4h-2zM8 7h2v2H8zM7 8h2v2H7zM7 12h2v2H7z',
  touch: 'M6 2h4v4h4v4h-4v4H6v-4H2V6h4zM7 7v2h2V7z',
  save: 'M2 2h9v1h1v1h1v1h1v9H2zM5 3v3h5V3zM4 9v4h8V9zM5 10h6v1H5z',
  load: 'M1 5h1V4h1V3h1V2h2v8H4V9H3V8H2V7H1zM6 5h5v1h2v1h1v5h-1v1h-2v1H5v-2h6v-1h1V8h-1V7H6z',
  seat: 'M6 2h4v1H6zM5 3h6v4H5zM6 7h4v1H6zM4 9h8v1H4zM3 10h10v4H3z',
  search: 'M5 1h4v2H5zM3 3h2v2H3zM9 3h2v2H9zM2 5h2v4H2zM10 5h2v4h-2zM3 9h2v2H3zM9 9h2v2H9zM5 10h4v2H5zM10 10h2v2h-2zM12 12h2v2h-2z',
  close: 'M3 3h2v2H3zM5 5h2v2H5zM7 7h2v2H7zM9 5h2v2H9zM11 3h2v2h-2zM9 9h2v2H9zM11 11h2v2h-2zM5 9h2v2H5zM3 11h2v2H3z',
  eye: 'M5 4h6v1H5zM3 5h2v1H3zM11 5h2v1h-2zM2 6h1v1H2zM13 6h1v1h-1zM1 7h1v2H1zM14 7h1v2h-1zM6 6h4v4H6zM2 9h1v1H2zM13 9h1v1h-1zM3 10h2v1H3zM11 10h2v1h-2zM5 11h6v1H5z',
};

/** An icon as an element; decorative, the button around it has the label. */
export function icon(name) {
  return s('svg', { class: 'icon', viewBox: '0 0 16 16', 'aria-hidden': 'true', 'shape-rendering': 'crispEdges' },
    s('path', { d: paths[name], fill: 'currentColor' }));
}

/** Exchanges the drawing of an icon. */
export function setIcon(element, name) {
  element.querySelector('.icon path')?.setAttribute('d', paths[name]);
}
