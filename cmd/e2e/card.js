// Reads the test card (worker/engine/testcard) in a page that shows it, and stands in for a game pad.
(() => {
  const WIDTH = 256, HEIGHT = 240, ROW = 144, PITCH = 12, AXES = 150;
  const card = { pads: [] };
  window.card = card;
  const canvas = document.createElement('canvas');
  [canvas.width, canvas.height] = [WIDTH, HEIGHT];
  const context = canvas.getContext('2d', { willReadFrequently: true });

  const crc = (bytes) => {
    let sum = 0xffff;
    for (const b of bytes) {
      sum ^= (b & 255) << 8;
      for (let k = 0; k < 8; k++) sum = (sum & 0x8000 ? (sum << 1) ^ 0x1021 : sum << 1) & 0xffff;
    }
    return sum;
  };

  // read returns {frame, buttons: those of port 0 by the watermark, rows: {buttons, axes} of every port}, or null.
  card.read = () => {
    context.drawImage(probe.video, 0, 0, WIDTH, HEIGHT);
    const rgba = context.getImageData(0, 0, WIDTH, HEIGHT).data;
    const at = (x, y) => rgba.subarray((y * WIDTH + x) * 4, (y * WIDTH + x) * 4 + 3);
    const bit = (i) => {
      let sum = 0;
      for (let y = 2; y < 6; y++) for (let x = 2; x < 6; x++) sum += at((i % 32) * 8 + x, (i >> 5) * 8 + y)[1];
      return sum > 128 * 16 ? 1 : 0;
    };
    const number = (from, to) => { let n = 0; for (let i = from; i < to; i++) n = n * 2 + bit(i); return n; };
    const frame = number(0, 32), buttons = number(32, 48);
    if (crc([frame >>> 24, frame >>> 16, frame >>> 8, frame, buttons >>> 8, buttons]) !== number(48, 64)) return null;
    const rows = [0, 1, 2, 3].map((port) => {
      const y = ROW + port * PITCH + 5;
      let held = 0;
      for (let b = 0; b < 16; b++) { const [r, , blue] = at(2 + b * 9 + 4, y); if (r > 150 && blue < 110) held |= 1 << b; }
      const axes = [0, 1, 2, 3].map((a) => {
        let length = 0;
        for (let x = -12; x < 12; x++) { const [r, g] = at(AXES + a * 26 + 12 + x, y); if (g > 140 && r < 140) length += x < 0 ? -1 : 1; }
        return length;
      });
      return { buttons: held, axes };
    });
    return { frame, buttons, rows };
  };
  card.held = () => card.read()?.buttons;

  // plug lets the page find a pad of the standard mapping; card.pads[0] is changed by the tests.
  card.plug = () => {
    const pad = { index: 0, id: 'test', connected: true, mapping: 'standard', timestamp: 0, axes: [0, 0, 0, 0],
      buttons: Array.from({ length: 17 }, () => ({ pressed: false, touched: false, value: 0 })) };
    card.pads = [pad];
    navigator.getGamepads = () => card.pads;
    window.dispatchEvent(new Event('gamepadconnected'));
    return true;
  };
  card.press = (index, value) => { card.pads[0].buttons[index] = { pressed: value > 0.5, touched: value > 0, value }; return true; };
  card.push = (...axes) => { card.pads[0].axes = axes; return true; };
  card.unplug = () => { card.pads = []; window.dispatchEvent(new Event('gamepaddisconnected')); return true; };

  // listen takes the sound apart, channel by channel, in windows that overlap: for each channel hz, level, leak (the other channel's tone, as a
  // share) and click, the largest step out of the sine as a share of its level. A sample of a sine follows from the two before it.
  const WINDOW = 32768;
  card.listen = async () => {
    const audio = document.querySelector('audio');
    const engine = new AudioContext({ sampleRate: 48000 });
    await engine.resume();
    const split = engine.createChannelSplitter(2);
    engine.createMediaStreamSource(audio.srcObject).connect(split);
    const analysers = [0, 1].map((channel) => {
      const analyser = engine.createAnalyser();
      analyser.fftSize = WINDOW;
      split.connect(analyser, channel);
      return analyser;
    });
    const sound = { engine, paused: audio.paused, windows: [] };
    card.sound = sound;
    setInterval(() => sound.windows.push({ at: engine.currentTime, channels: analysers.map((analyser, i) => {
      const x = new Float32Array(WINDOW);
      analyser.getFloatTimeDomainData(x);
      return inspect(x, i ? 660 : 440, i ? 440 : 660);
    }) }), 300);
    return true;
  };

  // clean is for how many seconds up to now no channel left its sine by more than `step` of its level.
  card.clean = (step) => {
    const { windows } = card.sound, length = WINDOW / 48000;
    const bad = windows.findLastIndex((w, i) => w.channels.some((c) => !(c.click < step))
      || (i > 0 && w.at - windows[i - 1].at > length)); // between these two nobody listened
    return windows.length - 1 > bad ? windows.at(-1).at - windows[bad + 1].at + length : 0;
  };

  // selfTest is what the ear makes of a sine that breaks off by a fifth of its level.
  card.selfTest = () => {
    const x = Float32Array.from({ length: WINDOW }, (_, i) => 0.1 * Math.sin((2 * Math.PI * 440 * i) / 48000) + (i > 9000 && i < 9100 ? 0.02 : 0));
    return inspect(x, 440, 660).click;
  };

  const power = (x, hz) => { // of one frequency; whole periods of both tones, so that neither leaks
    const n = Math.floor(x.length / 2400) * 2400, w = (2 * Math.PI * hz) / 48000;
    let re = 0, im = 0;
    for (let i = 0; i < n; i++) { re += x[i] * Math.cos(w * i); im += x[i] * Math.sin(w * i); }
    return (2 * Math.hypot(re, im)) / n;
  };
  const inspect = (x, own, other) => {
    let first = -1, last = 0, crossings = 0, click = 0, square = 0;
    const follow = 2 * Math.cos((2 * Math.PI * own) / 48000);
    for (let i = 1; i < x.length; i++) {
      square += x[i] * x[i];
      if (i > 1) click = Math.max(click, Math.abs(x[i] - follow * x[i - 1] + x[i - 2]));
      if (x[i - 1] < 0 && x[i] >= 0) {
        last = i - x[i] / (x[i] - x[i - 1]);
        if (first < 0) first = last; else crossings++;
      }
    }
    const level = Math.sqrt((2 * square) / x.length);
    return { hz: (crossings * 48000) / (last - first), level, leak: power(x, other) / level, click: click / level };
  };
})();
